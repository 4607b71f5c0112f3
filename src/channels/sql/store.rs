//! `ChannelStore`, to which the files of this folder add its queries and commands.

use crate::db::Database;

/// Names of scenes and the list of codes, as the database keeps them.
#[derive(Debug, Clone)]
pub struct ChannelStore {
    pub(super) db: Database,
}

impl ChannelStore {
    pub fn new(db: Database) -> Self {
        Self { db }
    }

    /// Whether the database was well when it was last used.
    pub(crate) fn is_up(&self) -> bool {
        self.db.is_up()
    }
}
