//! Cooldown: for a while after a failure, the same is not tried again.

use std::time::Duration;

use jiff::Timestamp;

/// Negative cache of one failure: it answers all callers for a fixed time, or for one that doubles
/// with each failure (exponential back-off).
#[derive(Debug)]
pub(super) struct Cooldown<F> {
    failure: F,
    length: Duration,
    until: Timestamp,
}

impl<F> Cooldown<F> {
    /// Starts a cooldown of this length at `now`.
    pub(super) fn new(failure: F, now: Timestamp, length: Duration) -> Self {
        Self {
            failure,
            length,
            until: now + length,
        }
    }

    /// Starts the cooldown after one more failure: the shortest one, or twice the one before, up to
    /// the longest (exponential backoff).
    pub(super) fn after(
        before: Option<&Self>,
        failure: F,
        now: Timestamp,
        (shortest, longest): (Duration, Duration),
    ) -> Self {
        let length = before.map_or(shortest, |before| longest.min(before.length * 2));
        Self::new(failure, now, length)
    }

    /// Returns the failure, while it cools down.
    pub(super) fn failure(&self, now: Timestamp) -> Option<&F> {
        (now < self.until).then_some(&self.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponential_backoff_doubles_up_to_the_longest_cooldown() {
        const BOUNDS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));
        let mut now = Timestamp::UNIX_EPOCH;
        let mut cooldown = None;
        for seconds in [1, 2, 4, 5, 5] {
            let after = Cooldown::after(cooldown.as_ref(), (), now, BOUNDS);
            let length = Duration::from_secs(seconds);
            assert!(
                after
                    .failure(now + length - Duration::from_millis(1))
                    .is_some()
            );
            now += length;
            assert!(after.failure(now).is_none(), "after {seconds} s");
            cooldown = Some(after);
        }
    }
}
