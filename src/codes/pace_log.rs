//! Reports an exceeded pace of visitors: a metric, and a rate-limited warning.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::telemetry::{self, RateLimitedLog};

/// The shortest time between two log lines. Strangers can exceed the pace without end.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Rate-limited log of mints refused by the pace, which is the rate limit of all visitors together:
/// each is counted, and one line a minute is written at most.
#[derive(Debug, Default)]
pub(super) struct PaceLog(Mutex<RateLimitedLog>);

impl PaceLog {
    pub(super) fn exceeded(&self) {
        telemetry::visitor_pace_exceeded();
        let log = self.0.lock();
        let due = log
            .unwrap_or_else(PoisonError::into_inner)
            .due(LOG_INTERVAL);
        if let Some(refused) = due {
            tracing::warn!(
                refused,
                action = "raise WXQR_VISITOR_PACE if WeChat allows the account more calls a minute",
                "visitors ask for more new codes than WXQR_VISITOR_PACE allows"
            );
        }
    }
}
