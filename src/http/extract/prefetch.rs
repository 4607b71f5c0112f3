//! Detects prefetches: `HEAD` requests, and those that a browser sends before a visitor opens the
//! page.

use axum::http::Method;
use axum::http::request::Parts;

/// Headers by which browsers mark such a request: that of the Fetch standard, whose value may go on
/// with parameters as in `prefetch;prerender`, and the one that browsers sent before it.
const MARKS: [&str; 2] = ["sec-purpose", "purpose"];

/// Whether this is a `HEAD`, or a browser that fetches a page ahead of its visitor.
pub(crate) fn is_prefetch(parts: &Parts) -> bool {
    let marks = MARKS.iter().filter_map(|name| parts.headers.get(*name));
    let mut marks = marks.filter_map(|value| value.to_str().ok());
    parts.method == Method::HEAD || marks.any(names_prefetch)
}

fn names_prefetch(mark: &str) -> bool {
    let first = mark.split([';', ',']).next().unwrap_or_default();
    first.trim().eq_ignore_ascii_case("prefetch")
}
