//! Looking for codes on behalf of callers who may not mint.
//!
//! Anybody may ask for any scene, so a crowd that asks for one costs a single look into the store, and so does asking
//! again within a second.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::Semaphore;

use super::sql::CodeStore;
use crate::db;
use crate::scene::Scene;
use crate::ticket::IssuedCode;

/// How long an answer of the store is good for the next caller. A code that another replica makes is seen after that.
const MEMORY: Duration = Duration::from_secs(1);

/// How many answers are remembered. A bound on memory, chosen: a few hundred bytes each.
const MOST_REMEMBERED: u64 = 10_000;

/// How many look at once, so that they leave the store to those who mint. It has 6 ordinary turns with PostgreSQL.
const AT_ONCE: usize = 2;

/// How long a caller waits for a turn to look. Chosen: a hundred look-ups of a healthy store.
const PATIENCE: Duration = Duration::from_millis(300);

/// What the store said a moment ago.
#[derive(Debug)]
pub(super) struct LookUps {
    recent: Cache<Scene, Option<Arc<IssuedCode>>>,
    turns: Semaphore,
}

impl LookUps {
    pub(super) fn new() -> Self {
        let recent = Cache::builder()
            .max_capacity(MOST_REMEMBERED)
            .time_to_live(MEMORY);
        Self {
            recent: recent.build(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// What the store has. A failure is shared by those who wait for it, and not remembered. Cancel safe.
    ///
    /// # Errors
    /// When the store cannot be used, or too many look at once.
    pub(super) async fn find(
        &self,
        scene: &Scene,
        store: &CodeStore,
    ) -> Result<Option<Arc<IssuedCode>>, db::Error> {
        let look = async {
            let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
            let _turn = turn.map_err(|_| db::Error::Busy)?;
            store.find(scene).await.map(|found| found.map(Arc::new))
        };
        let found = self.recent.try_get_with_by_ref(scene, look).await;
        found.map_err(|error: Arc<db::Error>| (*error).clone())
    }
}
