//! Doorkeeper: whether the same request came before in this second.

use std::hash::{BuildHasher as _, RandomState};
use std::iter;
use std::sync::atomic::{AtomicU64, Ordering};

use super::key::Key;

/// Requests that are remembered, in 64 KiB. Chosen: among 20,000 different requests a second, four
/// of five repetitions within 100 ms are found.
const SLOTS: usize = 8192;

/// The fingerprints of the last requests, as in front of a `TinyLFU` cache. Each has one slot, and
/// the next one of that slot replaces it.
#[derive(Debug)]
pub(super) struct Doorkeeper {
    hasher: RandomState,
    fingerprints: Box<[AtomicU64]>,
}

impl Doorkeeper {
    pub(super) fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            fingerprints: iter::repeat_with(AtomicU64::default).take(SLOTS).collect(),
        }
    }

    /// Notes a request of a second; returns whether the same was noted in that second before. It
    /// may miss a repetition.
    pub(super) fn note(&self, key: &Key, second: i64) -> bool {
        let fingerprint = self.hasher.hash_one((key, second));
        let [.., high, low] = fingerprint.to_be_bytes();
        let slot = usize::from(u16::from_be_bytes([high, low])) % SLOTS;
        self.fingerprints[slot].swap(fingerprint, Ordering::Relaxed) == fingerprint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: usize) -> Key {
        Key(n.to_be_bytes().to_vec())
    }

    #[test]
    fn a_request_is_repeated_within_its_second() {
        let doorkeeper = Doorkeeper::new();
        assert!(!doorkeeper.note(&key(1), 7));
        assert!(doorkeeper.note(&key(1), 7));
        assert!(doorkeeper.note(&key(1), 7));
        assert!(!doorkeeper.note(&key(1), 8));
    }

    #[test]
    fn repetitions_are_found_among_many_requests() {
        let doorkeeper = Doorkeeper::new();
        let mut repeated = 0;
        for first in (0..20_000).step_by(2_000) {
            let requests = || (first..first + 2_000).map(key);
            for key in requests() {
                assert!(!doorkeeper.note(&key, 7));
            }
            repeated += requests().filter(|key| doorkeeper.note(key, 7)).count();
        }
        // A fifth of them lose their slot to another.
        assert!(repeated > 14_000, "{repeated}");
    }
}
