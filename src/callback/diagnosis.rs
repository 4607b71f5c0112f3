//! Diagnosis of rejected pushes: the likely cause, and what the operator changes in WeChat's
//! console or in the settings.
//!
//! A diagnosis is never part of an answer to the sender. It is *proven* if the sender knows a part
//! of the secret or has at least seen a request of WeChat's; any client on the internet can cause
//! the others.

use std::fmt;

/// The likely cause of a rejection that the operator can fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagnosis {
    /// Signed with the Token but not encrypted, although a key is configured.
    NotEncrypted,
    /// Signed with the Token and encrypted, although no key is configured.
    NoKey,
    /// Signed with the Token, but no configured key decrypts it.
    OtherKey,
    /// Decrypted, but addressed to another account.
    OtherAccount,
    /// Signed with the Token for a time outside of the replay window.
    Clock {
        /// How far this machine's clock is ahead of the signature, in seconds; negative: behind.
        ahead_seconds: i64,
    },
    /// The query is signed with the Token, but the rest does not match: changed in transit.
    Altered,
    /// Signed with the Token, but the body is not a message: empty, or changed in transit.
    Unreadable,
    /// Signed with another secret than the Token.
    OtherToken,
    /// Without a well-formed signature.
    Unsigned,
}

/// How strongly a rejected request suggests that WeChat sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// No evidence: any request from the internet looks like this.
    None,
    /// A well-formed signature, but not of this Token. It can only be imitated on purpose.
    Signed,
    /// The sender knows a part of the secret, or has seen a request of WeChat's.
    Proven,
}

impl Diagnosis {
    /// Number of variants.
    pub(super) const COUNT: usize = 9;

    /// Position among the variants, below [`Diagnosis::COUNT`].
    pub(super) fn index(self) -> usize {
        match self {
            Self::NotEncrypted => 0,
            Self::NoKey => 1,
            Self::OtherKey => 2,
            Self::OtherAccount => 3,
            Self::Clock { .. } => 4,
            Self::Altered => 5,
            Self::Unreadable => 6,
            Self::OtherToken => 7,
            Self::Unsigned => 8,
        }
    }

    /// The machine-readable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotEncrypted => "not_encrypted",
            Self::NoKey => "no_key",
            Self::OtherKey => "other_key",
            Self::OtherAccount => "other_account",
            Self::Clock { .. } => "clock",
            Self::Altered => "altered",
            Self::Unreadable => "unreadable",
            Self::OtherToken => "other_token",
            Self::Unsigned => "unsigned",
        }
    }

    /// How strongly the request suggests that WeChat sent it.
    pub fn evidence(self) -> Evidence {
        match self {
            Self::NotEncrypted
            | Self::NoKey
            | Self::OtherKey
            | Self::OtherAccount
            | Self::Clock { .. }
            | Self::Altered
            | Self::Unreadable => Evidence::Proven,
            Self::OtherToken => Evidence::Signed,
            Self::Unsigned => Evidence::None,
        }
    }

    /// Whether only a sender that has seen a request of WeChat's can have caused it.
    pub fn is_proven(self) -> bool {
        self.evidence() == Evidence::Proven
    }

    /// What to do about it.
    pub fn action(self) -> &'static str {
        match self {
            Self::NotEncrypted => {
                "choose the safe mode in WeChat's console, with the key of WXQR_ENCODING_AES_KEY; or unset WXQR_ENCODING_AES_KEY"
            }
            Self::NoKey => {
                "set WXQR_ENCODING_AES_KEY to the EncodingAESKey of WeChat's console, or choose the plain mode there"
            }
            Self::OtherKey => {
                "set WXQR_ENCODING_AES_KEY to the EncodingAESKey of WeChat's console, and WXQR_ENCODING_AES_KEY_PREVIOUS to \
                 the key before it"
            }
            Self::OtherAccount => {
                "set WXQR_APP_ID to the account whose console has this server URL, or run another wxqr for that account"
            }
            Self::Clock { .. } => "synchronise this machine's clock (NTP)",
            Self::Altered => "make the proxy in front forward query and body unchanged",
            Self::Unreadable => "make the proxy in front forward the body unchanged",
            Self::OtherToken => {
                "if WeChat's console shows an error or no scan is counted, set WXQR_CALLBACK_TOKEN to the Token there"
            }
            Self::Unsigned => {
                "if WeChat's console shows an error or no scan is counted, make the proxy in front forward the query unchanged"
            }
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEncrypted => "it is not encrypted, although WXQR_ENCODING_AES_KEY is set",
            Self::NoKey => "it is encrypted, and WXQR_ENCODING_AES_KEY is not set",
            Self::OtherKey => "it cannot be decrypted with the key in WXQR_ENCODING_AES_KEY",
            Self::OtherAccount => "the AppID inside is not that of WXQR_APP_ID",
            Self::Clock { ahead_seconds } => return write_clock(f, *ahead_seconds),
            Self::Altered => "its query is signed with the Token, but the rest does not match",
            Self::Unreadable => {
                "its query is signed with the Token, but its body is empty or cannot be read"
            }
            Self::OtherToken => {
                "its signature does not match: WeChat did not send it, or the Token in WeChat's console differs from \
                 WXQR_CALLBACK_TOKEN"
            }
            Self::Unsigned => {
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
            clock.to_string(),
            "it is signed for a time in 8 hours: this machine's clock is behind by 8 hours"
        );
    }
}
