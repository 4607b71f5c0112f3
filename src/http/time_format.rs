//! How times are written in headers and documents.

use axum::http::{HeaderName, HeaderValue, header};
use jiff::Timestamp;

/// Formats a time as RFC 3339 in UTC, without fractions of a second.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    Timestamp::from_second(at.as_second())
        .expect("a second of a timestamp is one")
        .to_string()
}

/// The `Date` header that a relative time in the body, such as `expire_seconds`, counts from.
pub(crate) fn date_header(now: Timestamp) -> [(HeaderName, HeaderValue); 1] {
    let text = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let value = HeaderValue::try_from(text).expect("a date is ASCII");
    [(header::DATE, value)]
}
