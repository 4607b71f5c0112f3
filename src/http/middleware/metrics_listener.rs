//! Around the routes of the metrics listener: one trailing slash does not matter, and a 404 is a
//! log line. Scrapes are not logged: they come every few seconds.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;

use crate::http::middleware::access_log::AccessLog;
use crate::http::middleware::trailing_slash;

/// Goes around the whole router, whose layers see a request only after its route was chosen.
pub(crate) async fn run(
    State(log): State<Arc<AccessLog>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    trailing_slash::remove(&mut request);
    let line = log.line(&request);
    let response = next.run(request).await;
    if response.status() == StatusCode::NOT_FOUND {
        log.write(&line, &response, started.elapsed());
    }
    response
}
