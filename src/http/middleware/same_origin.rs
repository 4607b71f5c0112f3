//! Refuses cross-site requests to the demo, and requests by a rebound host name.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use local_guard::OriginGuard;

use crate::http::problem::Problem;

/// Answers `foreign_request` to what the guard refuses.
pub(crate) async fn check(
    State(guard): State<OriginGuard>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(foreign) => Problem::from(foreign).into_response(),
    }
}
