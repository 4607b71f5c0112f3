//! The in-memory cache of codes, in front of the database: a cached code costs no SQL.

use std::sync::Arc;

use moka::sync::Cache;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

/// The latest code of each scene. Clones are handles to the same cache.
#[derive(Debug, Clone)]
pub(super) struct CodeCache(Cache<Scene, Arc<IssuedCode>>);

impl CodeCache {
    /// Room for so many codes; beyond it the least used ones are evicted.
    pub(super) fn new(entries: u64) -> Self {
        Self(Cache::new(entries))
    }

    /// The code of a scene, dead or alive.
    pub(super) fn get(&self, scene: &Scene) -> Option<Arc<IssuedCode>> {
        self.0.get(scene)
    }

    /// Keeps a code, unless one that was minted later is there already.
    pub(super) fn keep(&self, scene: &Scene, code: Arc<IssuedCode>) {
        self.0
            .entry_by_ref(scene)
            .and_upsert_with(|known| match known {
                Some(known) if known.value().minted_at() > code.minted_at() => known.into_value(),
                _ => code,
            });
    }
}
