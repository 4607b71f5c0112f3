//! How long the sender waits after a failure: twice as long after each, with jitter.

use std::time::Duration;

/// The wait after the first failure.
const FIRST: Duration = Duration::from_secs(1);

/// The longest wait, whatever the receiver asks for.
pub(super) const LONGEST: Duration = Duration::from_mins(15);

/// How long to wait after so many failures in a row, from 1 on: half of it at least, the rest by
/// chance, so that receivers of many services do not get them at once. A `Retry-After` is
/// honoured up to the longest wait.
pub(super) fn wait(failures: u32, retry_after: Option<Duration>) -> Duration {
    let doublings = failures.saturating_sub(1);
    let full = FIRST
        .checked_mul(2_u32.saturating_pow(doublings))
        .map_or(LONGEST, |full| full.min(LONGEST));
    let jittered = full / 2 + (full / 2).mul_f64(random_share());
    jittered.max(retry_after.unwrap_or_default()).min(LONGEST)
}

/// 0 to 1.
fn random_share() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
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
