//! Answers that are the same for every request: written once, then only copied, and 304 for a caller that has them.

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::http::i18n::lang::Lang;
use crate::http::negotiation::view::View;
use crate::http::problem::Problem;

/// How long a cache may keep such an answer. It changes with the version or the settings of the service only; after an hour
/// (chosen) nobody sees an old one.
pub(crate) const AN_HOUR: &str = "public, max-age=3600";

/// Kept, and asked for again each time by its tag: what a page links to must fit the running service.
pub(crate) const BY_TAG: &str = "no-cache";

/// An answer with a strong `ETag`.
#[derive(Debug)]
pub(crate) struct Constant {
    body: Bytes,
    etag: String,
    media_type: HeaderValue,
    /// What a 304 has too, because a cache takes over its headers.
    headers: HeaderMap,
}

impl Constant {
    pub(crate) fn new(
        media_type: &'static str,
        caching: &'static str,
        body: impl Into<Bytes>,
    ) -> Self {
        let body = body.into();
        let digest = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&body));
        let etag = format!("\"{digest}\"");
        let tag = HeaderValue::from_str(&etag).expect("base64 is ASCII");
        let caching = HeaderValue::from_static(caching);
        Self {
            body,
            etag,
            media_type: HeaderValue::from_static(media_type),
            headers: HeaderMap::from_iter([(header::ETAG, tag), (header::CACHE_CONTROL, caching)]),
        }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The whole answer, or 304 for a caller that names it in `If-None-Match`.
    pub(crate) fn answer(&self, asked: &HeaderMap) -> Response {
        let headers = self.headers.clone();
        if names_tag(asked, &self.etag) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let media_type = [(header::CONTENT_TYPE, self.media_type.clone())];
        (headers, media_type, self.body.clone()).into_response()
    }

    /// The route of an answer that depends on nothing in the request.
    pub(crate) fn route<S: Clone + Send + Sync + 'static>(self) -> MethodRouter<S> {
        let answer = Arc::new(self);
        get(async move |asked: HeaderMap| answer.answer(&asked))
    }
}

/// A page that differs by language only: one [`Constant`] for each, written when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct PageByLanguage {
    /// By language, and by whether it was asked for in the address: links to other pages repeat it then.
    written: [[OnceLock<Constant>; 2]; 2],
}

impl PageByLanguage {
    /// # Errors
    /// When the page cannot be written. The next request tries again.
    pub(crate) fn get(
        &self,
        view: View,
        write: impl FnOnce() -> Result<Constant, Problem>,
    ) -> Result<&Constant, Problem> {
        let vary = view.vary_of_a_page();
        let of_lang = &self.written[usize::from(view.lang == Lang::Zh)];
        let place = &of_lang[usize::from(vary.is_some())];
        if let Some(page) = place.get() {
            return Ok(page);
        }
        let mut page = write()?;
        if let Some(vary) = vary {
            page = page.with(header::VARY, vary);
        }
        Ok(place.get_or_init(|| page))
    }
}

/// Whether the caller names this entity tag in `If-None-Match` (RFC 9110, 13.1.2: compared weakly).
pub(crate) fn names_tag(headers: &HeaderMap, etag: &str) -> bool {
    let listed = headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut tags = listed.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
