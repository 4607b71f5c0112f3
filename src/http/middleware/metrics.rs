//! Counts requests and measures their duration.

use std::time::Instant;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;

use crate::http::middleware::labels::Labels;
use crate::telemetry;

/// Records one request by route template, method and status.
pub(crate) async fn record(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let labels = Labels::of(&request);
    let response = next.run(request).await;
    telemetry::http_request(
        &labels.route,
        labels.method,
        response.status().as_u16(),
        started.elapsed(),
    );
    response
}
