//! Responses that are the same for every request: rendered once, with a strong `ETag` for 304.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// `Cache-Control` of what changes with the version or the settings of the service only. Chosen.
pub(crate) const ONE_HOUR: &str = "public, max-age=3600";

/// `Cache-Control` of pages: revalidated by `ETag` each time, because what a page links to must fit
/// the running service.
pub(crate) const REVALIDATE: &str = "no-cache";

/// A response with a strong `ETag`.
#[derive(Debug)]
pub(crate) struct StaticResponse {
    body: Bytes,
    etag: String,
    media_type: HeaderValue,
    /// On a 304 too, because a cache takes over its headers.
    headers: HeaderMap,
}

impl StaticResponse {
    pub(crate) fn new(
        media_type: &'static str,
        cache_control: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let body = body.into();
        let digest = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&body));
        let etag = format!("\"{digest}\"");
        let tag = HeaderValue::from_str(&etag).expect("base64 is ASCII");
        let cache_control = HeaderValue::from_static(cache_control);
        Self {
            body,
            etag,
            media_type: HeaderValue::from_static(media_type),
            headers: HeaderMap::from_iter([
                (header::ETAG, tag),
                (header::CACHE_CONTROL, cache_control),
            ]),
        }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The whole response, or 304 for a client that names its `ETag` in `If-None-Match`.
    pub(crate) fn respond(&self, request_headers: &HeaderMap) -> Response {
        let headers = self.headers.clone();
        if matches_etag(request_headers, &self.etag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let media_type = [(header::CONTENT_TYPE, self.media_type.clone())];
        (headers, media_type, self.body.clone()).into_response()
    }

    /// A route that answers this to every `GET`.
    pub(crate) fn route<S: Clone + Send + Sync + 'static>(self) -> MethodRouter<S> {
        let response = Arc::new(self);
        get(async move |headers: HeaderMap| response.respond(&headers))
    }
}

/// Whether `If-None-Match` names this entity tag (RFC 9110, 13.1.2: weak comparison).
pub(crate) fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    let listed = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut tags = listed.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
