//! Errors of `db`.

use crate::db;
use crate::http::problem::Problem;

impl From<db::Error> for Problem {
    fn from(_: db::Error) -> Self {
        Self::store_unavailable()
    }
}
