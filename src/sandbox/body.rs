//! Bodies of requests to the sandbox, under one budget of bytes.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;

use http_listener::{BodyError, BufferedBody};

use super::{MAX_BODY, Sandbox};

/// All bodies that are being read together, in bytes: the demo's listener may be open to strangers,
/// and each of its connections could hold [`MAX_BODY`].
pub(super) const MAX_BODIES: usize = 8 * 1024 * 1024;

/// A body of at most [`MAX_BODY`].
pub(super) struct SentBody(pub(super) Bytes);

impl FromRequest<Sandbox> for SentBody {
    type Rejection = StatusCode;

    async fn from_request(request: Request, sandbox: &Sandbox) -> Result<Self, StatusCode> {
        read(request.into_body(), sandbox).await.map(Self)
    }
}

/// Reads a body.
///
/// # Errors
/// The status that says why it was not read.
pub(super) async fn read(body: Body, sandbox: &Sandbox) -> Result<Bytes, StatusCode> {
    match BufferedBody::read(body, MAX_BODY, &sandbox.0.bodies).await {
        Ok(body) => Ok(Bytes::from_owner(body)),
        Err(BodyError::TooLarge) => Err(StatusCode::PAYLOAD_TOO_LARGE),
        Err(BodyError::Incomplete) => Err(StatusCode::BAD_REQUEST),
        Err(BodyError::Evicted) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}
