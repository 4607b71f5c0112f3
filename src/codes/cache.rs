//! The in-memory cache of codes, in front of the database: a cached code costs no SQL.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::Timestamp;
use moka::sync::Cache;

use wechat::scene::Scene;
use wechat::ticket::{IssuedCode, Life};

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
                Some(known) if by_age(known.value(), &code).is_gt() => known.into_value(),
                _ => code,
            });
    }
}

/// The later minted of two codes is the greater one.
fn by_age(one: &IssuedCode, other: &IssuedCode) -> Ordering {
    minted_at(one).cmp(&minted_at(other))
}

/// A permanent code is not replaced by another one, so its age does not matter.
fn minted_at(code: &IssuedCode) -> Option<Timestamp> {
    match code.life {
        Life::Temporary { minted_at, .. } => Some(minted_at),
        Life::Permanent => None,
    }
}
