//! Why there is no token, and the state of a token that WeChat refused.

use wechat::ApiError;

use crate::codes::breaker::BreakerOpen;
use crate::codes::single_flight::TaskAborted;
use crate::db;

/// State of a token that WeChat refused: replaced, revoked, or never accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRefusal {
    /// A newer token had replaced it already: the renewal of another call, in this replica or in
    /// another.
    Superseded,
    /// It was the newest one, and had been accepted before: another holder's renewal has just ended
    /// it.
    Revoked,
    /// It was the newest one, and had never been accepted.
    NeverAccepted,
}

impl TokenRefusal {
    /// The name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Revoked => "revoked",
            Self::NeverAccepted => "never_accepted",
        }
    }
}

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// WeChat refused the call, or gave no usable answer.
    #[error("no access token")]
    WeChat(#[source] wechat::Error),
    /// The call's quota is used up.
    #[error("no access token")]
    CircuitOpen(#[source] BreakerOpen),
    /// The replicas cannot agree on a token: one is neither fetched nor forced then.
    #[error("no access token without the database")]
    Database(#[source] db::Error),
    /// WeChat keeps giving a token that it refuses, and may not be forced to give another one yet.
    #[error("WeChat gives a token that it refuses; the next forced refresh must wait")]
    ForcedTooOften,
    /// The task of the call panicked or was aborted: a defect of ours.
    #[error(transparent)]
    TaskAborted(#[from] TaskAborted),
}

impl From<ApiError> for TokenError {
    fn from(refusal: ApiError) -> Self {
        Self::WeChat(wechat::Error::Refused(refusal))
    }
}

impl TokenError {
    /// WeChat's refusal, if it refused the call.
    pub fn refusal(&self) -> Option<&ApiError> {
        match self {
            Self::WeChat(wechat::Error::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }
}
