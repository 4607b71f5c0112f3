//! Memory admission: a byte budget that evicts the oldest reservation when it runs out.
//!
//! A normal body completes quickly. An attack has to hold memory to cost anything, so its bodies
//! become the oldest reservations and are evicted.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

/// Memory admission: a byte budget of heads, or of bodies, which evicts the oldest unfinished one
/// when it runs out. A whole body stays charged until it is dropped. Clones share the budget.
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: usize,
    usage: Mutex<Usage>,
}

#[derive(Debug, Default)]
struct Usage {
    /// Bytes that cannot be evicted, because they are being worked on.
    pinned: usize,
    /// Sum of the bytes of all entries.
    evictable: usize,
    /// Reservations by age, oldest first.
    entries: BTreeMap<u64, Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    bytes: usize,
    buffer: Arc<Buffer>,
    evicted: CancellationToken,
}

/// The memory of a reservation.
///
/// Eviction empties it at once: the owner's task may be scheduled behind thousands of others, each
/// of which takes memory.
#[derive(Debug, Default)]
struct Buffer(Mutex<Vec<u8>>);

impl Buffer {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0
            .lock()
            .expect("no one panics while holding the buffer")
    }

    fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.bytes())
    }
}

impl ByteBudget {
    /// Creates an unused budget of `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner {
            capacity,
            usage: Mutex::default(),
        }))
    }

    /// Returns the number of bytes in use.
    pub fn used(&self) -> usize {
        let usage = self.usage();
        usage.pinned + usage.evictable
    }

    /// Opens an empty reservation. `evicted` is cancelled when it is evicted.
    pub(crate) fn reserve(&self, evicted: CancellationToken) -> Reservation {
        let mut usage = self.usage();
        let id = usage.next;
        usage.next += 1;
        let buffer = Arc::<Buffer>::default();
        let entry = Entry {
            bytes: 0,
            buffer: Arc::clone(&buffer),
            evicted,
        };
        usage.entries.insert(id, entry);
        drop(usage);
        Reservation {
            budget: self.clone(),
            id,
            buffer,
        }
    }

    fn usage(&self) -> MutexGuard<'_, Usage> {
        self.0
            .usage
            .lock()
            .expect("no one panics while holding the usage")
    }
}

impl Usage {
    /// Evicts the oldest reservations until the rest fits. Returns the tokens to cancel.
    fn evict_oldest(&mut self, capacity: usize) -> Vec<CancellationToken> {
        let mut evicted = Vec::new();
        while self.pinned + self.evictable > capacity {
            let Some((_, oldest)) = self.entries.pop_first() else {
                break;
            };
            self.evictable -= oldest.bytes;
            drop(oldest.buffer.take());
            evicted.push(oldest.evicted);
        }
        evicted
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.evictable -= entry.bytes;
        Some(entry)
    }
}

/// An evictable reservation of bytes, with the buffer that holds them. Dropping it releases them.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: ByteBudget,
    id: u64,
    buffer: Arc<Buffer>,
}

impl Reservation {
    /// Reserves `bytes` more, evicting the oldest reservations if need be.
    ///
    /// # Errors
    /// [`Evicted`], before or now: it is the oldest itself, or does not fit beside what is pinned.
    pub(crate) fn grow(&self, bytes: usize) -> Result<(), Evicted> {
        let capacity = self.budget.0.capacity;
        let mut guard = self.budget.usage();
        let usage = &mut *guard;
        let entry = usage.entries.get_mut(&self.id).ok_or(Evicted)?;
        // No eviction could make it fit.
        if usage.pinned + entry.bytes + bytes > capacity {
            usage.remove(self.id);
            return Err(Evicted);
        }
        entry.bytes += bytes;
        usage.evictable += bytes;
        let evicted = usage.evict_oldest(capacity);
        let remains = usage.entries.contains_key(&self.id);
        drop(guard);
        evicted.iter().for_each(CancellationToken::cancel);
        if remains { Ok(()) } else { Err(Evicted) }
    }

