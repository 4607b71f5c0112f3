//! A budget of bytes that many holders share. When it is used up, the one that has held its bytes the longest makes room:
//! a genuine body comes in the time of some packets, while an attacker's has to stay to cost anything.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio_util::sync::CancellationToken;

/// Bytes that are held at once, at most. Clones are handles to the same budget.
#[derive(Debug, Clone)]
pub struct ByteBudget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    capacity: usize,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    /// Bytes that nobody can be made to give up, because they are being worked on.
    kept: usize,
    /// Bytes of the holders below.
    evictable: usize,
    /// The oldest first.
    holders: BTreeMap<u64, Holder>,
    next: u64,
}

#[derive(Debug)]
struct Holder {
    bytes: usize,
    buffer: Arc<Buffer>,
    evicted: CancellationToken,
}

/// What a holder has in memory. Who evicts it empties it at once: the holder's task may have to wait for its turn behind
/// thousands of others, each of which takes memory.
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
    /// Nobody holds anything yet.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner {
            capacity,
            ledger: Mutex::default(),
        }))
    }

    /// Bytes that are held now.
    pub fn used(&self) -> usize {
        let ledger = self.ledger();
        ledger.kept + ledger.evictable
    }

    /// A new holder, of nothing yet. `evicted` is cancelled when it has to give up what it holds.
    pub(super) fn enter(&self, evicted: CancellationToken) -> Share {
        let mut ledger = self.ledger();
        let id = ledger.next;
        ledger.next += 1;
        let buffer = Arc::<Buffer>::default();
        let holder = Holder {
            bytes: 0,
            buffer: Arc::clone(&buffer),
            evicted,
        };
        ledger.holders.insert(id, holder);
        drop(ledger);
        Share {
            budget: self.clone(),
            id,
            buffer,
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0
            .ledger
            .lock()
            .expect("no one panics while holding the ledger")
    }
}

impl Ledger {
    /// Evicts the oldest until everything fits. Gives whom it has evicted, who are to be notified.
    fn make_room(&mut self, capacity: usize) -> Vec<CancellationToken> {
        let mut evicted = Vec::new();
        while self.kept + self.evictable > capacity {
            let Some((_, oldest)) = self.holders.pop_first() else {
                break;
            };
            self.evictable -= oldest.bytes;
            drop(oldest.buffer.take());
            evicted.push(oldest.evicted);
        }
        evicted
    }

    fn remove(&mut self, id: u64) -> Option<Holder> {
        let holder = self.holders.remove(&id)?;
        self.evictable -= holder.bytes;
        Some(holder)
    }
}

/// What one holder has of the budget, as long as it is not evicted. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Share {
    budget: ByteBudget,
    id: u64,
    buffer: Arc<Buffer>,
}

impl Share {
    /// Takes so many bytes more.
    ///
    /// # Errors
    /// [`Evicted`], before or by this: it is the oldest itself, or there is no room beside what is being worked on.
    pub(super) fn grow(&self, bytes: usize) -> Result<(), Evicted> {
        let capacity = self.budget.0.capacity;
        let mut ledger = self.budget.ledger();
        let ledger_now = &mut *ledger;
        let holder = ledger_now.holders.get_mut(&self.id).ok_or(Evicted)?;
        // Nobody else could make room for it.
        if ledger_now.kept + holder.bytes + bytes > capacity {
            ledger_now.remove(self.id);
            return Err(Evicted);
        }
        holder.bytes += bytes;
        ledger_now.evictable += bytes;
        let evicted = ledger_now.make_room(capacity);
        let stays = ledger_now.holders.contains_key(&self.id);
        drop(ledger);
        evicted.iter().for_each(CancellationToken::cancel);
        if stays { Ok(()) } else { Err(Evicted) }
    }

