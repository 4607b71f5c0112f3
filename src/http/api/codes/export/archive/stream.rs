//! An archive, written while it is sent.

use std::sync::Arc;

use axum::body::Body;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::yield_now;

use super::pictures::PictureArchive;
use crate::db;
use crate::http::api::codes::export::pages::Pages;
use crate::pictures::PictureCache;

/// An archive while it is written: the state of its stream.
struct Writing {
    remaining: Remaining,
    pictures: Arc<PictureCache>,
    _permit: OwnedSemaphorePermit,
}

/// What is left of an archive.
enum Remaining {
    /// Pictures of these pages, then the rows.
    Pictures(Box<Pages>, Box<PictureArchive>),
    /// The rows and the directory, in pieces.
    Rows(Box<dyn Iterator<Item = Vec<u8>> + Send>),
}

/// A body of all pages, each drawn when the client takes it. A failure of the database cuts it off,
/// so that no client takes a part for the whole.
pub(super) fn body(
    pages: Pages,
    archive: PictureArchive,
    pictures: Arc<PictureCache>,
    permit: OwnedSemaphorePermit,
) -> Body {
    let writing = Writing {
        remaining: Remaining::Pictures(Box::new(pages), Box::new(archive)),
        pictures,
        _permit: permit,
    };
    Body::from_stream(stream::try_unfold(writing, Writing::next))
}

impl Writing {
    /// The next piece. The permit is held until the archive is dropped.
    async fn next(self) -> Result<Option<(Vec<u8>, Self)>, db::Error> {
        let next = self.remaining.next(&self.pictures).await?;
        Ok(next.map(|(piece, remaining)| (piece, Self { remaining, ..self })))
    }
}

impl Remaining {
    async fn next(self, pictures: &PictureCache) -> Result<Option<(Vec<u8>, Self)>, db::Error> {
        match self {
            Self::Pictures(mut pages, mut archive) => {
                let Some(codes) = pages.next().await? else {
                    let rows = Self::Rows(Box::new(archive.finish()));
                    return Ok(Some((Vec::new(), rows)));
                };
                let draw = move || (archive.write(codes), archive);
                let (piece, archive) = pictures.run_drawing_job(draw).await;
                Ok(Some((piece, Self::Pictures(pages, archive))))
            }
            Self::Rows(mut pieces) => {
                // Pieces that are ready at once would keep other tasks from this thread.
                yield_now().await;
                let piece = pieces.next();
                Ok(piece.map(|piece| (piece, Self::Rows(pieces))))
            }
        }
    }
}
