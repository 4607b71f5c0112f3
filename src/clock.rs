//! What time it is. The only place that asks the operating system, so that tests can move the hands.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;

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
