//! Admission control: which calls may use a connection now.
//!
//! A crowd waits here, and not with its deadline running for a connection or for SQLite's one
//! writer. Each priority has its own queue, so that a result which would be lost never waits behind
//! visitors.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::limits::ACQUIRE_TIMEOUT;
use super::url::{DatabaseUrl, Dialect};

/// The connections of PostgreSQL that are reserved for calls with high priority.
const HIGH_PRIORITY: usize = 2;

/// How many statistics are read at once. They take long, and others need connections beside them.
const STATISTICS: usize = 2;

/// What a call does, which decides its queue and its deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Read,
    Write,
    /// Writes the result of a call to WeChat, which would be lost, or checks the health. There are
    /// no more of them than calls to WeChat, and they have a queue of their own.
    HighPriority,
    /// Reads much: in the queue of reads, but few at a time.
    Statistics,
}

/// The queues of one process.
#[derive(Debug)]
pub(crate) struct Admission {
    reads: Arc<Queue>,
    writes: Arc<Queue>,
    high_priority: Queue,
    /// Bounds writers of either priority together.
    writers: Semaphore,
    /// Bounds statistics, before they enter the queue of reads.
    statistics: Semaphore,
}

/// Calls that wait for the same connections, first in, first out.
#[derive(Debug)]
struct Queue {
    permits: Semaphore,
    /// Whether a call gave up since the queue was last free.
    is_crowded: AtomicBool,
}

/// The right to use a connection, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit<'a> {
    _in_queue: SemaphorePermit<'a>,
    _within_bound: Option<SemaphorePermit<'a>>,
}

impl Admission {
    /// As many permits as connections, but in memory, where all queues share the one connection.
    pub(crate) fn new(url: &DatabaseUrl) -> Self {
        let connections = url.connections() as usize;
        match url.dialect() {
            Dialect::Postgres => {
                let ordinary = Arc::new(Queue::new(connections - HIGH_PRIORITY));
                Self {
                    reads: Arc::clone(&ordinary),
                    writes: ordinary,
                    high_priority: Queue::new(HIGH_PRIORITY),
                    writers: Semaphore::new(connections),
                    statistics: Semaphore::new(STATISTICS),
                }
            }
            // One ordinary writer at a time, so that one with high priority waits for that one
            // only.
            Dialect::Sqlite => Self {
                reads: Arc::new(Queue::new(connections.saturating_sub(2).max(1))),
                writes: Arc::new(Queue::new(1)),
                high_priority: Queue::new(1),
                writers: Semaphore::new(1),
                statistics: Semaphore::new(STATISTICS),
            },
        }
    }

    fn queue(&self, purpose: Purpose) -> &Queue {
        match purpose {
            Purpose::Read | Purpose::Statistics => &self.reads,
            Purpose::Write => &self.writes,
            Purpose::HighPriority => &self.high_priority,
        }
    }

    /// Admits a call at once, or not at all.
    pub(crate) fn try_acquire(&self, purpose: Purpose) -> Option<Permit<'_>> {
        let queue = self.queue(purpose);
        let in_queue = queue.permits.try_acquire().ok()?;
        let within_bound = match purpose {
            Purpose::Read => None,
            Purpose::Write | Purpose::HighPriority => Some(self.writers.try_acquire().ok()?),
            Purpose::Statistics => Some(self.statistics.try_acquire().ok()?),
        };
        queue.is_crowded.store(false, Ordering::Relaxed);
        Some(Permit {
            _in_queue: in_queue,
            _within_bound: within_bound,
        })
    }

    /// Admits a call within [`ACQUIRE_TIMEOUT`], or not at all. Cancel safe.
    pub(crate) async fn acquire(&self, purpose: Purpose) -> Option<Permit<'_>> {
        let permit = async {
            // Before the queue, where a waiting call would hold a place.
            let among_readers = match purpose {
                Purpose::Statistics => Some(acquired(&self.statistics).await),
                Purpose::Read | Purpose::Write | Purpose::HighPriority => None,
            };
            let in_queue = acquired(&self.queue(purpose).permits).await;
            // After the queue: otherwise every waiting write would come before one with high
            // priority.
            let among_writers = match purpose {
                Purpose::Write | Purpose::HighPriority => Some(acquired(&self.writers).await),
                Purpose::Read | Purpose::Statistics => None,
            };
            Permit {
                _in_queue: in_queue,
                _within_bound: among_readers.or(among_writers),
            }
        };
        let permit = tokio::time::timeout(ACQUIRE_TIMEOUT, permit).await.ok();
        if permit.is_none() {
            self.queue(purpose).log_crowd();
        }
        permit
    }
}

