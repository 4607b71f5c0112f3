//! The middleware around every request, in one layer.
//!
//! As layers of its own, each part would box a future and clone all parts inside it, for every
//! request.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::future::RouteFuture;
use futures_util::future::Either;
use tower::Service;
use tracing::Instrument;

use crate::codes::Source;
use crate::http::microcache::{CachedResponse, Key, Microcache};
use crate::http::middleware::access_log::{AccessLog, Line};
use crate::http::middleware::request_id::RequestId;
use crate::http::middleware::{
    metrics, render_problems, request_limits, security_headers, trailing_slash,
};
use crate::http::negotiation::view::{View, is_code_path};
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::telemetry;

/// What the middleware depends on besides the request.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) log: AccessLog,
    pub(crate) site: Arc<Site>,
    pub(crate) cache: Microcache,
}

/// Runs all parts around the route, from the outermost to the innermost.
pub(crate) async fn run(
    State(stack): State<Arc<Stack>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let span = id.span();
    let mut response = stack.measured(request, next, &id).instrument(span).await;
    id.insert_into(&mut response);
    response
}

impl Stack {
    /// Counts and logs the request once its response is ready.
    async fn measured(&self, mut request: Request, next: Next, id: &RequestId) -> Response {
        let started = Instant::now();
        let line = self.log.line(&request);
        let key = request.extensions_mut().remove::<Key>();
        let mut response = self.rendered(request, next, id).await;
        security_headers::add(&mut response);
        self.record(&line, &response, started);
        match key {
            Some(key) => self.cache.keep(key, &line, response).await,
            None => response,
        }
    }

    fn record(&self, line: &Line, response: &Response, started: Instant) {
        let took = started.elapsed();
        self.log.write(line, response, took);
        metrics::record(&line.labels, response, took);
    }

    /// Answers from the microcache, with an id, a log line and a count of its own.
    fn answer_from_cache(&self, request: &Request, cached: &CachedResponse) -> Response {
        let started = Instant::now();
        let id = RequestId::of(request.headers());
        let _entered = id.span().entered();
        // The code is in memory too, since the response was made.
        telemetry::code_lookup(Source::Memory.as_str());
        let mut response = cached.response();
        self.record(&cached.line, &response, started);
        id.insert_into(&mut response);
        response
    }

    /// Answers in the representation that the client asked for, errors included.
    async fn rendered(&self, mut request: Request, next: Next, id: &RequestId) -> Response {
        let view = View::of(request.uri(), request.headers(), &self.log.base_path);
        let of_code = is_code_path(request.uri().path());
        request.extensions_mut().insert(view);
        let response = match request_limits::check(&request) {
            Ok(()) => next.run(request).await,
            Err(problem) => problem.into_response(),
        };
        match response.extensions().get::<Problem>().cloned() {
            Some(problem) => {
                render_problems::render(&self.site, response, &problem, view, id, of_code)
            }
            None => response,
        }
    }
}

/// The service in front of the router, whose layers see a request only after its route was chosen:
/// changes the path where that is needed, and asks the microcache.
#[derive(Debug, Clone)]
pub struct Front {
    pub(crate) stack: Arc<Stack>,
    pub(crate) routes: Router,
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        trailing_slash::remove(&mut request);
        if let Some(key) = Key::of(&request) {
            if let Some(cached) = self.stack.cache.get(&key) {
                let response = self.stack.answer_from_cache(&request, &cached);
                return Either::Left(ready(Ok(response)));
            }
            if self.stack.cache.note(&key) {
                request.extensions_mut().insert(key);
            }
        }
        Either::Right(self.routes.call(request))
    }
}
