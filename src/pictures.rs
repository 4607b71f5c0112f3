//! Pictures that were drawn, kept in memory under a byte budget, so that each is drawn once.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use moka::future::Cache;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::render::{self, RenderError, Style};
use crate::ticket::CodeUrl;

/// How many bytes of pictures are kept: some twenty thousand of the plain ones. Chosen, not measured.
const BUDGET: u64 = 64 * 1024 * 1024;

/// What an entry costs besides its bytes: key, tag and the cache's own bookkeeping, roughly.
const OVERHEAD: usize = 512;

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

    /// The picture of a code. Cancel safe: a drawing that was begun is finished and kept.
    ///
    /// # Errors
    /// When the symbol does not fit the size.
    pub async fn get(
        &self,
        url: &CodeUrl,
        drawn: Drawn,
        style: Style,
    ) -> Result<Picture, Arc<RenderError>> {
        let key = Key {
            url: url.clone(),
            drawn,
            style,
        };
        if let Some(picture) = self.kept.get(&key).await {
            return Ok(picture);
        }
        let (kept, pens) = (self.kept.clone(), Arc::clone(&self.pens));
        // A task of its own: moka stops a drawing whose first caller leaves, and starts it again for the next one.
        let drawing = tokio::spawn(async move {
            let init = draw(pens, key.clone());
            kept.try_get_with(key, init).await
        });
        drawing
            .await
            .expect("drawing does not panic, and tasks end only with their runtime")
    }
}

impl Default for Pictures {
    fn default() -> Self {
        Self::new()
    }
}

async fn draw(pens: Arc<Semaphore>, key: Key) -> Result<Picture, RenderError> {
    let _pen = pens.acquire().await.expect("the semaphore is never closed");
    let drawing = tokio::task::spawn_blocking(move || {
        let bytes = match key.drawn {
            Drawn::Png => render::png(key.url.as_str(), &key.style)?,
            Drawn::Svg => render::svg(key.url.as_str(), &key.style)?.into_bytes(),
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
