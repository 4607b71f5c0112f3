//! Microcache: a response that every visitor gets is kept for the second in which it was made.
//!
//! A popular code is requested many times a second, and each response would be the same. Only
//! handlers offer a response, by [`Cacheable`]; a [`Key`] holds all that it depends on, but for
//! time. Keeping a response that is not sent again is wasted, so the second request in a second is
//! the first whose response is kept.

mod doorkeeper;
mod key;

use std::ops::Range;
use std::sync::{Arc, Weak};

use axum::body::{Body, HttpBody, to_bytes};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use wechat::ticket::IssuedCode;

use self::doorkeeper::Doorkeeper;
pub(crate) use self::key::Key;
use crate::clock::Clock;
use crate::http::middleware::access_log::Line;

/// Memory for all responses. Chosen: more than two thousand pages.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The largest body that is kept: any page, and pictures of the usual sizes. Chosen.
const MAX_BODY: usize = 64 * 1024;

/// Bytes of a kept response besides key and body: its headers, its place in the table. Estimated.
const OVERHEAD: usize = 2048;

/// Offers a response to the microcache, for as long as a new one would be the same. An extension of
/// the response.
#[derive(Debug, Clone)]
pub(crate) struct Cacheable {
    /// While time changes nothing of it.
    pub(crate) valid: Range<Timestamp>,
    /// The code that it shows. Once nothing holds it any more, the code cache has a newer one: at
    /// once, or within the second for which a look-up for callers who may not mint holds it too.
    pub(crate) code: Weak<IssuedCode>,
}

/// A response that can be sent again.
#[derive(Debug)]
pub(crate) struct CachedResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    cacheable: Cacheable,
    /// What is logged of its requests.
    pub(crate) line: Line,
}

impl CachedResponse {
    /// The response, but for the id of the request.
    pub(crate) fn response(&self) -> Response {
        let mut response = Response::new(Body::from(self.body.clone()));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

/// Weighs responses by their bytes.
#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Key, Arc<CachedResponse>> for ByBytes {
    fn weight(&self, key: &Key, response: &Arc<CachedResponse>) -> u64 {
        (key.0.len() + response.body.len() + OVERHEAD) as u64
    }
}

/// The responses that are kept. Those whose second is over are dropped when others need the room.
#[derive(Debug)]
pub(crate) struct Microcache {
    clock: Arc<dyn Clock>,
    doorkeeper: Doorkeeper,
    responses: Cache<Key, Arc<CachedResponse>, ByBytes>,
}

impl Microcache {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        const EXPECTED: usize = 2048;
        Self {
            clock,
            doorkeeper: Doorkeeper::new(),
            responses: Cache::with_weighter(EXPECTED, MAX_BYTES, ByBytes),
        }
    }

    /// The response to a request, if a new one would be the same.
    pub(crate) fn get(&self, key: &Key) -> Option<Arc<CachedResponse>> {
        let response = self.responses.get(key)?;
        let Cacheable { valid, code } = &response.cacheable;
        let is_current = code.strong_count() > 0 && valid.contains(&self.clock.now());
        is_current.then_some(response)
    }

    /// Notes a request without a kept response; returns whether its response is worth keeping.
    pub(crate) fn note(&self, key: &Key) -> bool {
        let second = self.clock.now().as_second();
        self.doorkeeper.note(key, second)
    }

    /// Keeps a response that its handler offers, and returns it.
    pub(crate) async fn keep(&self, key: Key, line: &Line, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        let size = body.size_hint().exact();
        let fits = size.is_some_and(|size| size <= MAX_BODY as u64);
        let (Some(cacheable), true) = (parts.extensions.remove(), fits) else {
            return Response::from_parts(parts, body);
        };
        let body = to_bytes(body, MAX_BODY).await;
        let body = body.expect("a body of a known size is in memory");
        let cached = CachedResponse {
            status: parts.status,
            headers: parts.headers.clone(),
            body: body.clone(),
            cacheable,
            line: line.clone(),
        };
        self.responses.insert(key, Arc::new(cached));
        Response::from_parts(parts, Body::from(body))
    }
}

#[cfg(test)]
mod tests;
