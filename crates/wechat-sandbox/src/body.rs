//! Request bodies, read under one byte budget.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use http_listener::{BodyError, BufferedBody};

use crate::sandbox::Sandbox;

/// The largest body that any of its URLs takes.
const MAX_BODY: usize = 64 * 1024;

/// A body of at most [`MAX_BODY`].
pub(crate) struct BoundedBody(pub(crate) Bytes);

impl FromRequest<Sandbox> for BoundedBody {
    type Rejection = StatusCode;

    async fn from_request(request: Request, sandbox: &Sandbox) -> Result<Self, StatusCode> {
        read(request.into_body(), sandbox).await.map(Self)
    }
}

/// Reads a body under the budget.
///
/// # Errors
/// The HTTP status that says why it was not read.
pub(crate) async fn read(body: Body, sandbox: &Sandbox) -> Result<Bytes, StatusCode> {
    match BufferedBody::read(body, MAX_BODY, sandbox.bodies()).await {
        Ok(body) => Ok(Bytes::from_owner(body)),
        Err(BodyError::TooLarge) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(BodyError::Incomplete) => Err(StatusCode::BAD_REQUEST),
        Err(BodyError::Evicted) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}
