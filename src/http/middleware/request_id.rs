//! Gives each request an id, and a tracing span that carries it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use tracing::Span;
use tracing::field::Empty;

use crate::access::Key;
use crate::text::random_token;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Names a request in its response and in the log.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    const MAX_LEN: usize = 64;

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("an id is checked to be ASCII")
    }

    /// Takes the client's id if it is well-formed, else generates one.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(&REQUEST_ID);
        let well_formed = given.filter(|id| Self::is_well_formed(id.as_bytes()));
        well_formed.map_or_else(Self::generate, |id| Self(id.clone()))
    }

    /// The random name of this process and a counter: unique among replicas and after a restart,
    /// and without a system call for each request.
    fn generate() -> Self {
        static PROCESS: LazyLock<String> = LazyLock::new(random_token);
        static REQUESTS: AtomicU64 = AtomicU64::new(1);
        let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}.{number}", *PROCESS);
        Self(HeaderValue::try_from(id).expect("letters and digits are a header"))
    }

    fn is_well_formed(id: &[u8]) -> bool {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=Self::MAX_LEN).contains(&id.len()) && id.iter().all(is_plain)
    }

    /// The span of the request, with the id in each of its log lines.
    pub(super) fn span(&self) -> Span {
        tracing::info_span!("request", request_id = self.as_str(), key = Empty)
    }

    /// Sets the response's `X-Request-Id`.
    pub(super) fn insert_into(self, response: &mut Response) {
        response.headers_mut().insert(REQUEST_ID, self.0);
    }
}

/// Names the caller's API key in every further log line of the current request, including those of
/// a mint that it starts.
pub(crate) fn record_key(key: &Key) {
    Span::current().record("key", key.name());
}
