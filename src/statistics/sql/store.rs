//! `EventStore`, to which the files of this folder add its queries and commands.

#[cfg(test)]
use std::sync::Arc;

use super::super::privacy::PersonKey;
use super::row_budget::RowBudget;
#[cfg(test)]
use crate::clock::Clock;
use crate::db::Database;

/// Events, followers and numbers, as the database keeps them.
#[derive(Debug, Clone)]
pub struct EventStore {
    pub(super) db: Database,
    pub(super) person_key: PersonKey,
    pub(super) row_budget: RowBudget,
}

impl EventStore {
    /// Creates the store, with the person key that was settled when the database was opened.
    pub(crate) fn new(db: Database, person_key: PersonKey) -> Self {
        Self {
            db,
            person_key,
            row_budget: RowBudget::new(),
        }
    }
}

#[cfg(test)]
impl EventStore {
    /// A store over a database of its own, in memory.
    pub(crate) async fn in_memory(clock: Arc<dyn Clock>) -> Self {
        Self::new(Database::in_memory(clock).await, PersonKey::random())
    }
}
