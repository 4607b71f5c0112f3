//! What metrics and the access log call a request. Neither holds a text that a client chose.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;

/// Low-cardinality labels of a request.
#[derive(Debug)]
pub(super) struct Labels {
    /// The route template, or `unmatched`.
    pub(super) route: String,
    pub(super) method: &'static str,
}

impl Labels {
    pub(super) fn of(request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        Self {
            route: matched.map_or("unmatched", MatchedPath::as_str).to_owned(),
            method: known_method(request.method()),
        }
    }
}

/// The method by a name from this list, because clients may send any word.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}
