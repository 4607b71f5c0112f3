//! Errors of `bindings`, which only `/api` shows.

use crate::bindings::Error;
use crate::http::problem::Problem;
use crate::http::problem::error_code::ErrorCode;

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (code, message) = match error {
            Error::Code(error) => return error.into(),
            Error::Database(error) => return error.into(),
            Error::Unknown => (
                ErrorCode::NotFound,
                "there is no such binding, or it ended long ago",
            ),
            Error::NotScanned => (
                ErrorCode::BindingNotScanned,
                "claim it once its status is \"scanned\"",
            ),
            Error::AlreadyClaimed => (
                ErrorCode::BindingClaimed,
                "a binding can be claimed once; create a new one",
            ),
            Error::Expired => (ErrorCode::BindingExpired, "create a new binding"),
            Error::FollowerLeft => (
                ErrorCode::FollowerLeft,
                "the follower's identity was erased; create a new binding",
            ),
        };
        Self::new(code, message)
    }
}
