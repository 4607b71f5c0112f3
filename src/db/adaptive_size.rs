//! How much one transaction does, by how long the last ones took.

use std::time::Duration;

/// A transaction that takes longer makes the next one smaller, a shorter one makes it larger.
/// Chosen: a small part of [`DEADLINE`](super::DEADLINE), at which a group is executed in halves.
const LONG: Duration = Duration::from_millis(200);

/// Adaptive size of a batch: halved after a slow transaction, doubled after a fast one.
#[derive(Debug)]
pub(super) struct AdaptiveBatchSize {
    size: usize,
    max: usize,
}

impl AdaptiveBatchSize {
    pub(super) fn new(size: usize, max: usize) -> Self {
        Self { size, max }
    }

    pub(super) fn get(&self) -> usize {
        self.size
    }

    /// Whether a transaction took so long that the next one is to be smaller.
    pub(super) fn is_long(took: Duration) -> bool {
        took > LONG
    }

    /// Halves it after a transaction that took too long, doubles it after another.
    pub(super) fn adapt(&mut self, took: Duration) {
        self.size = if Self::is_long(took) {
            (self.size / 2).max(1)
        } else {
            self.max.min(self.size * 2)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_transaction_makes_the_next_ones_smaller_and_fast_ones_larger_again() {
        let mut size = AdaptiveBatchSize::new(100, 100);
        let mut next = |took_ms| {
            size.adapt(Duration::from_millis(took_ms));
            size.get()
        };
        assert_eq!([201, 300, 200, 0].map(&mut next), [50, 25, 50, 100]);
        assert_eq!(next(0), 100, "no larger");
        let slow = [201; 8].map(&mut next);
        assert_eq!(slow[7], 1, "and no smaller than one");
    }
}
