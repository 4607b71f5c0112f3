//! The freshness floor: the remaining lifetime that a code must have to be reused.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;

use wechat::scene::Lifetime;
use wechat::ticket::{IssuedCode, Life};

/// Share of the requested lifetime that a known code must have left to be reused: 0 to 1.
///
/// At 1 every request mints, as if there were no cache; at 0 a code is reused until its last
/// minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReuseShare(f64);

/// The floor with [`ReuseShare`] at 0, unless half of the requested lifetime is shorter.
const LAST_MINUTE: Duration = Duration::from_mins(1);

impl ReuseShare {
    pub fn get(self) -> f64 {
        self.0
    }

    /// Returns the freshness floor of a code for a requested lifetime; zero for a permanent code.
    ///
    /// Where WeChat granted less than it was asked, the floor shrinks in the same proportion. Else
    /// a code that can never reach the floor would be minted again for each request.
    pub fn floor(self, code: &IssuedCode, asked: Option<Lifetime>) -> Duration {
        let (
            Some(asked),
            Life::Temporary {
                asked: asked_then,
                granted,
                ..
            },
        ) = (asked, code.life)
        else {
            return Duration::ZERO;
        };
        let asked = asked.as_duration();
        let wanted = if self.0 > 0.0 {
            asked.mul_f64(self.0)
        } else {
            LAST_MINUTE.min(asked / 2)
        };
        wanted.mul_f64(f64::from(granted.as_secs()) / f64::from(asked_then.as_secs()))
    }

    /// Whether the code may be served, at `now`, to a request of `asked` that arrived at `arrived`.
    ///
    /// A code that was minted after the request arrived satisfies it if it was asked for as long a
    /// lifetime: at a reuse of 1 nothing else ever would. An expired code satisfies no request.
    pub fn is_fresh(
        self,
        code: &IssuedCode,
        asked: Option<Lifetime>,
        arrived: Timestamp,
        now: Timestamp,
    ) -> bool {
        let Life::Temporary {
            minted_at,
            asked: asked_then,
            ..
        } = code.life
        else {
            return true;
        };
        let left = code.left(now).unwrap_or_default();
        let minted_for_it = minted_at >= arrived && Some(asked_then) >= asked;
        !left.is_zero() && (minted_for_it || left >= self.floor(code, asked))
    }
}

impl FromStr for ReuseShare {
    type Err = ReuseError;

    fn from_str(text: &str) -> Result<Self, ReuseError> {
        match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            _ => Err(ReuseError),
        }
    }
}

/// The text is not a number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a number from 0 to 1")]
pub struct ReuseError;

#[cfg(test)]
mod tests {
    use super::*;

    fn code(asked: u64, granted: u64) -> IssuedCode {
        IssuedCode {
            ticket: "t".parse().unwrap(),
            url: "http://weixin.qq.com/q/a".parse().unwrap(),
            life: Life::Temporary {
                minted_at: Timestamp::UNIX_EPOCH,
                asked: asked.try_into().unwrap(),
                granted: granted.try_into().unwrap(),
            },
        }
    }

    #[test]
    fn worked_examples_of_the_floor() {
        const MONTH: u64 = 2_592_000;
        // reuse, asked then, granted then, asked now, floor
        for (reuse, asked_then, granted, asked_now, floor) in [
            ("0.5", 7200, 7200, 7200, 3600.0),
            ("0.5", 7200, 1800, 7200, 900.0),
            ("0.5", MONTH, MONTH, 7200, 3600.0),
            ("0.5", 7200, 7200, MONTH, 1_296_000.0),
            ("1", 7200, 7200, 7200, 7200.0),
            ("1", 7200, 1800, 7200, 1800.0),
            ("0", 7200, 7200, 7200, 60.0),
            ("0", 60, 60, 60, 30.0),
            ("0", 7200, 7200, 40, 20.0),
            ("0", 7200, 3600, 7200, 30.0),
            ("0", MONTH, MONTH, 7200, 60.0),
        ] {
            let reuse: ReuseShare = reuse.parse().unwrap();
            let got = reuse.floor(
                &code(asked_then, granted),
                Some(asked_now.try_into().unwrap()),
            );
            let want = Duration::from_secs_f64(floor);
            assert_eq!(
                got, want,
                "{reuse:?}, {asked_then} s asked, {granted} s granted, {asked_now} s asked now"
            );
        }
    }

    #[test]
    fn a_ticket_is_fresh_down_to_its_floor_and_never_when_expired() {
        // reuse, asked then, granted then, asked now, arrived at, now, fresh
        for (reuse, asked_then, granted, asked_now, arrived, now, fresh) in [
            ("0.5", 7200, 7200, 7200, 1, 3600, true),
            ("0.5", 7200, 7200, 7200, 1, 3601, false),
            ("0.5", 7200, 1800, 7200, 1, 900, true),
            ("0.5", 7200, 1800, 7200, 1, 901, false),
            ("0.5", 2_592_000, 2_592_000, 7200, 1, 2_588_400, true),
            ("0.5", 2_592_000, 2_592_000, 7200, 1, 2_588_401, false),
            ("0.5", 7200, 7200, 2_592_000, 1, 1, false),
            ("0", 7200, 7200, 7200, 1, 7140, true),
            ("0", 7200, 7200, 7200, 1, 7141, false),
            ("1", 7200, 7200, 7200, 1, 2, false),
            ("1", 7200, 7200, 7200, 0, 2, true),
            ("1", 7200, 7200, 3600, 0, 2, true),
            ("1", 3600, 3600, 7200, 0, 2, false),
            ("1", 7200, 7200, 7200, 0, 7200, false),
        ] {
            let reuse: ReuseShare = reuse.parse().unwrap();
            let [arrived, now] = [arrived, now].map(|s| Timestamp::from_second(s).unwrap());
            let asked_now: Lifetime = asked_now.try_into().unwrap();
            let got = reuse.is_fresh(&code(asked_then, granted), Some(asked_now), arrived, now);
            assert_eq!(
                got, fresh,
                "{reuse:?}, {asked_then} s asked, {granted} s granted, {asked_now:?} asked now at {arrived}, {now}"
            );
        }
    }

    #[test]
    fn a_permanent_code_is_always_fresh() {
        let code = IssuedCode {
            life: Life::Permanent,
            ..code(1, 1)
        };
        let reuse: ReuseShare = "1".parse().unwrap();
        let now = Timestamp::from_second(4_000_000_000).unwrap();
        assert!(reuse.is_fresh(&code, None, now, now));
        assert_eq!(reuse.floor(&code, None), Duration::ZERO);
    }

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for (text, good) in [
            ("0", true),
            ("1", true),
            ("0.25", true),
            ("1.01", false),
            ("-0.1", false),
            ("NaN", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<ReuseShare>().is_ok(), good, "input {text:?}");
        }
    }
}
