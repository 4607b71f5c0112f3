//! A limit of jobs that take much memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::http::problem::Problem;

/// How long a request waits for the jobs before it. Chosen: most take a second at most.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// Limits how many jobs of a kind run at once (semaphore). Its clones share the limit.
#[derive(Debug, Clone)]
pub(super) struct JobLimit {
    permits: Arc<Semaphore>,
}

impl JobLimit {
    pub(super) fn new(at_once: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(at_once)),
        }
    }

    /// Acquires a permit for a job, which holds it until it ends.
    ///
    /// # Errors
    /// `overloaded` after a wait.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = timeout(ACQUIRE_TIMEOUT, permit).await;
        let permit = permit.map_err(|_| Problem::busy())?;
        Ok(permit.expect("the semaphore is never closed"))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::http::problem::ErrorCode;

    #[tokio::test(start_paused = true)]
    async fn a_job_too_many_is_refused_after_a_wait() {
        let (limit, started) = (JobLimit::new(2), Instant::now());
        let one = limit.permit().await.unwrap();
        let _other = limit.permit().await.unwrap();
        let refused = limit.permit().await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::Overloaded);
        assert!(started.elapsed() >= ACQUIRE_TIMEOUT);
        drop(one);
        assert!(limit.permit().await.is_ok());
    }
}
