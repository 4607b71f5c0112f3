//! For operators: liveness, readiness and metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::codes::CircuitBreaker;
use crate::db::Database;
use crate::http::problem::Problem;

/// Answers while the process is alive (liveness).
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "The process is alive")), tag = "operating")]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// How ready the service is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readiness {
    /// `starting` until the database is open; then `ok`, or `degraded` while only known codes can
    /// be served or the database is damaged; `draining` before the end.
    status: &'static str,
}

/// Whether a load balancer should send visitors here.
///
/// A fault of the account is no reason not to: known codes are still served.
#[utoipa::path(
    get,
    path = "/readyz",
    responses(
        (status = 200, description = "`ok` or `degraded`", body = Readiness),
        (status = 503, description = "`starting` or `draining`", body = Readiness),
    ),
    tag = "operating",
)]
pub(crate) async fn readyz(
    State(draining): State<CancellationToken>,
    State(breaker): State<Arc<CircuitBreaker>>,
    State(database): State<Database>,
) -> Response {
    let (code, status) = if draining.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "draining")
    } else if breaker.fault().is_some() || !database.is_up() || database.is_damaged() {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::OK, "ok")
    };
    (code, Json(Readiness { status })).into_response()
}

/// Answers `/readyz` before the database is open.
pub(crate) async fn not_ready() -> Response {
    let status = "starting";
    (StatusCode::SERVICE_UNAVAILABLE, Json(Readiness { status })).into_response()
}

/// Answers everything else before the database is open.
pub(crate) async fn starting() -> Problem {
    Problem::starting()
}

/// Answers `/metrics`.
pub(crate) fn metrics(handle: &PrometheusHandle) -> impl IntoResponse + use<> {
    let media_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (media_type, handle.render())
}

/// Answers everything else on the metrics listener.
pub(crate) async fn only_metrics() -> impl IntoResponse {
    let text = "not found; the metrics are at /metrics\n";
    (StatusCode::NOT_FOUND, text)
}
