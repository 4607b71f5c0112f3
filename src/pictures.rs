//! Pictures that were drawn, kept in memory under a byte budget, so that each is drawn once.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use moka::future::Cache;
use qr_image::{RenderError, Style};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::ticket::CodeUrl;

/// How many bytes of pictures are kept: some twenty thousand of the plain ones. Chosen, not measured.
const BUDGET: u64 = 64 * 1024 * 1024;

/// What an entry costs besides its bytes: key, tag and the cache's own bookkeeping, roughly.
const OVERHEAD: usize = 512;

/// How long a picture waits to be drawn. Chosen: what a visitor waits for WeChat too.
const PATIENCE: Duration = Duration::from_secs(5);

/// A format that we draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Drawn {
    /// 1 bit a pixel.
    Png,
    /// One path.
    Svg,
}

/// The bytes of a picture and their strong entity tag.
#[derive(Debug, Clone)]
pub struct Picture {
    /// The file.
    pub bytes: Bytes,
    /// The tag with its quotes, as `ETag` has it.
    pub etag: String,
}

/// Why there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// It cannot be drawn.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Too many others are drawn first.
    #[error("too many pictures are to be drawn")]
    Crowded,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    url: CodeUrl,
    drawn: Drawn,
    style: Style,
}

/// Draws and keeps. One is made at start and shared.
#[derive(Debug, Clone)]
pub struct Pictures {
    kept: Cache<Key, Picture>,
    /// One drawing for each core: more would only make all of them late.
    pens: Arc<Semaphore>,
}

impl Pictures {
    /// An empty cache.
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let weight = |key: &Key, picture: &Picture| {
            let bytes = key.url.as_str().len() + picture.bytes.len() + OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self {
            kept: Cache::builder()
                .max_capacity(BUDGET)
                .weigher(weight)
                .build(),
            pens: Arc::new(Semaphore::new(cores)),
        }
    }

    /// The picture of a code. Cancel safe: what nobody waits for any more is not drawn, and a drawing that was begun is
    /// finished and kept.
    ///
    /// # Errors
    /// When the symbol does not fit the size, or no turn to draw came within 5 s.
    pub async fn get(
        &self,
        url: &CodeUrl,
        drawn: Drawn,
        style: Style,
    ) -> Result<Picture, Arc<PictureError>> {
        let key = Key {
            url: url.clone(),
            drawn,
            style,
        };
        if let Some(picture) = self.kept.get(&key).await {
            return Ok(picture);
        }
        // Everybody waits alone, and whoever leaves is out of the line. The next one of the same picture finds it drawn.
        let pen = Arc::clone(&self.pens).acquire_owned();
        let pen = timeout(PATIENCE, pen)
            .await
            .map_err(|_| PictureError::Crowded)?
            .expect("the semaphore is never closed");
        let kept = self.kept.clone();
        // A task of its own: moka stops a drawing whose first caller leaves, and starts it again for the next one.
        let drawing = tokio::spawn(async move {
            let _pen = pen;
            kept.try_get_with(key.clone(), draw(key)).await
        });
        drawing.await.expect("tasks end only with their runtime")
    }
}

impl Default for Pictures {
    fn default() -> Self {
        Self::new()
    }
}

async fn draw(key: Key) -> Result<Picture, PictureError> {
    let drawing = spawn_blocking(move || {
        let bytes = match key.drawn {
            Drawn::Png => qr_image::png(key.url.as_str(), &key.style)?,
            Drawn::Svg => qr_image::svg(key.url.as_str(), &key.style)?.into_bytes(),
        };
        // Without the room to grow, which can be as much again, and which the budget does not see.
        let bytes = Bytes::from(bytes.into_boxed_slice());
        Ok(Picture {
            etag: etag(&bytes),
            bytes,
        })
    });
    drawing.await.expect("drawing does not panic")
}

fn etag(bytes: &Bytes) -> String {
    /// 16 bytes of the hash: no two pictures will ever share them.
    const LENGTH: usize = 16;
    format!(
        "\"{}\"",
        BASE64_URL_SAFE_NO_PAD.encode(&Sha256::digest(bytes)[..LENGTH])
    )
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::join;

    use super::*;

    async fn get(pictures: &Pictures, code: &str) -> Result<Picture, Arc<PictureError>> {
        let url = code.parse().unwrap();
        pictures.get(&url, Drawn::Svg, Style::default()).await
    }

    /// Pictures that have all pens in use until the permit is dropped.
    fn busy() -> (Pictures, tokio::sync::OwnedSemaphorePermit) {
        let pictures = Pictures::new();
        let all = u32::try_from(pictures.pens.available_permits()).unwrap();
        let pens = Arc::clone(&pictures.pens).try_acquire_many_owned(all);
        (pictures, pens.unwrap())
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_not_drawn() {
        let (pictures, pens) = busy();
        for n in 0..1000 {
            let code = format!("http://weixin.qq.com/q/{n}");
            assert!(get(&pictures, &code).now_or_never().is_none());
        }
        drop(pens);
        get(&pictures, "http://weixin.qq.com/q/a").await.unwrap();
        pictures.kept.run_pending_tasks().await;
        assert_eq!(pictures.kept.entry_count(), 1);
    }

    #[tokio::test]
    async fn the_first_may_leave_and_the_others_have_it() {
        let (pictures, pens) = busy();
        let code = "http://weixin.qq.com/q/a";
        let mut first = Box::pin(get(&pictures, code));
        assert!(first.as_mut().now_or_never().is_none());
        let patient = join(get(&pictures, code), get(&pictures, code));
        let first_leaves = async {
            drop(first);
            drop(pens);
        };
        let ((one, other), ()) = join(patient, first_leaves).await;
        assert_eq!(one.unwrap().etag, other.unwrap().etag);
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let (pictures, _pens) = busy();
        tokio::time::pause();
        let started = tokio::time::Instant::now();
        let refused = get(&pictures, "http://weixin.qq.com/q/a").await;
        assert_eq!(*refused.unwrap_err(), PictureError::Crowded);
        let waited = PATIENCE..=PATIENCE + Duration::from_millis(1);
        assert!(waited.contains(&started.elapsed()));
    }
}
