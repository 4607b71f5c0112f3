//! The middleware around every request, in one layer.
//!
//! As layers of its own, each part would box a future and clone all parts inside it, for every
//! request.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use crate::http::middleware::access_log::AccessLog;
use crate::http::middleware::request_id::RequestId;
use crate::http::middleware::{metrics, render_problems, request_limits, security_headers};
use crate::http::negotiation::view::{View, is_code_path};
use crate::http::problem::Problem;
use crate::http::site::Site;

/// What the middleware depends on besides the request.
#[derive(Debug)]
pub(crate) struct Stack {
    pub(crate) log: AccessLog,
    pub(crate) site: Arc<Site>,
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
    async fn measured(&self, request: Request, next: Next, id: &RequestId) -> Response {
        let started = Instant::now();
        let line = self.log.line(&request);
        let mut response = self.rendered(request, next, id).await;
        security_headers::add(&mut response);
        let took = started.elapsed();
        self.log.write(&line, &response, took);
        metrics::record(&line.labels, &response, took);
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
