//! A log line for a condition that may hold for long.

use std::time::Duration;

use tokio::time::Instant;

/// Limits a repeated log line to one in an interval, and counts what it stands for.
#[derive(Debug, Default)]
pub(crate) struct RateLimitedLog {
    logged_at: Option<Instant>,
    unlogged: u64,
}

impl RateLimitedLog {
    /// Counts an occurrence. If a line is due, returns how many it stands for, this one included.
    pub(crate) fn due(&mut self, interval: Duration) -> Option<u64> {
        self.unlogged += 1;
        let now = Instant::now();
        let is_recent = |logged_at: Instant| now - logged_at < interval;
        if self.logged_at.is_some_and(is_recent) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_a_minute_says_how_many_it_stands_for() {
        let mut log = RateLimitedLog::default();
        for (seconds, want) in [
            (0, Some(1)),
            (1, None),
            (58, None),
            (1, Some(3)),
            (1, None),
            (500, Some(2)),
        ] {
            tokio::time::advance(Duration::from_secs(seconds)).await;
            let due = log.due(Duration::from_mins(1));
            assert_eq!(due, want, "after {seconds} s more");
        }
    }
}