    /// Appends bytes to the buffer, reserving what the buffer grows by.
    ///
    /// A buffer that has to grow at least doubles, up to `max` bytes.
    ///
    /// # Errors
    /// [`Evicted`], as [`Reservation::grow`].
    pub(crate) fn append(&self, bytes: &[u8], max: usize) -> Result<(), Evicted> {
        let (length, capacity) = {
            let buffer = self.buffer.bytes();
            (buffer.len(), buffer.capacity())
        };
        let needed = length + bytes.len();
        let grown = needed.max(2 * capacity).min(max.max(needed));
        if needed > capacity {
            self.grow(grown - capacity)?;
        }
        let mut buffer = self.buffer.bytes();
        // Evicted meanwhile, and empty.
        if buffer.len() != length {
            return Err(Evicted);
        }
        if needed > capacity {
            buffer.reserve_exact(grown - length);
        }
        buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Returns the number of bytes in the buffer.
    pub(crate) fn len(&self) -> usize {
        self.buffer.bytes().len()
    }

    /// Makes the reservation non-evictable, and returns the buffer.
    ///
    /// # Errors
    /// [`Evicted`] before.
    pub(crate) fn pin(self) -> Result<(Vec<u8>, Pinned), Evicted> {
        let mut usage = self.budget.usage();
        let entry = usage.remove(self.id).ok_or(Evicted)?;
        usage.pinned += entry.bytes;
        drop(usage);
        let pinned = Pinned {
            budget: self.budget.clone(),
            bytes: entry.bytes,
        };
        Ok((self.buffer.take(), pinned))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.usage().remove(self.id);
    }
}

/// The reservation was evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Evicted;

/// A non-evictable part of a budget. Dropping it releases its bytes.
#[derive(Debug)]
pub(crate) struct Pinned {
    budget: ByteBudget,
    bytes: usize,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.budget.usage().pinned -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reservation of so many bytes, and its token.
    fn reserved(budget: &ByteBudget, bytes: usize) -> (Reservation, CancellationToken) {
        let evicted = CancellationToken::new();
        let reservation = budget.reserve(evicted.clone());
        reservation.grow(bytes).expect("it fits");
        (reservation, evicted)
    }

    #[test]
    fn the_oldest_reservation_is_evicted() {
        let budget = ByteBudget::new(10);
        let (oldest, first) = reserved(&budget, 4);
        let (_second, second) = reserved(&budget, 4);
        let (_third, third) = reserved(&budget, 4);
        let evicted = [&first, &second, &third].map(CancellationToken::is_cancelled);
        assert_eq!((evicted, budget.used()), ([true, false, false], 8));
        assert_eq!(oldest.grow(1), Err(Evicted));
        assert_eq!(oldest.append(b"a", 1), Err(Evicted));
        assert_eq!(oldest.pin().err(), Some(Evicted));
        assert_eq!(budget.used(), 8);
    }

    #[test]
    fn as_many_reservations_are_evicted_as_needed_even_the_growing_one() {
        let budget = ByteBudget::new(10);
        let (first, _) = reserved(&budget, 5);
        let (_second, second) = reserved(&budget, 5);
        assert_eq!(first.grow(1), Err(Evicted));
        assert!(!second.is_cancelled());
        let (_third, _) = reserved(&budget, 10);
        assert!(second.is_cancelled());
        assert_eq!(budget.used(), 10);
    }

    #[test]
    fn eviction_frees_the_buffer_at_once() {
        let budget = ByteBudget::new(10);
        let evicted = budget.reserve(CancellationToken::new());
        evicted.append(b"12345678", 8).expect("it fits");
        let (_other, _) = reserved(&budget, 10);
        assert_eq!(evicted.buffer.bytes().capacity(), 0);
        assert_eq!(evicted.append(b"9", 10), Err(Evicted));
    }

    #[test]
    fn a_buffer_grows_by_what_is_reserved() {
        let budget = ByteBudget::new(100);
        let reservation = budget.reserve(CancellationToken::new());
        for (bytes, used) in [(4, 4), (1, 8), (3, 8), (1, 16), (9, 20)] {
            reservation
                .append(&[b'a'; 9][..bytes], 20)
                .expect("it fits");
            assert_eq!(budget.used(), used);
            assert_eq!(reservation.buffer.bytes().capacity(), used);
        }
        let (bytes, _pinned) = reservation.pin().expect("it is not evicted");
        assert_eq!((bytes.len(), budget.used()), (18, 20));
    }

    #[test]
    fn pinned_bytes_are_not_evicted() {
        let budget = ByteBudget::new(10);
        let pinned = reserved(&budget, 8).0.pin().expect("it is not evicted");
        let (_reading, reading) = reserved(&budget, 2);
        let late = budget.reserve(CancellationToken::new());
        // It would not fit beside the pinned bytes, whatever is evicted.
        assert_eq!(late.grow(3), Err(Evicted));
        assert!(!reading.is_cancelled());
        drop(pinned);
        assert_eq!(budget.used(), 2);
    }

    #[test]
    fn dropping_releases_bytes() {
        let budget = ByteBudget::new(10);
        drop(reserved(&budget, 10));
        drop(reserved(&budget, 10).0.pin());
        assert_eq!(budget.used(), 0);
    }
}
