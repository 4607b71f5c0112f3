//! The log of deliveries: the first failure of a series, one in ten minutes after it, and the end.

use std::time::Duration;

use super::receiver::{AttemptError, FailureReason};
use crate::telemetry::{Causes, RateLimitedLog};

/// The shortest time between two log lines of a series of failures. Chosen.
const LOG_INTERVAL: Duration = Duration::from_mins(10);

/// The log of the failures since the last delivery.
#[derive(Debug, Default)]
pub(super) struct FailureLog(RateLimitedLog);

impl FailureLog {
    /// Logs a failure, the given one in a row, unless a line is recent.
    pub(super) fn failed(&mut self, error: &AttemptError, failures: u32, wait: Duration) {
        if error.reason() == FailureReason::Gone {
            tracing::error!(
                action = "restart with another WXQR_WEBHOOK_URL, or without one; a restart alone tries the same again",
                "the webhook receiver answered 410: this process sends it nothing more"
            );
        } else if self.is_due() {
            tracing::warn!(
                error = %Causes(error),
                failures,
                next_try_in_s = wait.as_secs().max(1),
                "events were not delivered to the webhook receiver; they are sent again"
            );
        }
    }

    /// Logs a delivery after a failure.
    pub(super) fn delivered(&mut self, failures: u32) {
        self.0 = RateLimitedLog::default();
        if failures > 0 {
            tracing::info!(failures, "the webhook receiver takes events again");
        }
    }

    fn is_due(&mut self) -> bool {
        self.0.due(LOG_INTERVAL).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_series_of_failures_is_a_line_in_ten_minutes() {
        let mut log = FailureLog::default();
        for (minutes, want) in [(0, true), (1, false), (8, false), (1, true), (9, false)] {
            tokio::time::advance(Duration::from_mins(minutes)).await;
            assert_eq!(log.is_due(), want, "after {minutes} min more");
        }
        log.delivered(3);
        assert!(log.is_due(), "the first of the next series");
    }
}
