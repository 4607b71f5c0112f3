//! Gives each request an id, and a tracing span that carries it.

use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::access::Key;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names a request in its response and in the log.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    const MAX_LEN: usize = 64;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the client's id if it is well-formed, else generates one.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers
            .get(&REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        let well_formed = given.filter(|id| Self::is_well_formed(id));
        Self(well_formed.map_or_else(|| Uuid::now_v7().to_string().into(), Into::into))
    }

    fn is_well_formed(id: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        (1..=Self::MAX_LEN).contains(&id.len()) && id.bytes().all(is_plain)
    }
}

/// Puts the id into the request's extensions, its span and the response's `X-Request-Id`.
pub(crate) async fn assign(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let span = tracing::info_span!("request", request_id = %id.0, key = Empty);
    let mut response = next.run(request).instrument(span).await;
    let value = HeaderValue::from_str(&id.0).expect("an id is checked to be ASCII");
    response.headers_mut().insert(REQUEST_ID, value);
    response
}

/// Names the caller's API key in every further log line of the current request, including those of
/// a mint that it starts.
pub(crate) fn record_key(key: &Key) {
    Span::current().record("key", key.name());
}
