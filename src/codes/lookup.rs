//! Looking for codes on behalf of callers who may not mint.
//!
//! Anybody may ask for any scene, so a crowd that asks for one costs a single look into the store, and so does asking
//! again within a second.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;

use crate::scene::Scene;
use crate::store::{self, Store};
use crate::ticket::IssuedCode;

/// How long an answer of the store is good for the next caller. A code that another replica makes is seen after that.
const MEMORY: Duration = Duration::from_secs(1);

/// How many answers are remembered. A bound on memory, chosen: a few hundred bytes each.
const MOST_REMEMBERED: u64 = 10_000;

/// What the store said a moment ago.
#[derive(Debug)]
pub(super) struct LookUps(Cache<Scene, Option<Arc<IssuedCode>>>);

impl LookUps {
    pub(super) fn new() -> Self {
        let recent = Cache::builder()
            .max_capacity(MOST_REMEMBERED)
            .time_to_live(MEMORY);
        Self(recent.build())
    }

    /// What the store has. A failure is shared by those who wait for it, and not remembered. Cancel safe.
    pub(super) async fn find(
        &self,
        scene: &Scene,
        store: &Store,
    ) -> Result<Option<Arc<IssuedCode>>, store::Error> {
        let look = async { store.find(scene).await.map(|found| found.map(Arc::new)) };
        let found = self.0.try_get_with_by_ref(scene, look).await;
        found.map_err(|error: Arc<store::Error>| (*error).clone())
    }
}
