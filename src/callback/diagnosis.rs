//! What a refused push tells the operator: the likely cause, and what to change in WeChat's console or in the settings.
//!
//! A diagnosis never goes to the sender. It is *proven* where the sender knows a part of the secret, or has at least seen a
//! request of WeChat's; strangers can cause the others at will.

use std::fmt;

/// The cause of a refusal, as far as the operator can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Diagnosis {
    /// Signed with the Token and in plain text, although a key is configured.
    NotEncrypted,
    /// Signed with the Token and encrypted, although no key is configured.
    NoKey,
    /// Signed with the Token, and no configured key opens it.
    OtherKey,
    /// Opened, and it names another account.
    OtherAccount,
    /// Signed with the Token for a time outside of the window.
    Clock {
        /// How far this machine's clock is ahead of the signature, in seconds; negative: behind.
        ahead_seconds: i64,
    },
    /// The query is signed with the Token, and the rest does not fit to it.
    Altered,
    /// Signed with something else than the Token.
    OtherToken,
    /// Not signed at all.
    Unsigned,
}

impl Diagnosis {
    /// How many there are.
    pub(super) const COUNT: usize = 8;

    /// Where it stands among them, below [`Diagnosis::COUNT`].
    pub(super) fn index(self) -> usize {
        match self {
            Self::NotEncrypted => 0,
            Self::NoKey => 1,
            Self::OtherKey => 2,
            Self::OtherAccount => 3,
            Self::Clock { .. } => 4,
            Self::Altered => 5,
            Self::OtherToken => 6,
            Self::Unsigned => 7,
        }
    }

    /// The code, for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotEncrypted => "not_encrypted",
            Self::NoKey => "no_key",
            Self::OtherKey => "other_key",
            Self::OtherAccount => "other_account",
            Self::Clock { .. } => "clock",
            Self::Altered => "altered",
            Self::OtherToken => "other_token",
            Self::Unsigned => "unsigned",
        }
    }

    /// Whether a stranger who has seen no request of WeChat's cannot have caused it.
    pub fn is_proven(self) -> bool {
        !matches!(self, Self::OtherToken | Self::Unsigned)
    }

    /// What to do.
    pub fn action(self) -> &'static str {
        match self {
            Self::NotEncrypted => {
                "choose the safe mode in WeChat's console, with the key of WXQR_ENCODING_AES_KEY; or unset WXQR_ENCODING_AES_KEY"
            }
            Self::NoKey => {
                "set WXQR_ENCODING_AES_KEY to the EncodingAESKey of WeChat's console, or choose the plain mode there"
            }
            Self::OtherKey => {
                "make WXQR_ENCODING_AES_KEY and the EncodingAESKey of WeChat's console the same; the key before it belongs \
                 into WXQR_ENCODING_AES_KEY_PREVIOUS"
            }
            Self::OtherAccount => {
                "set WXQR_APP_ID to the account in whose console this server URL stands, or give the other account's server \
                 URL a service of its own"
            }
            Self::Clock { .. } => "let NTP set this machine's clock",
            Self::Altered => "let the proxy in front pass the query and the body on as they are",
            Self::OtherToken => {
                "if WeChat's console shows an error or no scan is counted, make WXQR_CALLBACK_TOKEN and the Token there the same"
            }
            Self::Unsigned => {
                "if WeChat's console shows an error or no scan is counted, let the proxy in front pass the query on as it is"
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
            Self::Altered => "its query is signed with the Token, and the rest does not fit to it",
            Self::OtherToken => {
                "its signature does not match the Token: either it is a stranger's, or the Token in WeChat's console is not \
                 that of WXQR_CALLBACK_TOKEN"
            }
            Self::Unsigned => {
                "it has no signature: either it is a stranger's, or a proxy in front drops the query"
            }
        })
    }
}

fn write_clock(f: &mut fmt::Formatter<'_>, ahead_seconds: i64) -> fmt::Result {
    // Ten minutes and one second are not ten minutes.
    let minutes = ahead_seconds.unsigned_abs().div_ceil(60);
    if ahead_seconds < 0 {
        write!(
            f,
            "it is signed for a time in {minutes} minutes: this machine's clock is behind by {minutes} minutes"
        )
    } else {
        write!(
            f,
            "it was signed {minutes} minutes ago: this machine's clock is ahead by {minutes} minutes, or somebody sends an old \
             push again"
        )
    }
}
