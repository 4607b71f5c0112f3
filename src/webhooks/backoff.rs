//! Exponential backoff with jitter: how long the sender waits after a failure.

use std::time::Duration;

use jiff::Timestamp;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait, whatever the receiver asks for.
pub(crate) const LONGEST: Duration = Duration::from_mins(15);

/// Computes the wait after so many failures in a row, from 1 on: it doubles with each; half of it
/// at least, the rest by chance, so that receivers of many services do not get them at once. A
/// `Retry-After` is honoured up to the longest wait.
pub(super) fn wait(failures: u32, retry_after: Option<Duration>) -> Duration {
    let doublings = failures.saturating_sub(1);
    let full = FIRST
        .checked_mul(2_u32.saturating_pow(doublings))
        .map_or(LONGEST, |full| full.min(LONGEST));
    let jittered = full / 2 + (full / 2).mul_f64(random_share());
    jittered.max(retry_after.unwrap_or_default()).min(LONGEST)
}

/// A back-off that the database holds, as this process sees it. Its end is by the clock of the
/// replica whose attempt failed, which may be ahead of the clock here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    ends_at: Timestamp,
    seen_at: Timestamp,
}

impl Backoff {
    /// Whether the back-off that ends then is over: at its end, or once it has been seen for the
    /// longest wait.
    pub(super) fn is_over(&mut self, ends_at: Timestamp, now: Timestamp) -> bool {
        if ends_at != self.ends_at {
            (self.ends_at, self.seen_at) = (ends_at, now);
        }
        // A clock that is set back restarts the wait.
        self.seen_at = self.seen_at.min(now);
        now >= ends_at || now >= self.seen_at + LONGEST
    }
}

/// Returns a random number from 0 to 1.
fn random_share() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn each_wait_is_about_twice_the_one_before_and_at_most_a_quarter_of_an_hour() {
        for (failures, full_s) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (10, 512),
            (11, 900),
            (12, 900),
            (40, 900),
            (u32::MAX, 900),
        ] {
            let full = Duration::from_secs(full_s);
            let waits: Vec<_> = (0..100).map(|_| wait(failures, None)).collect();
            let is_within = |wait: &Duration| (full / 2..=full).contains(wait);
            assert!(waits.iter().all(is_within), "{failures}: {waits:?}");
            assert!(
                waits.iter().any(|wait| *wait != waits[0]),
                "{failures}: no jitter"
            );
        }
    }

    #[test]
    fn a_back_off_is_over_at_its_end_or_after_the_longest_wait() {
        let start: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        let at = |seconds: i64| start + SignedDuration::from_secs(seconds);
        for (what, steps) in [
            ("an ended one", &[(-1, 0, true)][..]),
            (
                "a short one",
                &[(60, 0, false), (60, 59, false), (60, 60, true)],
            ),
            (
                "a clock that was ahead",
                &[(7200, 0, false), (7200, 899, false), (7200, 900, true)],
            ),
            (
                "this clock is set back",
                &[
                    (60, 0, false),
                    (60, -7200, false),
                    (60, -6301, false),
                    (60, -6300, true),
                ],
            ),
            (
                "another one after it",
                &[
                    (7200, 0, false),
                    (7300, 899, false),
                    (7300, 900, false),
                    (7300, 1799, true),
                ],
            ),
        ] {
            let mut backoff = Backoff::default();
            for (ends, now, want) in steps {
                let got = backoff.is_over(at(*ends), at(*now));
                assert_eq!(got, *want, "{what}: ends at {ends}, now {now}");
            }
        }
    }

    #[test]
    fn a_retry_after_is_honoured_within_the_longest_wait() {
        for (asked_s, want) in [
            (0, None),
            (60, Some(60)),
            (900, Some(900)),
            (901, Some(900)),
            (86_400, Some(900)),
        ] {
            let got = wait(1, Some(Duration::from_secs(asked_s)));
            match want {
                Some(want) => assert_eq!(got, Duration::from_secs(want), "{asked_s}"),
                None => assert!(got <= FIRST, "{asked_s}: {got:?}"),
            }
        }
    }
}
