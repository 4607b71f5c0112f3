//! Adds the security headers that every response shares.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;

/// Headers that a handler may set itself, and their values where it does not.
const DEFAULTS: [(HeaderName, HeaderValue); 3] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
];

/// Adds the defaults that are missing, and `X-Content-Type-Options: nosniff`.
pub(super) fn add(response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in DEFAULTS {
        headers.entry(name).or_insert(value);
    }
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
}
