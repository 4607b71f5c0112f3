//! In-memory cache of drawn pictures, under a byte budget.

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

use wechat::ticket::CodeUrl;

/// Maximum size of the cache, in bytes: some twenty thousand pictures of the default style. Chosen,
/// not measured.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Approximate overhead of an entry: key, entity tag and the cache's own data.
const OVERHEAD: usize = 512;

/// Maximum wait for a permit to draw. Chosen: the same as a visitor's wait for WeChat, by default.
pub(crate) const DRAW_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageFormat {
    /// 1 bit per pixel.
    Png,
    /// One path.
    Svg,
}

/// A picture with its strong entity tag.
#[derive(Debug, Clone)]
pub struct Picture {
    pub bytes: Bytes,
    /// The entity tag with its quotes, the value of `ETag`.
    pub etag: String,
}

/// Why there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Too many other pictures are waiting.
    #[error("too many pictures are waiting to be drawn")]
    Overloaded,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    url: CodeUrl,
    format: ImageFormat,
    style: Style,
}

/// Draws pictures and caches them.
#[derive(Debug)]
pub struct PictureCache {
    cache: Cache<Key, Picture>,
    /// Limits concurrency to one drawing for each core: more would only delay all of them.
    permits: Arc<Semaphore>,
}

impl PictureCache {
    pub fn new() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let weight = |key: &Key, picture: &Picture| {
            let bytes = key.url.as_str().len() + picture.bytes.len() + OVERHEAD;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        Self {
            cache: Cache::builder()
                .max_capacity(MAX_BYTES)
                .weigher(weight)
                .build(),
            permits: Arc::new(Semaphore::new(cores)),
        }
    }

    /// Returns the picture of a code, from the cache or drawn. Cancel safe: a picture that no
    /// request waits for is not drawn, but a started drawing is completed and cached.
    ///
    /// # Errors
    /// If the symbol does not fit the size, or no permit was available in time.
    pub async fn get(
        &self,
        url: &CodeUrl,
        format: ImageFormat,
        style: Style,
    ) -> Result<Picture, Arc<PictureError>> {
        let key = Key {
            url: url.clone(),
            format,
            style,
        };
        if let Some(picture) = self.cache.get(&key).await {
            return Ok(picture);
        }
        // Each request waits for a permit of its own, so that a cancelled one leaves the queue.
        // Later requests for the same picture find it in the cache.
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = timeout(DRAW_TIMEOUT, permit)
            .await
            .map_err(|_| PictureError::Overloaded)?
            .expect("the semaphore is never closed");
        let cache = self.cache.clone();
        // A separate task: moka cancels a drawing with its first caller, and restarts it for the
        // next.
        let drawing = tokio::spawn(async move {
            let _permit = permit;
            cache.try_get_with(key.clone(), drawn(key)).await
        });
        drawing.await.expect("tasks end only with their runtime")
    }

    /// Runs a job that draws pictures which are not cached, on a blocking thread and under a permit
    /// of its own. It waits for the permit as long as it takes; what visitors wait for is drawn in
    /// between. Cancel safe: a started job is completed.
    pub async fn run_drawing_job<T, J>(&self, job: J) -> T
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = permit.await.expect("the semaphore is never closed");
        let job = spawn_blocking(move || {
            let _permit = permit;
            job()
        });
        job.await.expect("drawing does not panic")
    }
}

impl Default for PictureCache {
    fn default() -> Self {
        Self::new()
    }
}

/// Draws the picture of a code. Takes a fraction of a millisecond for the default size.
///
/// # Errors
/// If the symbol does not fit the size.
pub fn draw(url: &CodeUrl, format: ImageFormat, style: &Style) -> Result<Vec<u8>, RenderError> {
    match format {
        ImageFormat::Png => qr_image::png(url.as_str(), style),
        ImageFormat::Svg => qr_image::svg(url.as_str(), style).map(String::into_bytes),
    }
}

async fn drawn(key: Key) -> Result<Picture, PictureError> {
    let drawing = spawn_blocking(move || {
        let bytes = draw(&key.url, key.format, &key.style)?;
        // Drops the spare capacity, which can be as large again and which the byte budget does not
        // count.
        let bytes = Bytes::from(bytes.into_boxed_slice());
        Ok(Picture {
            etag: etag(&bytes),
            bytes,
        })
    });
    drawing.await.expect("drawing does not panic")
}

fn etag(bytes: &Bytes) -> String {
    /// 16 bytes of the hash make collisions negligible.
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

    async fn get(pictures: &PictureCache, code: &str) -> Result<Picture, Arc<PictureError>> {
        let url = code.parse().unwrap();
        pictures.get(&url, ImageFormat::Svg, Style::default()).await
    }

    /// A cache whose permits are all taken until the returned one is dropped.
    fn busy() -> (PictureCache, tokio::sync::OwnedSemaphorePermit) {
        let pictures = PictureCache::new();
        let all = u32::try_from(pictures.permits.available_permits()).unwrap();
        let permits = Arc::clone(&pictures.permits).try_acquire_many_owned(all);
        (pictures, permits.unwrap())
    }

    #[tokio::test]
    async fn a_cancelled_request_is_not_drawn() {
        let (pictures, permits) = busy();
        for n in 0..1000 {
            let code = format!("http://weixin.qq.com/q/{n}");
            assert!(get(&pictures, &code).now_or_never().is_none());
        }
        drop(permits);
        get(&pictures, "http://weixin.qq.com/q/a").await.unwrap();
        pictures.cache.run_pending_tasks().await;
        assert_eq!(pictures.cache.entry_count(), 1);
    }

    #[tokio::test]
    async fn cancelling_the_first_request_keeps_the_others() {
        let (pictures, permits) = busy();
        let code = "http://weixin.qq.com/q/a";
        let mut first = Box::pin(get(&pictures, code));
        assert!(first.as_mut().now_or_never().is_none());
        let patient = join(get(&pictures, code), get(&pictures, code));
        let first_leaves = async {
            drop(first);
            drop(permits);
        };
        let ((one, other), ()) = join(patient, first_leaves).await;
        assert_eq!(one.unwrap().etag, other.unwrap().etag);
    }

    #[tokio::test]
    async fn a_request_times_out_waiting_for_a_permit() {
        let (pictures, _permits) = busy();
        tokio::time::pause();
        let started = tokio::time::Instant::now();
        let refused = get(&pictures, "http://weixin.qq.com/q/a").await;
        assert_eq!(*refused.unwrap_err(), PictureError::Overloaded);
        let waited = DRAW_TIMEOUT..=DRAW_TIMEOUT + Duration::from_millis(1);
        assert!(waited.contains(&started.elapsed()));
    }
}
