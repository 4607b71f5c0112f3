//! Rate limit of each visitor: one token bucket per address. [`RateLimiter`] is the type to read
//! first.
//!
//! The bucket holds as many tokens as the rate has mints, and refills evenly over one period. It is
//! stored as one instant, the generic cell rate algorithm (GCRA).

use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::visitor::Visitor;
use crate::clock::Clock;
use crate::text::is_digits;

/// A rate: 1 to 1 000 000 mints in a period of one second to one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    mints: NonZeroU32,
    period: Duration,
}

impl Rate {
    /// The accepted form, in one line for error messages.
    pub const FORM: &'static str =
        "N/DURATION as in 30/1m, N from 1 to 1000000, the duration from 1s to 1d";
    /// Maximum number of mints in a period.
    pub const MAX_MINTS: u32 = 1_000_000;
    pub const MIN_PERIOD: Duration = Duration::from_secs(1);
    pub const MAX_PERIOD: Duration = Duration::from_hours(24);

    /// The time in which one token is refilled.
    fn interval(self) -> Duration {
        self.period / self.mints.get()
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let (mints, period) = text.split_once('/').ok_or(RateError::Form)?;
        let period = humantime::parse_duration(period).map_err(|_| RateError::Form)?;
        if !is_digits(mints) {
            return Err(RateError::Form);
        }
        // Digits that overflow `u32` are a number that is out of range.
        let mints: u32 = mints.parse().map_err(|_| RateError::Mints)?;
        let mints = NonZeroU32::new(mints).ok_or(RateError::Zero)?;
        if mints.get() > Self::MAX_MINTS {
            return Err(RateError::Mints);
        }
        if !(Self::MIN_PERIOD..=Self::MAX_PERIOD).contains(&period) {
            return Err(RateError::Period);
        }
        Ok(Self { mints, period })
    }
}

/// Why a rate is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not a number, a slash and a duration with its unit.
    #[error("is not a rate")]
    Form,
    #[error("would let no visitor create codes (WXQR_ACCESS=keyed is for that)")]
    Zero,
    /// Too many mints.
    #[error("has a number that is out of range")]
    Mints,
    /// A period that is too short or too long.
    #[error("has a duration that is out of range")]
    Period,
}

/// Limits the mints of each visitor, within this process.
///
/// Holds a bounded number of buckets, with LRU eviction. An evicted visitor starts again with a
/// full bucket, which gives no advantage to a client that has enough addresses to cause evictions.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Rate,
    buckets: Cache<Visitor, Arc<Mutex<TokenBucket>>>,
    clock: Arc<dyn Clock>,
}

impl RateLimiter {
    /// Maximum number of buckets: three times the default daily budget, in about 13 MB (measured).
    pub const MAX_VISITORS: u64 = 32_768;

    /// Starts without any bucket.
    pub fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        Self::with_capacity(Self::MAX_VISITORS, rate, clock)
    }

    fn with_capacity(visitors: u64, rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let buckets = Cache::builder()
            .max_capacity(visitors)
            // The default policy (TinyLFU) prefers frequent visitors and may not admit newcomers at
            // all.
            .eviction_policy(EvictionPolicy::lru())
            // After one period the bucket is full, the same as a new one.
            .time_to_idle(rate.period)
            .build();
        Self {
            rate,
            buckets,
            clock,
        }
    }

    /// Takes one token from the visitor's bucket, before the mint starts.
    ///
    /// # Errors
    /// If the bucket is empty; no token is taken then.
    pub fn try_acquire(&self, visitor: Visitor) -> Result<RateToken, RateExceeded> {
        let now = self.clock.now();
        let bucket = self
            .buckets
            .get_with(visitor, || Arc::new(Mutex::new(TokenBucket::full(now))));
        lock(&bucket).try_take(self.rate, now)?;
        Ok(RateToken::new(&bucket, self.rate))
    }
}

