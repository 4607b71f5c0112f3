//! Errors of `statistics`.

use crate::http::problem::Problem;
use crate::statistics::NotRecorded;

impl From<NotRecorded> for Problem {
    fn from(error: NotRecorded) -> Self {
        match error {
            NotRecorded::Database(error) => error.into(),
            NotRecorded::Late => Self::store_unavailable(),
        }
    }
}
