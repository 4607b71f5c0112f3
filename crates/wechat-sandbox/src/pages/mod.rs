//! The HTML pages, and what they share: style, response headers and the format of times.

pub(crate) mod home;
mod lang;
pub(crate) mod phone;
pub(crate) mod same_origin;

use std::sync::LazyLock;

use askama::Template;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use sha2::{Digest as _, Sha256};

/// The pages' only style. The Content-Security-Policy allows it by its hash, forms, the empty icon,
/// and nothing else.
pub(crate) const STYLE: &str = include_str!("../../templates/style.css");

static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    )
});

/// Renders a page.
pub(crate) fn response(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(html) => (status, headers(), Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The referrer policy is `same-origin`, because under `no-referrer` a browser sends the pages' own
/// forms with `Origin: null`.
fn headers() -> [(HeaderName, &'static str); 5] {
    [
        (
            header::CONTENT_SECURITY_POLICY,
            CONTENT_SECURITY_POLICY.as_str(),
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept, Accept-Language"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
    ]
}

/// Content negotiation: browsers name HTML in `Accept` when they send a form; scripts do not.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.to_ascii_lowercase().contains("text/html"))
}

/// Formats a time in China's time zone, to the second.
pub(crate) fn china_time(at: Timestamp) -> String {
    let china = TimeZone::fixed(Offset::constant(8));
    at.to_zoned(china).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_negotiation_gives_browsers_the_page_and_scripts_json() {
        for (accept, want) in [
            (None, false),
            (Some("*/*"), false),
            (Some("application/json"), false),
            (Some("application/xhtml+xml, TEXT/html;q=0.9"), true),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(accept.map(|accept| (header::ACCEPT, accept.parse().unwrap())));
            assert_eq!(accepts_html(&headers), want, "{accept:?}");
        }
    }

    #[test]
    fn a_time_is_in_chinas_time_zone() {
        assert_eq!(
            china_time("2026-11-22T16:00:05Z".parse().unwrap()),
            "2026-11-23 00:00:05"
        );
    }
}
