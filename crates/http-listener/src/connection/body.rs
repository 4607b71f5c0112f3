//! Bodies that report their end to the connection's state.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use super::state::ConnectionState;

/// A request body that reports when it was read whole, or dropped before.
pub(super) struct RequestBody {
    body: Incoming,
    state: Arc<ConnectionState>,
    is_whole: bool,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, state: &Arc<ConnectionState>) -> Self {
        Self {
            is_whole: body.is_end_stream(),
            body,
            state: Arc::clone(state),
        }
    }
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        // `is_end_stream` stays false for a chunked body.
        self.is_whole |= frame.is_none() || self.body.is_end_stream();
        if self.is_whole || matches!(frame, Some(Err(_))) {
            self.state.body_ended(self.is_whole);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // A whole body was reported already, and the next request may have started since.
        if !self.is_whole {
            self.state.body_ended(false);
        }
    }
}

/// A response body that reports when hyper has taken all of it.
pub(super) struct ResponseBody {
    body: Body,
    state: Arc<ConnectionState>,
}

impl ResponseBody {
    pub(super) fn new(body: Body, state: Arc<ConnectionState>) -> Self {
        Self { body, state }
    }
}

impl hyper::body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        self.state.response_produced();
    }
}
