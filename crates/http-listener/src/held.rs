//! Request bodies in memory, under a budget that they share.

use std::ops::Deref;

use axum::body::{Body, HttpBody as _};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::budget::{ByteBudget, Evicted, Kept, Share};

/// A body that was read whole. It is part of the budget until it is dropped.
#[derive(Debug)]
pub struct HeldBody {
    bytes: Vec<u8>,
    _kept: Kept,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is longer than it may be, or says so beforehand.
    #[error("the body is too large")]
    TooLarge,
    /// It ended early, or broke the protocol.
    #[error("the body did not come to its end")]
    BrokenOff,
    /// It made room for others.
    #[error("bodies take as much memory as they may")]
    Crowded,
}

impl HeldBody {
    /// Reads a body of at most `most` bytes. What it holds of the budget grows with what comes, not with what it says
    /// beforehand; one that says beforehand that it is longer is not read at all. Cancel safe.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(body: Body, most: usize, budget: &ByteBudget) -> Result<Self, ReadError> {
        let size = body.size_hint();
        if size.lower() > most as u64 {
            return Err(ReadError::TooLarge);
        }
        let upper = size.upper().and_then(|upper| usize::try_from(upper).ok());
        let most = upper.unwrap_or(most).min(most);
        let evicted = CancellationToken::new();
        let share = budget.enter(evicted.clone());
        tokio::select! {
            biased;
            () = evicted.cancelled() => Err(ReadError::Crowded),
            read = receive(body, most, &share) => read,
        }?;
        let (bytes, kept) = share.keep()?;
        Ok(Self { bytes, _kept: kept })
    }
}

/// Copies every piece. Kept as it is, each, however small, would hold a whole read buffer.
async fn receive(body: Body, most: usize, share: &Share) -> Result<(), ReadError> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_| ReadError::BrokenOff)?;
        if share.length() + piece.len() > most {
            return Err(ReadError::TooLarge);
        }
        share.append(&piece, most)?;
    }
    Ok(())
}

impl From<Evicted> for ReadError {
    fn from(_: Evicted) -> Self {
        Self::Crowded
    }
}

impl Deref for HeldBody {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsRef<[u8]> for HeldBody {
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

    fn chunked(pieces: &'static [&'static str]) -> Body {
        let pieces = pieces
            .iter()
            .map(|piece| Ok::<_, Infallible>(Bytes::from_static(piece.as_bytes())));
        Body::from_stream(stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_holds_what_it_is_until_it_is_dropped() {
        let budget = ByteBudget::new(100);
        let body = HeldBody::read(chunked(&["ab", "c", "defg"]), 7, &budget)
            .await
            .unwrap();
        assert_eq!(&*body, b"abcdefg");
        assert_eq!(budget.used(), 7);
        drop(body);
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test]
    async fn a_body_has_bounds() {
        let budget = ByteBudget::new(10);
        for (body, most, want) in [
            (Body::from("12345678"), 7, ReadError::TooLarge),
            (chunked(&["1234", "5678"]), 7, ReadError::TooLarge),
            (Body::from("12345678901"), 20, ReadError::Crowded),
            (chunked(&["123456", "78901"]), 20, ReadError::Crowded),
        ] {
            let read = HeldBody::read(body, most, &budget).await;
            assert_eq!(read.map(|body| body.len()), Err(want));
            assert_eq!(budget.used(), 0);
        }
    }

    #[tokio::test]
    async fn one_that_does_not_come_makes_room_for_one_that_does() {
        let budget = ByteBudget::new(10);
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"12345678"))]);
        let silent = Body::from_stream(first.chain(stream::pending()));
        let shared = budget.clone();
        let silent = tokio::spawn(async move { HeldBody::read(silent, 10, &shared).await });
        while budget.used() == 0 {
            tokio::task::yield_now().await;
        }
        let body = HeldBody::read(Body::from("abcdefgh"), 10, &budget)
            .await
            .unwrap();
        assert_eq!(&*body, b"abcdefgh");
        assert_eq!(silent.await.unwrap().err(), Some(ReadError::Crowded));
        assert_eq!(budget.used(), 8);
    }
}