    /// Appends bytes to what is held in memory. A buffer that has to grow at least doubles, up to `most` bytes, and takes from
    /// the budget what it grows by.
    ///
    /// # Errors
    /// [`Evicted`], before or by this.
    pub(super) fn append(&self, bytes: &[u8], most: usize) -> Result<(), Evicted> {
        let (length, capacity) = {
            let buffer = self.buffer.bytes();
            (buffer.len(), buffer.capacity())
        };
        let needed = length + bytes.len();
        let wanted = needed.max(2 * capacity).min(most.max(needed));
        if needed > capacity {
            self.grow(wanted - capacity)?;
        }
        let mut buffer = self.buffer.bytes();
        // Evicted since, and empty: no more is put there.
        if buffer.len() != length {
            return Err(Evicted);
        }
        if needed > capacity {
            buffer.reserve_exact(wanted - length);
        }
        buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// Bytes that were appended.
    pub(super) fn length(&self) -> usize {
        self.buffer.bytes().len()
    }

    /// From now on it is worked on, and not evicted any more. Gives what was appended.
    ///
    /// # Errors
    /// [`Evicted`], before.
    pub(super) fn keep(self) -> Result<(Vec<u8>, Kept), Evicted> {
        let mut ledger = self.budget.ledger();
        let holder = ledger.remove(self.id).ok_or(Evicted)?;
        ledger.kept += holder.bytes;
        drop(ledger);
        let kept = Kept {
            budget: self.budget.clone(),
            bytes: holder.bytes,
        };
        Ok((self.buffer.take(), kept))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.ledger().remove(self.id);
    }
}

/// The holder has made room for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Evicted;

/// Bytes that are being worked on. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Kept {
    budget: ByteBudget,
    bytes: usize,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.budget.ledger().kept -= self.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A holder of so many bytes.
    fn holder(budget: &ByteBudget, bytes: usize) -> (Share, CancellationToken) {
        let evicted = CancellationToken::new();
        let share = budget.enter(evicted.clone());
        share.grow(bytes).expect("it fits");
        (share, evicted)
    }

    #[test]
    fn the_oldest_makes_room() {
        let budget = ByteBudget::new(10);
        let (oldest, first) = holder(&budget, 4);
        let (_second, second) = holder(&budget, 4);
        let (_third, third) = holder(&budget, 4);
        let evicted = [&first, &second, &third].map(CancellationToken::is_cancelled);
        assert_eq!((evicted, budget.used()), ([true, false, false], 8));
        assert_eq!(oldest.grow(1), Err(Evicted));
        assert_eq!(oldest.append(b"a", 1), Err(Evicted));
        assert_eq!(oldest.keep().err(), Some(Evicted));
        assert_eq!(budget.used(), 8);
    }

    #[test]
    fn as_many_make_room_as_are_needed_and_the_oldest_is_no_exception() {
        let budget = ByteBudget::new(10);
        let (first, _) = holder(&budget, 5);
        let (_second, second) = holder(&budget, 5);
        assert_eq!(first.grow(1), Err(Evicted));
        assert!(!second.is_cancelled());
        let (_third, _) = holder(&budget, 10);
        assert!(second.is_cancelled());
        assert_eq!(budget.used(), 10);
    }

    #[test]
    fn who_is_evicted_holds_nothing_before_it_notices() {
        let budget = ByteBudget::new(10);
        let evicted = budget.enter(CancellationToken::new());
        evicted.append(b"12345678", 8).expect("it fits");
        let (_other, _) = holder(&budget, 10);
        assert_eq!(evicted.buffer.bytes().capacity(), 0);
        assert_eq!(evicted.append(b"9", 10), Err(Evicted));
    }

    #[test]
    fn a_buffer_grows_by_what_is_accounted_for() {
        let budget = ByteBudget::new(100);
        let share = budget.enter(CancellationToken::new());
        for (bytes, used) in [(4, 4), (1, 8), (3, 8), (1, 16), (9, 20)] {
            share.append(&[b'a'; 9][..bytes], 20).expect("it fits");
            assert_eq!(budget.used(), used);
            assert_eq!(share.buffer.bytes().capacity(), used);
        }
        let (bytes, _kept) = share.keep().expect("it is not evicted");
        assert_eq!((bytes.len(), budget.used()), (18, 20));
    }

    #[test]
    fn what_is_worked_on_makes_no_room() {
        let budget = ByteBudget::new(10);
        let kept = holder(&budget, 8).0.keep().expect("it is not evicted");
        let (_reading, reading) = holder(&budget, 2);
        let late = budget.enter(CancellationToken::new());
        // It would not fit beside what is kept, whoever is evicted.
        assert_eq!(late.grow(3), Err(Evicted));
        assert!(!reading.is_cancelled());
        drop(kept);
        assert_eq!(budget.used(), 2);
    }

    #[test]
    fn what_is_dropped_is_given_back() {
        let budget = ByteBudget::new(10);
        drop(holder(&budget, 10));
        drop(holder(&budget, 10).0.keep());
        assert_eq!(budget.used(), 0);
    }
}
