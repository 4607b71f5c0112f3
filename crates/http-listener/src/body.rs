//! Bodies that tell whose turn it is.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};

use super::turn::Turn;

/// What the client sends. Tells when it was read, or is not wanted.
pub(super) struct RequestBody {
    body: Incoming,
    turn: Arc<Turn>,
    is_whole: bool,
}

impl RequestBody {
    /// Of a request that has begun.
    pub(super) fn new(body: Incoming, turn: &Arc<Turn>) -> Self {
        Self {
            is_whole: body.is_end_stream(),
            body,
            turn: Arc::clone(turn),
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
        // A body of unknown length does not know of its own end.
        self.is_whole |= frame.is_none() || self.body.is_end_stream();
        if self.is_whole || matches!(frame, Some(Err(_))) {
            self.turn.body_ends(self.is_whole);
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
        // One that was read whole has told it, and the next request may have begun since.
        if !self.is_whole {
            self.turn.body_ends(false);
        }
    }
}

/// What the client gets. Tells when there is no more of it to come.
pub(super) struct AnswerBody {
    body: Body,
    turn: Arc<Turn>,
}

impl AnswerBody {
    /// Of an answer that has begun.
    pub(super) fn new(body: Body, turn: Arc<Turn>) -> Self {
        Self { body, turn }
    }
}

impl hyper::body::Body for AnswerBody {
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

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.turn.answer_is_whole();
    }
}
