//! Turns a panic of a handler into an error response, so that it does not end the connection.

use std::any::Any;

use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use crate::http::problem::Problem;

type Handler = fn(Box<dyn Any + Send>) -> Response;

pub(crate) fn layer() -> CatchPanicLayer<Handler> {
    CatchPanicLayer::custom(respond as Handler)
}

/// Answers `internal`. The panic hook has logged the payload.
fn respond(payload: Box<dyn Any + Send>) -> Response {
    drop(payload);
    Problem::internal().into_response()
}
