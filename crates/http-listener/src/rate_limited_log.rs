//! A log line for a condition that may hold for long.

use std::time::Duration;

use tokio::time::Instant;

/// Minimum time between two lines.
const PERIOD: Duration = Duration::from_mins(1);

/// Limits a repeated log line to one a minute.
#[derive(Debug, Default)]
pub(crate) struct RateLimitedLog {
    last: Option<Instant>,
}

impl RateLimitedLog {
    /// Returns whether to write the line now.
    pub(crate) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.last.is_none_or(|last| now - last >= PERIOD);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}
