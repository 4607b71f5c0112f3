//! What metrics and the access log call a request. Neither holds a text that a client chose.

use axum::extract::{MatchedPath, Request};
use axum::http::Method;

/// Low-cardinality labels of a request.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels {
    matched: Option<MatchedPath>,
    pub(super) method: &'static str,
}

impl Labels {
    pub(super) fn of(request: &Request) -> Self {
        Self {
            matched: request.extensions().get::<MatchedPath>().cloned(),
            method: known_method(request.method()),
        }
    }

    pub(super) fn is_matched(&self) -> bool {
        self.matched.is_some()
    }

    /// The route template, or `unmatched`.
    pub(super) fn route(&self) -> &str {
        self.matched
            .as_ref()
            .map_or("unmatched", MatchedPath::as_str)
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
