//! How often one visitor may mint. [`RateLimiter`] is the type to read first.
//!
//! A visitor has a bucket of as many mints as the rate has; it fills again steadily, and is full after one period. So a short
//! burst is as good as a slow trickle, and nobody waits longer than for the next single mint.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::Visitor;
use crate::clock::Clock;
use crate::text::is_digits;

/// So many mints in so much time: 1 to 1 000 000 in one second to one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    mints: NonZeroU32,
    period: Duration,
}

impl Rate {
    /// The form that is read, in one line for a message.
    pub const FORM: &'static str =
        "N/DURATION as in 30/1m, N from 1 to 1000000, the duration from 1s to 1d";
    /// The most mints in a period.
    pub const MAX_MINTS: u32 = 1_000_000;
    /// The shortest period.
    pub const MIN_PERIOD: Duration = Duration::from_secs(1);
    /// The longest period.
    pub const MAX_PERIOD: Duration = Duration::from_hours(24);

    /// What it takes until one more mint is there.
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
        // Digits that are no `u32` are a number that is too large.
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

/// Why a rate was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not a number, a slash and a duration with its unit.
    #[error("is not a rate")]
    Form,
    /// No mint at all.
    #[error("would let no visitor mint, which is what keyed access is for")]
    Zero,
    /// Too many mints.
    #[error("has a number that is out of range")]
    Mints,
    /// A period that is too short or too long.
    #[error("has a duration that is out of range")]
    Period,
}

/// Counts what each visitor mints, in this process.
///
/// It remembers a bounded number of visitors. When there are more, the one who was not seen for the longest time is forgotten,
/// and may mint as a new one may: whoever has so many addresses needs no such trick.
#[derive(Debug)]
pub struct RateLimiter {
    rate: Rate,
    buckets: Cache<Visitor, Arc<Mutex<Bucket>>>,
    clock: Arc<dyn Clock>,
}

impl RateLimiter {
    /// The most visitors that are remembered: three times the day's budget as it is by default, in about 13 MB (measured).
    pub const MAX_VISITORS: u64 = 32_768;

    /// A limiter that has seen nobody.
    pub fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        Self::remembering(Self::MAX_VISITORS, rate, clock)
    }

    fn remembering(visitors: u64, rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let buckets = Cache::builder()
            .max_capacity(visitors)
            // The default policy would rather keep whoever comes often, and not count newcomers at all.
            .eviction_policy(EvictionPolicy::lru())
            // By then the bucket is full, as that of somebody unknown.
            .time_to_idle(rate.period)
            .build();
        Self {
            rate,
            buckets,
            clock,
        }
    }

    /// Takes one mint from the visitor's bucket, before the mint is made.
    ///
    /// # Errors
    /// When the bucket is empty; nothing is taken then.
    pub fn pay(&self, visitor: Visitor) -> Result<Payment, RateExceeded> {
        let now = self.clock.now();
        let bucket = self
            .buckets
            .get_with(visitor, || Arc::new(Mutex::new(Bucket::full(now))));
        lock(&bucket).take(self.rate, now)?;
        Ok(Payment::new(&bucket, self.rate))
    }
}

/// One mint that was paid for. Dropping it keeps the payment.
#[derive(Debug)]
#[must_use = "to be given back if no request leaves; say `drop` if it is not"]
pub struct Payment {
    bucket: Arc<Mutex<Bucket>>,
    interval: Duration,
}

impl Payment {
    pub(super) fn new(bucket: &Arc<Mutex<Bucket>>, rate: Rate) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            interval: rate.interval(),
        }
    }

    /// Gives it back, because the request to WeChat never left.
    pub fn refund(self) {
        lock(&self.bucket).full_at -= self.interval;
    }
}

/// The visitor has minted as much as one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this visitor has minted as often as one may")]
pub struct RateExceeded {
    /// Until the next mint is there; never zero, and at most what a single mint takes to come back.
    pub retry_after: Duration,
}

/// What is left of so many mints, as the instant at which nothing will be missing. An instant in the past means nothing is.
#[derive(Debug)]
pub(super) struct Bucket {
    full_at: Timestamp,
}

impl Bucket {
    /// Nothing is missing.
    pub(super) fn full(now: Timestamp) -> Self {
        Self { full_at: now }
    }

    fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), RateExceeded> {
        let taken = self.take_ahead(rate, now, Duration::ZERO);
        taken
            .map(|_| ())
            .map_err(|retry_after| RateExceeded { retry_after })
    }

    /// Takes a mint that will be there within `patience`, and says when; else says how long it would have taken.
    pub(super) fn take_ahead(
        &mut self,
        rate: Rate,
        now: Timestamp,
        patience: Duration,
    ) -> Result<Duration, Duration> {
        let interval = rate.interval();
        let empty_at = now + interval * rate.mints.get();
        // A clock that was set back must not lock anybody out for longer than a bucket takes to fill.
        let full_at = self.full_at.clamp(now, empty_at + patience) + interval;
        let wait = Duration::try_from(full_at.duration_since(empty_at)).unwrap_or_default();
        if wait > patience {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(wait)
    }
}

pub(super) fn lock(bucket: &Mutex<Bucket>) -> std::sync::MutexGuard<'_, Bucket> {
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
        let limiter = RateLimiter::remembering(visitors, rate, clock.clone());
        (limiter, clock)
    }

    fn visitor(number: u32) -> Visitor {
        IpAddr::V4(Ipv4Addr::from_bits(number)).into()
    }

    /// How many mints in a row the visitor gets.
    fn burst(limiter: &RateLimiter, visitor: Visitor) -> usize {
        (0..100)
            .take_while(|_| limiter.pay(visitor).is_ok())
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
    fn a_visitor_mints_in_a_burst_and_then_as_time_goes_by() {
        let (limiter, clock) = limiter("3/1m", 100);
        let step = Duration::from_secs(20);
        assert_eq!(burst(&limiter, visitor(1)), 3);
        let refused = limiter.pay(visitor(1)).unwrap_err();
        assert_eq!(refused, RateExceeded { retry_after: step });
        clock.advance(Duration::from_secs(15));
        let refused = limiter.pay(visitor(1)).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(5));
        clock.advance(refused.retry_after);
        assert_eq!(
            burst(&limiter, visitor(1)),
            1,
            "what was told is when it works"
        );
        clock.advance(2 * step);
        assert_eq!(burst(&limiter, visitor(1)), 2);
        clock.advance(Duration::from_hours(1000));
        assert_eq!(burst(&limiter, visitor(1)), 3, "never more than a bucket");
    }

    #[test]
    fn visitors_do_not_pay_for_each_other() {
        let (limiter, _clock) = limiter("2/1m", 100);
        for number in 0..50 {
            assert_eq!(burst(&limiter, visitor(number)), 2);
        }
    }

    #[test]
    fn a_refund_gives_back_what_was_paid_and_no_more() {
        let (limiter, clock) = limiter("2/1m", 100);
        let payment = limiter.pay(visitor(1)).unwrap();
        drop(limiter.pay(visitor(1)).unwrap());
        assert_eq!(burst(&limiter, visitor(1)), 0);
        payment.refund();
        assert_eq!(burst(&limiter, visitor(1)), 1);
        let late = {
            clock.advance(Duration::from_mins(1));
            limiter.pay(visitor(1)).unwrap()
        };
        clock.advance(Duration::from_mins(10));
        late.refund();
        assert_eq!(burst(&limiter, visitor(1)), 2);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let rate: Rate = "2/1m".parse().unwrap();
        let mut bucket = Bucket {
            full_at: start + Duration::from_hours(5),
        };
        let refused = bucket.take(rate, start).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(30));
    }

    #[test]
    fn however_many_pay_at_once_a_bucket_has_its_size() {
        let (limiter, _clock) = limiter("30/1m", 100);
        let paid: u32 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let tries = (0..20).filter(|_| limiter.pay(visitor(1)).is_ok());
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
    fn many_addresses_neither_fill_the_memory_nor_hide_a_newcomer() {
        let (limiter, _clock) = limiter("3/1h", 100);
        for round in 0..5 {
            for number in 0..100 {
                let paid = limiter.pay(visitor(number)).is_ok();
                assert_eq!(paid, round < 3, "visitor {number}, round {round}");
            }
        }
        for newcomer in 1000..1300 {
            drop(limiter.pay(visitor(newcomer)).unwrap());
            limiter.buckets.run_pending_tasks();
            assert!(limiter.buckets.entry_count() <= 100);
            assert_eq!(burst(&limiter, visitor(newcomer)), 2, "visitor {newcomer}");
        }
        assert_eq!(
            burst(&limiter, visitor(0)),
            3,
            "who was forgotten is as new"
        );
    }
}