impl Queue {
    fn new(permits: usize) -> Self {
        Self {
            permits: Semaphore::new(permits),
            is_crowded: AtomicBool::new(false),
        }
    }

    fn log_crowd(&self) {
        if !self.is_crowded.swap(true, Ordering::Relaxed) {
            tracing::warn!("the database is overloaded: calls timed out in the queue");
        }
    }
}

async fn acquired(permits: &Semaphore) -> SemaphorePermit<'_> {
    permits
        .acquire()
        .await
        .expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use std::iter::from_fn;

    use super::*;

    const PURPOSES: [Purpose; 4] = [
        Purpose::Read,
        Purpose::Write,
        Purpose::HighPriority,
        Purpose::Statistics,
    ];

    const URLS: [&str; 3] = ["sqlite::memory:", "sqlite://wxqr.db", "postgres://host/x"];

    #[test]
    fn every_purpose_has_a_permit_and_every_permit_a_connection() {
        for url in URLS {
            let parsed = DatabaseUrl::new(url);
            for purpose in PURPOSES {
                let admission = Admission::new(&parsed);
                assert!(
                    admission.try_acquire(purpose).is_some(),
                    "{url}: {purpose:?}"
                );
            }
            let admission = Admission::new(&parsed);
            let held = [Purpose::Read, Purpose::HighPriority, Purpose::Write]
                .map(|purpose| from_fn(|| admission.try_acquire(purpose)).collect::<Vec<_>>());
            let held = held.iter().map(Vec::len).sum::<usize>();
            let most = parsed.connections() as usize;
            assert!(held <= most || parsed.is_memory(), "{url}: {held}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn statistics_leave_permits_to_others() {
        for url in URLS {
            let parsed = DatabaseUrl::new(url);
            let admission = Admission::new(&parsed);
            let held: Vec<_> = from_fn(|| admission.try_acquire(Purpose::Statistics)).collect();
            assert_eq!(held.len(), if parsed.is_memory() { 1 } else { 2 }, "{url}");
            let mut waiting = std::pin::pin!(admission.acquire(Purpose::Statistics));
            assert!(futures_util::poll!(&mut waiting).is_pending());
            for purpose in [Purpose::Read, Purpose::Write, Purpose::HighPriority] {
                let is_free = admission.try_acquire(purpose).is_some();
                let shares = parsed.is_memory() && purpose == Purpose::Read;
                assert_eq!(is_free, !shares, "{url}: {purpose:?}");
            }
            drop(held);
            assert!(waiting.await.is_some(), "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_times_out_and_high_priority_does_not_wait() {
        for url in URLS {
            let admission = Admission::new(&DatabaseUrl::new(url));
            let held: Vec<_> = from_fn(|| admission.try_acquire(Purpose::Read)).collect();
            let started = tokio::time::Instant::now();
            assert!(admission.acquire(Purpose::Read).await.is_none(), "{url}");
            assert_eq!(started.elapsed(), ACQUIRE_TIMEOUT, "{url}");
            assert!(
                admission.try_acquire(Purpose::HighPriority).is_some(),
                "{url}"
            );
            drop(held);
            assert!(admission.acquire(Purpose::Read).await.is_some(), "{url}");
        }
    }
}
