//! `CodeStore`, to which the files of this folder add its queries and commands.

#[cfg(test)]
use std::sync::Arc;

#[cfg(test)]
use crate::clock::Clock;
use crate::db::Database;

/// Codes and what replicas agree on, as the database keeps them.
#[derive(Debug, Clone)]
pub struct CodeStore {
    pub(super) db: Database,
}

impl CodeStore {
    pub fn new(db: Database) -> Self {
        Self { db }
    }

    /// Whether the database was well when it was last used.
    pub(crate) fn is_up(&self) -> bool {
        self.db.is_up()
    }
}

#[cfg(test)]
impl CodeStore {
    /// A store over a database of its own, in memory.
    pub(crate) async fn in_memory(clock: Arc<dyn Clock>) -> Self {
        Self::new(Database::in_memory(clock).await)
    }

    /// Makes every later call fail.
    pub(crate) async fn close(&self) {
        self.db.close().await;
    }
}
