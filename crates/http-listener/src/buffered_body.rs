//! Request bodies read whole into memory, under a byte budget.

use std::ops::Deref;

use axum::body::{Body, HttpBody as _};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::budget::{ByteBudget, Evicted, Pinned, Reservation};

/// A request body read whole into memory, charged to a [`ByteBudget`] until it is dropped.
#[derive(Debug)]
pub struct BufferedBody {
    bytes: Vec<u8>,
    _pinned: Pinned,
}

/// Why a body was not read: too large, incomplete, or evicted from its byte budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body exceeds its maximum, or announces that it will.
    #[error("the body is too large")]
    TooLarge,
    /// The body ended early, or broke the protocol.
    #[error("the body ended early")]
    Incomplete,
    /// The byte budget ran out, and this body was the oldest one that was still being read.
    #[error("the byte budget of request bodies is used up")]
    Evicted,
}

impl BufferedBody {
    /// Reads a body of at most `max` bytes.
    ///
    /// The charge grows with the bytes received, not with the length announced; a body that
    /// announces more than `max` is not read at all. Cancel safe.
    ///
    /// # Errors
    /// [`BodyError`].
    pub async fn read(body: Body, max: usize, budget: &ByteBudget) -> Result<Self, BodyError> {
        let size = body.size_hint();
        if size.lower() > max as u64 {
            return Err(BodyError::TooLarge);
        }
        let upper = size.upper().and_then(|upper| usize::try_from(upper).ok());
        let max = upper.unwrap_or(max).min(max);
        let evicted = CancellationToken::new();
        let reservation = budget.reserve(evicted.clone());
        tokio::select! {
            biased;
            () = evicted.cancelled() => Err(BodyError::Evicted),
            read = receive(body, max, &reservation) => read,
        }?;
        let (bytes, pinned) = reservation.pin()?;
        Ok(Self {
            bytes,
            _pinned: pinned,
        })
    }
}

/// Copies every chunk: kept as it is, each, however small, would hold a whole read buffer of hyper.
async fn receive(body: Body, max: usize, reservation: &Reservation) -> Result<(), BodyError> {
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
        if reservation.len() + chunk.len() > max {
            return Err(BodyError::TooLarge);
        }
        reservation.append(&chunk, max)?;
    }
    Ok(())
}

impl From<Evicted> for BodyError {
    fn from(_: Evicted) -> Self {
        Self::Evicted
    }
}

impl Deref for BufferedBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for BufferedBody {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::body::Bytes;
    use futures_util::stream;

    use super::*;

    fn chunked(chunks: &'static [&'static str]) -> Body {
        let chunks = chunks
            .iter()
            .map(|chunk| Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes())));
        Body::from_stream(stream::iter(chunks))
    }

    #[tokio::test]
    async fn a_body_is_charged_until_it_is_dropped() {
        let budget = ByteBudget::new(100);
        let body = BufferedBody::read(chunked(&["ab", "c", "defg"]), 7, &budget)
            .await
            .unwrap();
        assert_eq!(&*body, b"abcdefg");
        assert_eq!(budget.used(), 7);
        drop(body);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_body_beyond_its_maximum_or_the_budget_is_refused() {
        let budget = ByteBudget::new(10);
        for (body, max, want) in [
            (Body::from("12345678"), 7, BodyError::TooLarge),
            (chunked(&["1234", "5678"]), 7, BodyError::TooLarge),
            (Body::from("12345678901"), 20, BodyError::Evicted),
            (chunked(&["123456", "78901"]), 20, BodyError::Evicted),
        ] {
            let read = BufferedBody::read(body, max, &budget).await;
            assert_eq!(read.map(|body| body.len()), Err(want));
            assert_eq!(budget.used(), 0);
        }
    }

    #[tokio::test]
    async fn a_stalled_body_is_evicted_for_one_that_comes() {
        let budget = ByteBudget::new(10);
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"12345678"))]);
        let stalled = Body::from_stream(first.chain(stream::pending()));
        let shared = budget.clone();
        let stalled = tokio::spawn(async move { BufferedBody::read(stalled, 10, &shared).await });
        while budget.used() == 0 {
            tokio::task::yield_now().await;
        }
        let body = BufferedBody::read(Body::from("abcdefgh"), 10, &budget)
            .await
            .unwrap();
        assert_eq!(&*body, b"abcdefgh");
        assert_eq!(stalled.await.unwrap().err(), Some(BodyError::Evicted));
        assert_eq!(budget.used(), 8);
    }
}
