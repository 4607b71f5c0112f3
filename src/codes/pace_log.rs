//! Reports an exceeded pace of visitors: a metric, and a rate-limited warning.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::telemetry;

/// The shortest time between two log lines. Strangers can exceed the pace without end.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Counts mints that the pace refused, and logs them once a minute at most.
#[derive(Debug, Default)]
pub(super) struct PaceLog(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    logged_at: Option<Instant>,
    unlogged: u64,
}

impl PaceLog {
    pub(super) fn exceeded(&self) {
        telemetry::visitor_pace_exceeded();
        if let Some(refused) = self.due() {
            tracing::warn!(
                refused,
                action = "raise WXQR_VISITOR_PACE if WeChat allows the account more calls a minute",
                "visitors ask for more new codes than WXQR_VISITOR_PACE allows"
            );
        }
    }

    /// How many refusals a line stands for, this one included; none while it is too early for
    /// another line.
    fn due(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.unlogged += 1;
        let now = Instant::now();
        if state
            .logged_at
            .is_some_and(|logged_at| now - logged_at < LOG_INTERVAL)
        {
            return None;
        }
        state.logged_at = Some(now);
        Some(std::mem::take(&mut state.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_a_minute_says_how_many_were_refused() {
        let log = PaceLog::default();
        for (seconds, want) in [
            (0, Some(1)),
            (1, None),
            (58, None),
            (1, Some(3)),
            (1, None),
            (500, Some(2)),
        ] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            assert_eq!(log.due(), want, "after {seconds} s more");
        }
    }
}
