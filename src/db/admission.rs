//! Admission control: which reads may use a connection now.
//!
//! Reads wait here, and not with their deadlines running for a connection of the pool. Long reads
//! are few at a time, so that others have connections beside them.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::limits::ACQUIRE_TIMEOUT;
use super::url::DatabaseUrl;

/// How many long reads are made at once.
const LONG_READS: usize = 2;

/// How much a call reads, which decides its deadline and how many run at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadKind {
    /// Some rows by their keys.
    Short,
    /// Many rows, such as lists and statistics.
    Long,
}

/// The connections that are free, and those of them that long reads may use.
#[derive(Debug)]
pub(crate) struct Admission {
    connections: Semaphore,
    long_reads: Semaphore,
    /// Whether a call gave up since a connection was last free.
    is_overloaded: AtomicBool,
}

/// The right to use a connection, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permit<'a> {
    _connection: SemaphorePermit<'a>,
    _long_read: Option<SemaphorePermit<'a>>,
}

impl Admission {
    /// Creates one permit for each connection.
    pub(crate) fn new(url: &DatabaseUrl) -> Self {
        Self {
            connections: Semaphore::new(url.connections() as usize),
            long_reads: Semaphore::new(LONG_READS),
            is_overloaded: AtomicBool::new(false),
        }
    }

    /// Admits a call at once, or not at all.
    pub(crate) fn try_acquire(&self, kind: ReadKind) -> Option<Permit<'_>> {
        let permit = Permit {
            _long_read: match kind {
                ReadKind::Short => None,
                ReadKind::Long => Some(self.long_reads.try_acquire().ok()?),
            },
            _connection: self.connections.try_acquire().ok()?,
        };
        self.is_overloaded.store(false, Ordering::Relaxed);
        Some(permit)
    }

    /// Admits a call within [`ACQUIRE_TIMEOUT`], or not at all. Cancel safe.
    pub(crate) async fn acquire(&self, kind: ReadKind) -> Option<Permit<'_>> {
        let permit = async {
            // First, so that waiting long reads hold no place in the queue of the others.
            let long_read = match kind {
                ReadKind::Short => None,
                ReadKind::Long => Some(acquired(&self.long_reads).await),
            };
            Permit {
                _connection: acquired(&self.connections).await,
                _long_read: long_read,
            }
        };
        let permit = tokio::time::timeout(ACQUIRE_TIMEOUT, permit).await.ok();
        if permit.is_none() && !self.is_overloaded.swap(true, Ordering::Relaxed) {
            tracing::warn!("the database is overloaded: calls timed out in the queue");
        }
        permit
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

    const URLS: [&str; 3] = ["sqlite::memory:", "sqlite://wxqr.db", "postgres://host/x"];

    #[tokio::test(start_paused = true)]
    async fn long_reads_leave_permits_to_others() {
        for url in URLS {
            let parsed = DatabaseUrl::new(url);
            let admission = Admission::new(&parsed);
            let held: Vec<_> = from_fn(|| admission.try_acquire(ReadKind::Long)).collect();
            assert_eq!(held.len(), if parsed.is_memory() { 1 } else { 2 }, "{url}");
            let mut waiting = std::pin::pin!(admission.acquire(ReadKind::Long));
            assert!(futures_util::poll!(&mut waiting).is_pending());
            let is_free = admission.try_acquire(ReadKind::Short).is_some();
            assert_eq!(is_free, !parsed.is_memory(), "{url}");
            drop(held);
            assert!(waiting.await.is_some(), "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn acquire_times_out() {
        for url in URLS {
            let admission = Admission::new(&DatabaseUrl::new(url));
            let held: Vec<_> = from_fn(|| admission.try_acquire(ReadKind::Short)).collect();
            let started = tokio::time::Instant::now();
            assert!(admission.acquire(ReadKind::Short).await.is_none(), "{url}");
            assert_eq!(started.elapsed(), ACQUIRE_TIMEOUT, "{url}");
            drop(held);
            assert!(admission.acquire(ReadKind::Short).await.is_some(), "{url}");
        }
    }
}
