//! Errors of reading a body. Only `/api` and `/callback` read any.

use http_listener::ReadError;

use crate::http::problem::{ErrorCode, Problem};

impl Problem {
    /// `limit` is the most that the body may have, in bytes.
    pub(crate) fn from_read_error(error: ReadError, limit: usize) -> Self {
        match error {
            ReadError::TooLarge => Self::new(
                ErrorCode::TooLarge,
                format!("the body may have {limit} bytes at most"),
            ),
            ReadError::BrokenOff => Self::body_cut_short(),
            ReadError::Crowded => Self::overloaded(),
        }
    }

    /// For a body that ended early, or not in time.
    pub(crate) fn body_cut_short() -> Self {
        Self::new(ErrorCode::InvalidBody, "the body did not come to its end")
    }
}
