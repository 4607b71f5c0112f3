//! How much of the permanent stock is used.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::codes::sql::store::CodeStore;
use crate::db::{Error, ReadKind};

/// Codes and intents of the account.
pub(super) const USED_STOCK: &str = "SELECT used FROM stock WHERE appid = $1";

/// Has an index: it runs every few seconds, and temporary codes may be millions.
const COUNT_UNKNOWN: &str = "SELECT COUNT(*) FROM code WHERE appid = $1 AND ticket IS NULL";

/// How much of the permanent stock is used, and how much of it by unknown outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// Codes and intents.
    pub used: u64,
    /// Mints whose outcome is not known.
    pub unknown: u64,
}

impl Stock {
    /// From this percentage of the limit on, operators are warned. Chosen.
    pub const WARN_FROM_PERCENT: u64 = 90;

    /// How much of `limit` codes is used, in per cent. 0 if none may be created.
    pub fn percent_of(&self, limit: u64) -> u64 {
        (self.used * 100).checked_div(limit).unwrap_or(0)
    }
}

impl CodeStore {
    /// Reads how much of the stock is used.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn stock(&self) -> Result<Stock, Error> {
        let used = sqlx::query(USED_STOCK).bind(self.db.appid());
        let unknown = sqlx::query(COUNT_UNKNOWN).bind(self.db.appid());
        self.db
            .read(ReadKind::Short, async {
                let used = used.fetch_optional(self.db.autocommit()).await?;
                let unknown: i64 = unknown.fetch_one(self.db.autocommit()).await?.try_get(0)?;
                Ok(Stock {
                    used: count(used.as_ref())?,
                    unknown: u64::try_from(unknown).unwrap_or(0),
                })
            })
            .await
    }
}

/// The count that [`USED_STOCK`] found; without a row nothing was counted yet.
pub(super) fn count(found: Option<&AnyRow>) -> Result<u64, Error> {
    let used: i64 = found.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(u64::try_from(used).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn mints_of_unknown_outcome_are_counted_by_themselves() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(COUNT_UNKNOWN.to_owned()).await;
        assert!(plan[0].contains("code_of_unknown_outcome"), "{plan:?}");
    }
}
