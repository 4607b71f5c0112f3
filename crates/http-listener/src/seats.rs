//! How many connections there may be, and who makes room when there are no more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The seats of one listener.
#[derive(Debug)]
pub(super) struct Seats {
    free: Arc<Semaphore>,
    queue: Mutex<Queue>,
    /// Told when a client's turn begins.
    somebody_waits: Notify,
}

/// The connections whose client keeps us waiting, the longest first, and how to cut them.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<Place, CancellationToken>,
    next: u64,
}

/// A connection's place in the queue: whoever has the lowest has kept us waiting the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

impl Seats {
    pub(super) fn new(seats: usize) -> Self {
        let seats = seats.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(seats)),
            queue: Mutex::default(),
            somebody_waits: Notify::new(),
        }
    }

    /// A seat that nobody has.
    pub(super) fn free(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Sends away whoever has kept us waiting the longest, and takes the seat. With every connection ours, waits for one
    /// that ends or begins to wait for its client. Cancel safe, but somebody may have been sent away.
    pub(super) async fn make_room(&self) -> OwnedSemaphorePermit {
        let mut somebody_leaves = self.send_longest_away();
        loop {
            let freed = Arc::clone(&self.free).acquire_owned();
            tokio::select! {
                permit = freed => return permit.expect("the seats are never closed"),
                // One leaver is enough: the seat comes as soon as its task has noticed.
                () = self.somebody_waits.notified(), if !somebody_leaves => {
                    somebody_leaves = self.send_longest_away();
                }
            }
        }
    }

    /// Cuts the connection whose client has kept us waiting the longest. False if no client does.
    pub(super) fn send_longest_away(&self) -> bool {
        let longest = self.queue().waiting.pop_first();
        let found = longest.is_some();
        if let Some((_, cut)) = longest {
            cut.cancel();
        }
        found
    }

    /// A client's turn begins: it may be sent away from now on.
    pub(super) fn enter(&self, cut: CancellationToken) -> Place {
        let mut queue = self.queue();
        let place = Place(queue.next);
        queue.next += 1;
        queue.waiting.insert(place, cut);
        drop(queue);
        self.somebody_waits.notify_one();
        place
    }

    /// It ends.
    pub(super) fn leave(&self, place: Place) {
        self.queue().waiting.remove(&place);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue
            .lock()
            .expect("no one panics while holding the queue")
    }
}
