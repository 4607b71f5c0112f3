//! The sandbox's own paths on a listener of its own: one trailing slash does not matter, and a 404
//! is a log line. WeChat's paths are what they are, and each of its calls is a line anyway.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use http_listener::without_trailing_slash;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// How much of a path is logged, in characters. Chosen.
const MAX_PATH_CHARS: usize = 200;

/// Goes around the whole router, whose layers see a request only after its route was chosen.
pub(crate) async fn handle(mut request: Request, next: Next) -> Response {
    if !is_own(request.uri().path()) {
        return next.run(request).await;
    }
    let (method, path) = (request.method().clone(), printable(request.uri().path()));
    if let Some(uri) = without_trailing_slash(request.uri()) {
        *request.uri_mut() = uri;
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::NOT_FOUND {
        tracing::info!(?method, path, status = 404, "sandbox request");
    }
    response
}

fn is_own(path: &str) -> bool {
    path.starts_with("/sandbox/") || path.starts_with("/q/")
}

/// A path that can neither end a line nor change the direction of text.
fn printable(path: &str) -> String {
    const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'\\');
    let escaped = utf8_percent_encode(path, UNSAFE).to_string();
    escaped.chars().take(MAX_PATH_CHARS).collect()
}
