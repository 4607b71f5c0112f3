//! Retries calls. The `Retry-After` of one call delays all.

use std::future::Future;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::failure::{Again, CallFailure};

/// How often a call is sent at most.
const MAX_ATTEMPTS: u32 = 5;

/// The longest pause that is kept. What may be sent only later is for another day.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Retries the calls of one command.
#[derive(Debug)]
pub(super) struct Retrier {
    /// Until when no call is sent.
    until: Mutex<Instant>,
}

impl Retrier {
    pub(super) fn new() -> Self {
        Self {
            until: Mutex::new(Instant::now()),
        }
    }

    /// Makes a call, again after a pause where that may help. Not for calls that must not be
    /// repeated.
    pub(super) async fn call<T, F>(&self, mut call: impl FnMut() -> F) -> Result<T, CallFailure>
    where
        F: Future<Output = Result<T, CallFailure>>,
    {
        let mut attempts = 0;
        loop {
            self.wait().await;
            attempts += 1;
            let failure = match call().await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let pause = match failure.again {
                Some(Again::After(pause)) if pause <= LONGEST_PAUSE => pause,
                Some(Again::Soon) => Duration::from_secs(attempts.into()),
                _ => return Err(failure),
            };
            if attempts == MAX_ATTEMPTS {
                return Err(failure);
            }
            let mut until = self.until.lock().await;
            *until = (*until).max(Instant::now() + pause);
        }
    }

    async fn wait(&self) {
        loop {
            let until = *self.until.lock().await;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::failure::ReceivedProblem;
    use super::*;

    /// Calls that fail like this before they succeed, and when each was made.
    async fn called(failures: Vec<CallFailure>) -> (Result<(), CallFailure>, Vec<u64>) {
        let started = Instant::now();
        let (left, times) = (RefCell::new(failures.into_iter()), RefCell::new(Vec::new()));
        let retrier = Retrier::new();
        let result = retrier.call(|| async {
            times.borrow_mut().push(started.elapsed().as_secs());
            left.borrow_mut().next().map_or(Ok(()), Err)
        });
        (result.await, times.into_inner())
    }

    fn after(seconds: u64) -> CallFailure {
        CallFailure::refused(503, ReceivedProblem::default(), Some(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_sent_again_when_the_service_says() {
        assert_eq!(
            called(vec![after(7), after(60)]).await,
            (Ok(()), vec![0, 7, 67])
        );
        let silent = CallFailure::unanswered("x");
        assert_eq!(
            called(vec![silent.clone(), silent]).await,
            (Ok(()), vec![0, 1, 3])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_not_sent_again_for_ever() {
        let late = after(61);
        assert_eq!(called(vec![late.clone()]).await, (Err(late), vec![0]));
        let refused = CallFailure::refused(400, ReceivedProblem::default(), None);
        assert_eq!(called(vec![refused.clone()]).await, (Err(refused), vec![0]));
        let always = vec![after(1); 9];
        assert_eq!(called(always).await, (Err(after(1)), vec![0, 1, 2, 3, 4]));
    }
}
