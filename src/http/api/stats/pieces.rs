//! Answers of many rows, which are written while they are sent, so that none is in memory as a
//! whole.

use std::convert::Infallible;

use axum::body::Body;
use futures_util::{StreamExt as _, stream};

/// The rows that are written at once: some 50 kB, in a fraction of a millisecond.
const ROWS: usize = 256;

/// An answer that is shorter has a `Content-Length`.
const SHORT: usize = 64 * 1024;

/// Pieces of an answer: the beginning, the rows in batches, and the end.
pub(super) fn pieces<R, W>(
    beginning: Vec<u8>,
    mut rows: impl Iterator<Item = R>,
    mut write: W,
    end: &'static [u8],
) -> impl Iterator<Item = Vec<u8>>
where
    W: FnMut(&mut Vec<u8>, Vec<R>),
{
    let batches = std::iter::from_fn(move || {
        let batch: Vec<_> = rows.by_ref().take(ROWS).collect();
        if batch.is_empty() {
            return None;
        }
        let mut piece = Vec::new();
        write(&mut piece, batch);
        Some(piece)
    });
    std::iter::once(beginning)
        .chain(batches)
        .chain(std::iter::once(end.to_vec()))
}

/// A body of these pieces, each of which is made when the client takes it.
pub(super) fn body(mut pieces: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Body {
    let mut first = Vec::new();
    while first.len() < SHORT {
        match pieces.next() {
            Some(piece) => first.extend(piece),
            None => return Body::from(first),
        }
    }
    let all = std::iter::once(first).chain(pieces);
    // Pieces that are ready at once would keep other tasks from this thread.
    let all = stream::iter(all).then(async |piece| {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(piece)
    });
    Body::from_stream(all)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::HttpBody as _;

    use super::*;

    /// Rows of two letters, and how many of them were made.
    fn rows_of(count: usize) -> (impl Iterator<Item = &'static str> + Send, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&made);
        let rows = (0..count).map(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            "ab"
        });
        (rows, made)
    }

    fn body_of(rows: impl Iterator<Item = &'static str> + Send + 'static, width: usize) -> Body {
        let write = move |piece: &mut Vec<u8>, rows: Vec<&str>| {
            for row in rows {
                piece.extend(row.repeat(width / 2).into_bytes());
            }
        };
        body(pieces(b"<".to_vec(), rows, write, b">"))
    }

    #[tokio::test]
    async fn a_long_body_is_made_while_it_is_taken() {
        let (rows, made) = rows_of(100_000);
        let mut frames = body_of(rows, 100).into_data_stream();
        let mut taken = 0;
        while let Some(frame) = frames.next().await {
            let frame = frame.unwrap();
            taken += frame.len();
            assert!(frame.len() <= SHORT + ROWS * 100, "{}", frame.len());
            let ahead = made.load(Ordering::Relaxed) - taken / 100;
            assert!(ahead <= ROWS, "{ahead} rows are made ahead");
        }
        assert_eq!(taken, 100_000 * 100 + 2);
    }

    #[tokio::test]
    async fn a_short_body_has_a_length() {
        for (rows, exact) in [
            (0, Some(2)),
            (3, Some(302)),
            (600, Some(60_002)),
            (1000, None),
        ] {
            let body = body_of(rows_of(rows).0, 100);
            assert_eq!(body.size_hint().exact(), exact, "{rows} rows");
        }
    }
}
