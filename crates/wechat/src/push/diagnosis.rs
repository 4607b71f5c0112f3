//! Diagnosis of rejected pushes: the likely cause, for the operator.
//!
//! A diagnosis is never part of an answer to the sender. It is *proven* if the sender knows a part
//! of the secret or has at least seen a request of WeChat's; any client on the internet can cause
//! the others.

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
}
