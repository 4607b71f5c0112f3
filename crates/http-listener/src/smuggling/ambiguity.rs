//! Why a request is ambiguous.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// A part of a request that two parsers could read differently.
///
/// The messages name what is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ambiguity {
    #[error("lines of a request's head end in CR LF")]
    LineEnd,
    #[error("a request's target has no fragment")]
    Fragment,
    #[error("a request has one Content-Length, or Transfer-Encoding: chunked")]
    Lengths,
    #[error("Transfer-Encoding takes chunked, once")]
    TransferEncoding,
    #[error("a request has one Host")]
    Hosts,
    #[error("Host takes a name or an address, and a port if need be")]
    Host,
    #[error("an absolute target begins with http:// or https://")]
    Scheme,
    #[error("the target's host is that of Host")]
    Authority,
}

impl Ambiguity {
    /// Answers 400, with the message as plain text.
    pub(crate) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response
    }
}
