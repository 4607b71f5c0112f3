//! Slow-client eviction: a full listener closes its slowest connection for a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

/// The connection slots of one listener.
#[derive(Debug)]
pub(crate) struct ConnectionSlots {
    free: Arc<Semaphore>,
    queue: Mutex<EvictionQueue>,
    /// Notified when a connection becomes evictable.
    evictable: Notify,
}

/// Connections that wait for their client, slowest first, each with what aborts it.
#[derive(Debug, Default)]
struct EvictionQueue {
    waiting: BTreeMap<EvictionKey, CancellationToken>,
    next: u64,
}

/// Key of a connection in the eviction queue; the lowest is the slowest client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EvictionKey(u64);

impl ConnectionSlots {
    pub(crate) fn new(slots: usize) -> Self {
        let slots = slots.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(slots)),
            queue: Mutex::default(),
            evictable: Notify::new(),
        }
    }

    /// Acquires a free slot.
    pub(crate) fn try_acquire(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).try_acquire_owned().ok()
    }

    /// Evicts the slowest client and acquires its slot.
    ///
    /// While every request is being handled, waits for a connection that ends or becomes evictable.
    /// Cancel safe, but a client may have been evicted.
    pub(crate) async fn acquire_by_eviction(&self) -> OwnedSemaphorePermit {
        let mut has_evicted = self.evict_slowest();
        loop {
            let freed = Arc::clone(&self.free).acquire_owned();
            tokio::select! {
                permit = freed => return permit.expect("the slots are never closed"),
                // One eviction is enough: its slot is free as soon as its task has noticed.
                () = self.evictable.notified(), if !has_evicted => {
                    has_evicted = self.evict_slowest();
                }
            }
        }
    }

    /// Aborts the connection that has waited for its client the longest, if any waits.
    pub(crate) fn evict_slowest(&self) -> bool {
        let slowest = self.queue().waiting.pop_first();
        let found = slowest.is_some();
        if let Some((_, abort)) = slowest {
            abort.cancel();
        }
        found
    }

    /// Queues a connection that waits for its client for eviction.
    pub(crate) fn enqueue(&self, abort: CancellationToken) -> EvictionKey {
        let mut queue = self.queue();
        let key = EvictionKey(queue.next);
        queue.next += 1;
        queue.waiting.insert(key, abort);
        drop(queue);
        self.evictable.notify_one();
        key
    }

    /// Takes a connection out of the eviction queue.
    pub(crate) fn dequeue(&self, key: EvictionKey) {
        self.queue().waiting.remove(&key);
    }

    fn queue(&self) -> MutexGuard<'_, EvictionQueue> {
        self.queue
            .lock()
            .expect("no one panics while holding the queue")
    }
}
