//! The key of a response: all that it depends on, but for time.

use axum::extract::Request;
use axum::http::{HeaderName, Method, header};

use crate::http::middleware::request_limits;
use crate::http::negotiation::view::is_code_path;

/// Headers that responses of `/qrcode` depend on.
const READ: [HeaderName; 4] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::IF_NONE_MATCH,
    header::ORIGIN,
];

/// All that a response depends on, but for time. An extension of the request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(super) Vec<u8>);

impl Key {
    /// Computes the key. None if the response may depend on the caller, or the request is refused
    /// for its size.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let headers = request.headers();
        let has_credentials =
            headers.contains_key(header::AUTHORIZATION) || headers.contains_key(header::COOKIE);
        let is_for_a_code = request.method() == Method::GET && is_code_path(request.uri().path());
        let may_be_kept =
            is_for_a_code && !has_credentials && request_limits::check(request).is_ok();
        may_be_kept.then(|| Self::from(request))
    }

    fn from(request: &Request) -> Self {
        let path = request.uri().path_and_query();
        let mut key = path.map_or("", |path| path.as_str()).as_bytes().to_vec();
        // Neither a path nor a header can hold these separators.
        for name in &READ {
            key.push(b'\0');
            for line in request.headers().get_all(name) {
                key.push(b'\n');
                key.extend_from_slice(line.as_bytes());
            }
        }
        Self(key)
    }
}