/// A token that was taken. Dropping it spends it.
#[derive(Debug)]
#[must_use = "to be given back if no request leaves; say `drop` if it is not"]
pub struct RateToken {
    bucket: Arc<Mutex<TokenBucket>>,
    interval: Duration,
}

impl RateToken {
    pub(super) fn new(bucket: &Arc<Mutex<TokenBucket>>, rate: Rate) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            interval: rate.interval(),
        }
    }

    /// Returns the token, because no request was sent to WeChat.
    pub fn refund(self) {
        lock(&self.bucket).full_at -= self.interval;
    }
}

/// The visitor's bucket is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this visitor has created as many codes as one may")]
pub struct RateExceeded {
    /// Time until the next token; never zero, and at most the refill interval.
    pub retry_after: Duration,
}

/// A token bucket as one instant, the time at which it will be full (GCRA). An instant in the past
/// means a full bucket.
#[derive(Debug)]
pub(super) struct TokenBucket {
    full_at: Timestamp,
}

impl TokenBucket {
    pub(super) fn full(now: Timestamp) -> Self {
        Self { full_at: now }
    }

    fn try_take(&mut self, rate: Rate, now: Timestamp) -> Result<(), RateExceeded> {
        let taken = self.reserve(rate, now, Duration::ZERO);
        taken
            .map(|_| ())
            .map_err(|retry_after| RateExceeded { retry_after })
    }

    /// Reserves a token that is available within `max_wait`, and returns the wait; otherwise the
    /// wait that would have been necessary.
    pub(super) fn reserve(
        &mut self,
        rate: Rate,
        now: Timestamp,
        max_wait: Duration,
    ) -> Result<Duration, Duration> {
        let interval = rate.interval();
        let empty_at = now + interval * rate.mints.get();
        // Clamped, so that a clock that is set back blocks a visitor for one period at most.
        let full_at = self.full_at.clamp(now, empty_at + max_wait) + interval;
        let wait = Duration::try_from(full_at.duration_since(empty_at)).unwrap_or_default();
        if wait > max_wait {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(wait)
    }
}

pub(super) fn lock(bucket: &Mutex<TokenBucket>) -> std::sync::MutexGuard<'_, TokenBucket> {
    bucket
        .lock()
        .expect("no one panics while holding a bucket, whose instants are far from the end of time")
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::clock::ManualClock;

    fn limiter(rate: &str, visitors: u64) -> (RateLimiter, Arc<ManualClock>) {
        let start = "2026-11-22T12:00:00Z".parse().unwrap();
        let clock = Arc::new(ManualClock::starting_at(start));
        let rate = rate.parse().unwrap();
        let limiter = RateLimiter::with_capacity(visitors, rate, clock.clone());
        (limiter, clock)
    }

    fn visitor(number: u32) -> Visitor {
        IpAddr::V4(Ipv4Addr::from_bits(number)).into()
    }

    /// The number of mints in a row that the visitor gets.
    fn burst(limiter: &RateLimiter, visitor: Visitor) -> usize {
        (0..100)
            .take_while(|_| limiter.try_acquire(visitor).is_ok())
            .count()
    }

    #[test]
    fn a_rate_is_a_number_and_a_duration() {
        let minute = Duration::from_mins(1);
        for (text, want) in [
            ("30/1m", Ok((30, minute))),
            ("1/1s", Ok((1, Duration::from_secs(1)))),
            ("030/60s", Ok((30, minute))),
            ("5/1m 30s", Ok((5, Duration::from_secs(90)))),
            ("1000000/1d", Ok((1_000_000, Duration::from_hours(24)))),
            ("0/1m", Err(RateError::Zero)),
            ("1000001/1m", Err(RateError::Mints)),
            ("99999999999/1m", Err(RateError::Mints)),
            ("1/999ms", Err(RateError::Period)),
            ("1/0s", Err(RateError::Period)),
            ("1/1day 1s", Err(RateError::Period)),
            ("", Err(RateError::Form)),
            ("30", Err(RateError::Form)),
            ("30/", Err(RateError::Form)),
            ("/1m", Err(RateError::Form)),
            ("30/60", Err(RateError::Form)),
            ("30/m", Err(RateError::Form)),
            ("+30/1m", Err(RateError::Form)),
            ("-1/1m", Err(RateError::Form)),
            ("1.5/1m", Err(RateError::Form)),
            ("30/1m/1h", Err(RateError::Form)),
            ("30 per minute", Err(RateError::Form)),
        ] {
            let got = text
                .parse::<Rate>()
                .map(|rate| (rate.mints.get(), rate.period));
            assert_eq!(got, want, "input {text:?}");
        }
    }

