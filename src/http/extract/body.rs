//! Reads bodies under a limit of their own and a byte budget that all bodies of a kind share.

use axum::body::Body;
use http_listener::{BufferedBody, ByteBudget};

use crate::http::problem::Problem;

/// Reads a body of at most `limit` bytes. One whose `Content-Length` is larger is not read at all.
///
/// Cancel safe: a caller that drops the future drops the connection too.
///
/// # Errors
/// `too_large` if it is longer, `invalid_body` if it ends early or breaks the protocol,
/// `overloaded` if it was evicted to make room for others.
pub(crate) async fn read_body(
    body: Body,
    limit: usize,
    budget: &ByteBudget,
) -> Result<BufferedBody, Problem> {
    let read = BufferedBody::read(body, limit, budget).await;
    read.map_err(|error| Problem::from_body_error(error, limit))
}
