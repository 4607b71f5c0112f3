//! Wall-clock time. The only module that reads the system clock, so that tests can control time.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};

/// A source of wall-clock time.
///
/// For instants that are stored or compared with WeChat's; timeouts and backoff use tokio's time.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The current time, in UTC.
    fn now(&self) -> Timestamp;
}

#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that only moves by [`ManualClock::advance`] and [`ManualClock::set_back`], for tests.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Creates a clock that shows `start` until it is moved.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().expect("no one panics while holding the time");
        *now += by;
    }

    /// Moves the clock back, as an operator or NTP does with one that was ahead.
    pub fn set_back(&self, by: Duration) {
        let mut now = self.0.lock().expect("no one panics while holding the time");
        *now -= by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no one panics while holding the time")
    }
}

/// China Standard Time: UTC+8 without daylight saving time.
#[derive(Debug, Clone, Copy)]
pub struct China;

impl China {
    /// The local time of an instant.
    pub fn time(at: Timestamp) -> Zoned {
        at.to_zoned(TimeZone::fixed(Offset::constant(8)))
    }

    /// The local date of an instant, such as `2026-11-22`.
    pub fn day(at: Timestamp) -> String {
        Self::time(at).date().to_string()
    }

    /// The time until the next local midnight.
    pub fn until_midnight(at: Timestamp) -> Duration {
        let tomorrow = Self::time(at)
            .date()
            .saturating_add(1.day())
            .to_zoned(TimeZone::fixed(Offset::constant(8)));
        let end = tomorrow.map_or(at, |midnight| midnight.timestamp());
        at.duration_until(end).try_into().unwrap_or_default()
    }
}
