//! How often all visitors of this process together may have WeChat called. [`Pacer`] is the type to read first.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::rate::{Bucket, Payment, Rate, lock};
use crate::clock::Clock;

/// A token bucket for all visitors together, in which callers may wait for their token.
///
/// [`super::RateLimiter`] bounds each visitor; this also bounds a client that uses many addresses.
#[derive(Debug)]
pub struct Pacer {
    rate: Rate,
    bucket: Arc<Mutex<Bucket>>,
    clock: Arc<dyn Clock>,
}

/// Too many visitors wait already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("visitors have as many codes made as WXQR_VISITOR_PACE lets through")]
pub struct PaceExceeded {
    /// What the wait would have been; never zero.
    pub retry_after: Duration,
}

impl Pacer {
    /// A full bucket.
    pub fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let bucket = Arc::new(Mutex::new(Bucket::full(clock.now())));
        Self {
            rate,
            bucket,
            clock,
        }
    }

    /// Takes a token, and waits until it is there. Cancel safe; a token that was waited for is lost then.
    ///
    /// # Errors
    /// If the wait would be longer than `patience`; nothing is taken then.
    pub async fn acquire(&self, patience: Duration) -> Result<Payment, PaceExceeded> {
        let (payment, wait) = self.reserve(patience)?;
        tokio::time::sleep(wait).await;
        Ok(payment)
    }

    /// A token, and how long it takes until it is there.
    fn reserve(&self, patience: Duration) -> Result<(Payment, Duration), PaceExceeded> {
        let now = self.clock.now();
        let taken = lock(&self.bucket).take_ahead(self.rate, now, patience);
        let wait = taken.map_err(|retry_after| PaceExceeded { retry_after })?;
        Ok((Payment::new(&self.bucket, self.rate), wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn pacer(rate: &str) -> (Pacer, Arc<ManualClock>) {
        let start = "2026-11-22T12:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::starting_at(start));
        (Pacer::new(rate.parse().unwrap(), clock.clone()), clock)
    }

    /// The waits of the accepted calls, in milliseconds, and the `Retry-After` of the first call that is refused.
    fn rush(pacer: &Pacer) -> (Vec<u128>, Duration) {
        let mut waits = Vec::new();
        loop {
            match pacer.reserve(PATIENCE) {
                Ok((_, wait)) => waits.push(wait.as_millis()),
                Err(exceeded) => return (waits, exceeded.retry_after),
            }
        }
    }

    #[test]
    fn a_rush_gets_a_bucket_at_once_and_then_one_by_one_within_its_patience() {
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
    fn a_token_that_was_not_needed_is_given_back() {
        let (pacer, _clock) = pacer("1/1s");
        let (first, _) = pacer.reserve(PATIENCE).unwrap();
        first.refund();
        assert_eq!(rush(&pacer).0, [0, 1000]);
    }
}