    #[test]
    fn a_token_bucket_allows_a_burst_and_then_refills() {
        let (limiter, clock) = limiter("3/1m", 100);
        let step = Duration::from_secs(20);
        assert_eq!(burst(&limiter, visitor(1)), 3);
        let refused = limiter.try_acquire(visitor(1)).unwrap_err();
        assert_eq!(refused, RateExceeded { retry_after: step });
        clock.advance(Duration::from_secs(15));
        let refused = limiter.try_acquire(visitor(1)).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(5));
        clock.advance(refused.retry_after);
        assert_eq!(
            burst(&limiter, visitor(1)),
            1,
            "a token is available after retry_after"
        );
        clock.advance(2 * step);
        assert_eq!(burst(&limiter, visitor(1)), 2);
        clock.advance(Duration::from_hours(1000));
        assert_eq!(burst(&limiter, visitor(1)), 3, "never more than a bucket");
    }

    #[test]
    fn each_visitor_has_a_token_bucket_of_its_own() {
        let (limiter, _clock) = limiter("2/1m", 100);
        for number in 0..50 {
            assert_eq!(burst(&limiter, visitor(number)), 2);
        }
    }

    #[test]
    fn a_refund_returns_one_token_and_never_overfills() {
        let (limiter, clock) = limiter("2/1m", 100);
        let token = limiter.try_acquire(visitor(1)).unwrap();
        drop(limiter.try_acquire(visitor(1)).unwrap());
        assert_eq!(burst(&limiter, visitor(1)), 0);
        token.refund();
        assert_eq!(burst(&limiter, visitor(1)), 1);
        let late = {
            clock.advance(Duration::from_mins(1));
            limiter.try_acquire(visitor(1)).unwrap()
        };
        clock.advance(Duration::from_mins(10));
        late.refund();
        assert_eq!(burst(&limiter, visitor(1)), 2);
    }

    #[test]
    fn a_clock_set_back_blocks_for_one_period_at_most() {
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let rate: Rate = "2/1m".parse().unwrap();
        let mut bucket = TokenBucket {
            full_at: start + Duration::from_hours(5),
        };
        let refused = bucket.try_take(rate, start).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(30));
    }

    #[test]
    fn concurrent_requests_never_overdraw_the_bucket() {
        let (limiter, _clock) = limiter("30/1m", 100);
        let paid: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let tries = (0..20).filter(|_| limiter.try_acquire(visitor(1)).is_ok());
                        u32::try_from(tries.count()).unwrap()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(paid, 30);
    }

    #[test]
    fn lru_eviction_bounds_memory_and_admits_newcomers() {
        let (limiter, _clock) = limiter("3/1h", 100);
        for round in 0..5 {
            for number in 0..100 {
                let paid = limiter.try_acquire(visitor(number)).is_ok();
                assert_eq!(paid, round < 3, "visitor {number}, round {round}");
            }
        }
        for newcomer in 1000..1300 {
            drop(limiter.try_acquire(visitor(newcomer)).unwrap());
            limiter.buckets.run_pending_tasks();
            assert!(limiter.buckets.entry_count() <= 100);
            assert_eq!(burst(&limiter, visitor(newcomer)), 2, "visitor {newcomer}");
        }
        assert_eq!(
            burst(&limiter, visitor(0)),
            3,
            "an evicted visitor has a full bucket"
        );
    }
}
