//! Errors of reading a body. Only `/api` and `/callback` read any.

use http_listener::BodyError;

use crate::http::problem::Problem;
use crate::http::problem::error_code::ErrorCode;

impl Problem {
    /// Converts an error of a body that may have `limit` bytes.
    pub(crate) fn from_body_error(error: BodyError, limit: usize) -> Self {
        match error {
            BodyError::TooLarge => Self::new(
                ErrorCode::TooLarge,
                format!("the body may have {limit} bytes at most"),
            ),
            BodyError::Incomplete => Self::body_cut_short(),
            BodyError::Evicted => Self::overloaded(),
        }
    }

    /// The problem of a body that ended early, or not in time.
    pub(crate) fn body_cut_short() -> Self {
        Self::new(ErrorCode::InvalidBody, "the body ended early")
    }
}
