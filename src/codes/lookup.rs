//! Reads codes for callers who may not mint, with coalesced queries and a cache of one second.
//!
//! Anyone may ask for any scene, so a crowd that asks for one costs a single query, and so does
//! asking again within a second.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::Semaphore;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use super::sql::CodeStore;
use crate::db;

/// How long a result is used for further callers. A code that another replica makes is seen after
/// that.
const MEMORY: Duration = Duration::from_secs(1);

/// How many results are remembered. A bound on memory, chosen: a few hundred bytes each.
const MOST_REMEMBERED: u64 = 10_000;

/// Concurrent look-ups, fewer than the database has connections, so that mints are not kept out.
const AT_ONCE: usize = 2;

const _: () = assert!(AT_ONCE < db::READ_CONNECTIONS as usize);

/// How long a caller waits for a permit. Chosen: a hundred look-ups in a healthy database.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(300);

/// Single flight of look-ups by scene, for callers who get no mint: results are cached for a
/// second, and few queries run at once.
#[derive(Debug)]
pub(super) struct Lookups {
    recent: Cache<Scene, Option<Arc<IssuedCode>>>,
    permits: Semaphore,
}

impl Lookups {
    pub(super) fn new() -> Self {
        let recent = Cache::builder()
            .max_capacity(MOST_REMEMBERED)
            .time_to_live(MEMORY);
        Self {
            recent: recent.build(),
            permits: Semaphore::new(AT_ONCE),
        }
    }

    /// Reads the stored code of a scene. A failure is shared by those who wait for it, and not
    /// remembered. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used, or too many look-ups run at once.
    pub(super) async fn find(
        &self,
        scene: &Scene,
        store: &CodeStore,
    ) -> Result<Option<Arc<IssuedCode>>, db::Error> {
        let look = async {
            let permit = tokio::time::timeout(ACQUIRE_TIMEOUT, self.permits.acquire()).await;
            let _permit = permit.map_err(|_| db::Error::Busy)?;
            store.find(scene).await.map(|found| found.map(Arc::new))
        };
        // Boxed, so that the futures of all requests for a code stay small.
        let found = Box::pin(self.recent.try_get_with_by_ref(scene, look)).await;
        found.map_err(|error: Arc<db::Error>| (*error).clone())
    }
}
