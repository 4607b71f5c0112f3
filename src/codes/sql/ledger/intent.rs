//! The row that is written before a permanent code is requested.

use std::sync::Arc;

use jiff::Timestamp;
use wechat::scene::Scene;

use crate::codes::sql::entries::Entry;

/// Write-ahead row of one mint, and the permission to call WeChat once. Its outcome is recorded
/// with `CodeStore::confirm` or `CodeStore::withdraw`; an intent that is dropped stays in the
/// ledger and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    pub(super) scene: Scene,
    /// The name of the key that asked.
    pub(super) created_by: Option<Arc<str>>,
    /// When it was written: a later one of the scene has another time.
    pub(super) since: Timestamp,
    /// When the intent of an earlier call of unknown outcome was written, if this one repeats it.
    pub(super) repeats: Option<Timestamp>,
}

impl Intent {
    /// Returns what the code is to carry.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Returns the entry that the ledger has once the intent is written.
    pub(super) fn entry(&self) -> Entry {
        Entry::Intent {
            since: self.since,
            attempts: 1,
        }
    }
}
