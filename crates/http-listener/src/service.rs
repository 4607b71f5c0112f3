//! What the listener serves.

use std::convert::Infallible;

use axum::extract::Request;
use axum::response::Response;
use tower::Service;

/// A service that answers requests, such as axum's `Router`, or middleware around one.
pub trait HttpService:
    Service<Request, Response = Response, Error = Infallible, Future: Send>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> HttpService for S where
    S: Service<Request, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}
