//! A bound on the memory of long answers: how many rows all of them hold at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most rows of one answer.
pub(super) const MAX_ROWS: usize = 100_000;

/// The most rows of all answers: those of four of the longest, some 25 MB each. An answer whose
/// client is slow keeps its rows until it is sent.
pub(super) const ROWS_IN_MEMORY: usize = 4 * MAX_ROWS;

/// The rows that answers may still have in memory.
#[derive(Debug, Clone)]
pub(super) struct RowBudget(Arc<Semaphore>);

impl RowBudget {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(ROWS_IN_MEMORY)))
    }

    /// Takes so many rows until the permit is dropped, if they are left.
    pub(super) fn try_acquire(&self, rows: usize) -> Option<OwnedSemaphorePermit> {
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Arc::clone(&self.0).try_acquire_many_owned(rows).ok()
    }
}
