//! Rate limit of all visitors together, for each process. [`Pacer`] is the type to read first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::rate::{Rate, RateToken, TokenBucket, lock};
use crate::clock::Clock;

/// A token bucket that all visitors share, and in which callers may wait for a token.
///
/// [`super::rate::RateLimiter`] limits each visitor; this also limits a client that uses many
/// addresses.
#[derive(Debug)]
pub struct Pacer {
    rate: Rate,
    bucket: Arc<Mutex<TokenBucket>>,
    clock: Arc<dyn Clock>,
}

/// The wait for a token would be too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("visitors create as many codes as WXQR_VISITOR_PACE allows")]
pub struct PaceExceeded {
    /// The wait that would have been necessary; never zero.
    pub retry_after: Duration,
}

impl Pacer {
    /// Starts with a full bucket.
    pub fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let bucket = Arc::new(Mutex::new(TokenBucket::full(clock.now())));
        Self {
            rate,
            bucket,
            clock,
        }
    }

    /// Takes a token if one is available now.
    ///
    /// # Errors
    /// If none is; no token is taken then.
    pub fn try_acquire(&self) -> Result<RateToken, PaceExceeded> {
        self.reserve(Duration::ZERO).map(|(token, _)| token)
    }

    /// Takes a token, and waits until it is available. Cancel safe; the reserved token is then
    /// lost.
    ///
    /// # Errors
    /// If the wait would be longer than `max_wait`; no token is taken then.
    pub async fn acquire(&self, max_wait: Duration) -> Result<RateToken, PaceExceeded> {
        let (token, wait) = self.reserve(max_wait)?;
        tokio::time::sleep(wait).await;
        Ok(token)
    }

    /// Reserves a token, and returns the time until it is available.
    fn reserve(&self, max_wait: Duration) -> Result<(RateToken, Duration), PaceExceeded> {
        let now = self.clock.now();
        let taken = lock(&self.bucket).reserve(self.rate, now, max_wait);
        let wait = taken.map_err(|retry_after| PaceExceeded { retry_after })?;
        Ok((RateToken::new(&self.bucket, self.rate), wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const MAX_WAIT: Duration = Duration::from_secs(1);

    fn pacer(rate: &str) -> (Pacer, Arc<ManualClock>) {
        let start = "2026-11-22T12:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::starting_at(start));
        (Pacer::new(rate.parse().unwrap(), clock.clone()), clock)
    }

    /// The waits of the accepted calls, in milliseconds, and the `Retry-After` of the first refused
    /// call.
    fn rush(pacer: &Pacer) -> (Vec<u128>, Duration) {
        let mut waits = Vec::new();
        loop {
            match pacer.reserve(MAX_WAIT) {
                Ok((_, wait)) => waits.push(wait.as_millis()),
                Err(exceeded) => return (waits, exceeded.retry_after),
            }
        }
    }

    #[test]
    fn a_burst_drains_the_bucket_then_waits_up_to_the_limit() {
        let (pacer, clock) = pacer("2/1s");
        let too_long = Duration::from_millis(1500);
        assert_eq!(rush(&pacer), (vec![0, 0, 500, 1000], too_long));
        assert_eq!(
            rush(&pacer),
            (vec![], too_long),
            "nothing was taken in vain"
        );
        clock.advance(Duration::from_secs(1));
        assert_eq!(rush(&pacer), (vec![500, 1000], too_long));
        clock.advance(Duration::from_hours(1));
        assert_eq!(rush(&pacer), (vec![0, 0, 500, 1000], too_long));
    }

    #[test]
    fn an_unused_token_is_refunded() {
        let (pacer, _clock) = pacer("1/1s");
        let (first, _) = pacer.reserve(MAX_WAIT).unwrap();
        first.refund();
        assert_eq!(rush(&pacer).0, [0, 1000]);
    }
}
