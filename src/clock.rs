//! What time it is. The only place that asks the operating system, so that tests can move the hands.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan, Zoned};

/// A source of wall-clock time.
///
/// Deadlines and back-off use tokio's time; whatever is compared with WeChat's seconds or stored uses this.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present instant, in UTC.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
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

/// A clock that stands still until it is told to move.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// Starts at `start`.
    pub fn starting_at(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Moves the hands forward.
    pub fn advance(&self, by: Duration) {
        let mut now = self
            .0
            .lock()
            .expect("no one panics while holding the hands");
        *now += by;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self
            .0
            .lock()
            .expect("no one panics while holding the hands")
    }
}

/// China's time: eight hours ahead of UTC, without summer time.
#[derive(Debug, Clone, Copy)]
pub struct China;

impl China {
    /// The local time of an instant.
    pub fn time(at: Timestamp) -> Zoned {
        at.to_zoned(TimeZone::fixed(Offset::constant(8)))
    }

    /// The day of an instant, such as `2026-11-22`.
    pub fn day(at: Timestamp) -> String {
        Self::time(at).date().to_string()
    }

    /// How long it is until the next midnight.
    pub fn until_midnight(at: Timestamp) -> Duration {
        let tomorrow = Self::time(at)
            .date()
            .saturating_add(1.day())
            .to_zoned(TimeZone::fixed(Offset::constant(8)));
        let end = tomorrow.map_or(at, |midnight| midnight.timestamp());
        at.duration_until(end).try_into().unwrap_or_default()
    }
}
