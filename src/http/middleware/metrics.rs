//! Counts requests and measures their duration.

use std::time::Duration;

use axum::response::Response;

use crate::http::middleware::labels::Labels;
use crate::telemetry;

/// Records one request by route template, method and status.
pub(super) fn record(labels: &Labels, response: &Response, took: Duration) {
    let status = response.status().as_u16();
    telemetry::http_request(labels.route(), labels.method, status, took);
}
