//! `GET /embed.js`: shows codes on pages of other sites.

use axum::http::{HeaderName, HeaderValue, header};

use crate::http::static_response::{ONE_HOUR, StaticResponse};

/// The script, with what a page of another origin needs to load it under
/// `Cross-Origin-Embedder-Policy`, as a module, or with `integrity`.
pub(crate) fn file() -> StaticResponse {
    // Served as it is written. Tabs, unlike the other scripts, keep it under 4 KiB.
    let script = include_str!("../../../templates/embed.js");
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    StaticResponse::new("text/javascript; charset=utf-8", ONE_HOUR, script)
        .with(policy, HeaderValue::from_static("cross-origin"))
        .with(
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            HeaderValue::from_static("*"),
        )
}
