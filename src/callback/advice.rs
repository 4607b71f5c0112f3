//! What a diagnosis means for the operator, and what to change: in WeChat's console or in the
//! settings.

use std::fmt;

use wechat::push::Diagnosis;

/// What the operator does about it.
pub fn action(diagnosis: Diagnosis) -> &'static str {
    match diagnosis {
        Diagnosis::NotEncrypted => {
            "choose the safe mode in WeChat's console, with the key of WXQR_ENCODING_AES_KEY; or unset WXQR_ENCODING_AES_KEY"
        }
        Diagnosis::NoKey => {
            "set WXQR_ENCODING_AES_KEY to the EncodingAESKey of WeChat's console, or choose the plain mode there"
        }
        Diagnosis::OtherKey => {
            "set WXQR_ENCODING_AES_KEY to the EncodingAESKey of WeChat's console, and WXQR_ENCODING_AES_KEY_PREVIOUS to \
                 the key before it"
        }
        Diagnosis::OtherAccount => {
            "set WXQR_APP_ID to the account whose console has this server URL, or run another wxqr for that account"
        }
        Diagnosis::Clock { .. } => "synchronise this machine's clock (NTP)",
        Diagnosis::Altered => "make the proxy in front forward query and body unchanged",
        Diagnosis::Unreadable => "make the proxy in front forward the body unchanged",
        Diagnosis::OtherToken => {
            "if WeChat's console shows an error or no scan is counted, set WXQR_CALLBACK_TOKEN to the Token there"
        }
        Diagnosis::Unsigned => {
            "if WeChat's console shows an error or no scan is counted, make the proxy in front forward the query unchanged"
        }
    }
}

/// The likely cause in one clause, through `Display`.
pub fn likely_cause(diagnosis: Diagnosis) -> LikelyCause {
    LikelyCause(diagnosis)
}

/// See [`likely_cause`].
#[derive(Debug, Clone, Copy)]
pub struct LikelyCause(Diagnosis);

impl fmt::Display for LikelyCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Diagnosis::NotEncrypted => "it is not encrypted, although WXQR_ENCODING_AES_KEY is set",
            Diagnosis::NoKey => "it is encrypted, and WXQR_ENCODING_AES_KEY is not set",
            Diagnosis::OtherKey => "it cannot be decrypted with the key in WXQR_ENCODING_AES_KEY",
            Diagnosis::OtherAccount => "the AppID inside is not that of WXQR_APP_ID",
            Diagnosis::Clock { ahead_seconds } => return write_clock(f, ahead_seconds),
            Diagnosis::Altered => "its query is signed with the Token, but the rest does not match",
            Diagnosis::Unreadable => {
                "its query is signed with the Token, but its body is empty or cannot be read"
            }
            Diagnosis::OtherToken => {
                "its signature does not match: WeChat did not send it, or the Token in WeChat's console differs from \
                 WXQR_CALLBACK_TOKEN"
            }
            Diagnosis::Unsigned => {
                "its signature, timestamp or nonce is missing, repeated or malformed: WeChat did not send it, or a proxy in \
                 front drops or changes the query"
            }
        })
    }
}

fn write_clock(f: &mut fmt::Formatter<'_>, ahead_seconds: i64) -> fmt::Result {
    let distance = distance(ahead_seconds.unsigned_abs());
    if ahead_seconds < 0 {
        write!(
            f,
            "it is signed for a time in {distance}: this machine's clock is behind by {distance}"
        )
    } else {
        write!(
            f,
            "it was signed {distance} ago: this machine's clock is ahead by {distance}, or an old push is replayed"
        )
    }
}

/// Formats a duration in its largest fitting unit.
fn distance(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    if seconds < 2 * HOUR {
        // Rounded up: 10 minutes and 1 second exceed a window of 10 minutes.
        format!("{} minutes", seconds.div_ceil(MINUTE))
    } else if seconds < 2 * DAY {
        format!("{} hours", (seconds + HOUR / 2) / HOUR)
    } else {
        format!("{} days", (seconds + DAY / 2) / DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_skew_is_shown_in_a_fitting_unit() {
        for (seconds, want) in [
            (601, "11 minutes"),
            (2520, "42 minutes"),
            (7199, "120 minutes"),
            (28_790, "8 hours"),
            (28_810, "8 hours"),
            (86_400, "24 hours"),
            (172_800, "2 days"),
            (31_536_000, "365 days"),
        ] {
            assert_eq!(distance(seconds), want, "{seconds} s");
        }
        let clock = Diagnosis::Clock {
            ahead_seconds: -28_800,
        };
        assert_eq!(
            likely_cause(clock).to_string(),
            "it is signed for a time in 8 hours: this machine's clock is behind by 8 hours"
        );
    }

    #[test]
    fn clock_skew_is_given_in_minutes() {
        for (ahead_seconds, want) in [
            (
                601,
                "signed 11 minutes ago: this machine's clock is ahead by 11 minutes",
            ),
            (
                3600,
                "signed 60 minutes ago: this machine's clock is ahead by 60 minutes",
            ),
            (
                -3601,
                "for a time in 61 minutes: this machine's clock is behind by 61 minutes",
            ),
        ] {
            let said = likely_cause(Diagnosis::Clock { ahead_seconds }).to_string();
            assert!(said.contains(want), "{said}");
        }
    }
}
