//! The rejection of a push, and its reason.

use super::diagnosis::Diagnosis;

/// A push that is not proven to be WeChat's. The message is the same for every cause, so that it is
/// no oracle for a forger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not from WeChat")]
pub struct Rejected {
    pub(super) reason: Reason,
    pub(super) diagnosis: Option<Diagnosis>,
}

/// Why a push was rejected: for metrics, never for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// More than [`PushVerifier::MAX_BODY`](super::PushVerifier::MAX_BODY).
    TooLarge,
    /// A missing, duplicate or malformed query parameter.
    Query,
    /// A valid signature, but no encrypted part although a key is configured.
    Unencrypted,
    /// The envelope around the encrypted part cannot be parsed.
    Envelope,
    /// A document type, an entity or a processing instruction, which WeChat never sends.
    Markup,
    /// An invalid signature.
    Signature,
    /// A valid signature from outside of
    /// [`PushVerifier::REPLAY_WINDOW_SECONDS`](super::PushVerifier::REPLAY_WINDOW_SECONDS). Many of
    /// these indicate a wrong clock.
    Stale,
    /// A valid signature, but no key decrypts it.
    Cipher,
    /// Decrypted, but addressed to another account.
    AppId,
    /// A replay of an encrypted push: the signed timestamp and nonce were split in another way, so
    /// that an old signature appears to be recent.
    Swapped,
}

impl Rejected {
    /// The cause, for a metric's label.
    pub fn reason(self) -> Reason {
        self.reason
    }

    /// Cause and remedy, for the log and for API keys; never part of an answer to the sender.
    pub fn diagnosis(self) -> Option<Diagnosis> {
        self.diagnosis
    }
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::TooLarge,
        Self::Query,
        Self::Unencrypted,
        Self::Envelope,
        Self::Markup,
        Self::Signature,
        Self::Stale,
        Self::Cipher,
        Self::AppId,
        Self::Swapped,
    ];

    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Query => "query",
            Self::Unencrypted => "unencrypted",
            Self::Envelope => "envelope",
            Self::Markup => "markup",
            Self::Signature => "signature",
            Self::Stale => "stale",
            Self::Cipher => "cipher",
            Self::AppId => "app_id",
            Self::Swapped => "swapped",
        }
    }
}
