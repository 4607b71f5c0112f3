//! Why a call to the service failed.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::printable::printable;

/// What the service answers instead of what was asked for (RFC 9457), as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReceivedProblem {
    detail: Option<String>,
    code: String,
    retry_after: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CallFailure {
    message: String,
    /// When it may be sent again; none if that would not help.
    pub(super) again: Option<Again>,
    /// Whether every other call would fail alike.
    pub(super) stops_all: bool,
}

/// When a call may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// After as long as the service says.
    After(Duration),
    /// Soon: the service did not answer, or ran out of time.
    Soon,
}

impl CallFailure {
    /// There was no answer, or only a part of it.
    pub(super) fn unanswered(cause: impl fmt::Display) -> Self {
        Self {
            message: format!("the service does not answer: {cause}"),
            again: Some(Again::Soon),
            stops_all: false,
        }
    }

    /// The call was not made, because an earlier one stopped all.
    pub(super) fn not_tried() -> Self {
        Self {
            message: "not tried".to_owned(),
            again: None,
            stops_all: false,
        }
    }

    /// The answer is not that of the service.
    pub(super) fn foreign(status: u16) -> Self {
        Self {
            message: format!(
                "this is not the answer of a wxqr service (HTTP {status}); check --url"
            ),
            again: None,
            stops_all: true,
        }
    }

    /// The service refuses, with the seconds of its `Retry-After`.
    pub(super) fn refused(
        status: u16,
        document: ReceivedProblem,
        retry_after: Option<u64>,
    ) -> Self {
        let seconds = document.retry_after.or(retry_after);
        let again = match (document.code.as_str(), seconds) {
            (_, Some(seconds)) => Some(Again::After(Duration::from_secs(seconds))),
            ("upstream_timeout", None) => Some(Again::Soon),
            (_, None) => None,
        };
        let message = document
            .detail
            .unwrap_or_else(|| format!("the service answers {status}"));
        Self {
            message: printable(&message),
            again,
            stops_all: matches!(status, 401 | 403),
        }
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CallFailure {}
