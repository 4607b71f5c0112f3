//! The permanent ledger, with write-ahead intents. WeChat gives an account 100 000 permanent codes
//! for its life and deletes none, so an intent is written before the call and counts from then on,
//! and a result is written before the answer.

mod outcome;
mod recording;
mod reserve;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::scene::{PermanentScene, Scene};
use wechat::ticket::IssuedCode;

use self::outcome::{Confirm, Withdraw};
pub(super) use self::recording::{NewEntry, record_all};
use self::reserve::Reserve;
use super::entries::Entry;
use super::stops::Stop;
use super::store::CodeStore;
use crate::db::{Error, ReadKind};

/// How long the outcome of a mint stays unknown before another caller may repeat it. The mint that
/// wrote it must be over by then; `codes::permanent` holds the two together.
pub const REPEAT_AFTER: Duration = Duration::from_mins(1);

/// Has an index: it runs every few seconds, and temporary codes may be millions.
const COUNT_UNKNOWN: &str = "SELECT COUNT(*) FROM code WHERE appid = $1 AND ticket IS NULL";

/// The result of a reservation.
#[derive(Debug)]
pub enum ReserveOutcome {
    /// The call may be made: the intent is written and counted. What the replicas know of stopped
    /// calls comes with it.
    Granted(Intent, Option<Stop>),
    Exists(Box<IssuedCode>),
    /// Another call is in flight, or its outcome is unknown.
    Pending {
        /// Until the mint may be repeated; none once it was repeated as often as it may be.
        retry_after: Option<Duration>,
    },
    Exhausted,
}

/// Write-ahead row of one mint, and the permission to call WeChat once. Its outcome is recorded
/// with [`CodeStore::confirm`] or [`CodeStore::withdraw`]; an intent that is dropped stays in the
/// ledger and counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    scene: Scene,
    /// The name of the key that asked.
    created_by: Option<Arc<str>>,
    /// When it was written: a later one of the scene has another time.
    since: Timestamp,
    /// When the intent of an earlier call of unknown outcome was written, if this one repeats it.
    repeats: Option<Timestamp>,
}

impl Intent {
    /// What the code is to carry.
    pub fn scene(&self) -> &Scene {
        &self.scene
    }

    /// What the ledger has after its first execution.
    fn entry(&self) -> Entry {
        Entry::Intent {
            since: self.since,
            attempts: 1,
        }
    }
}

/// How much of the permanent stock is used, and how much of it by unknown outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// Codes and intents.
    pub used: u64,
    /// Mints whose outcome is not known.
    pub unknown: u64,
}

impl CodeStore {
    /// Asks to mint a permanent code for a key of this name. At most `limit` codes and intents are
    /// counted. Cancel safe: an intent that no caller gets is withdrawn.
    ///
    /// # Errors
    /// When the database cannot be used: then nothing was reserved, or it is withdrawn by the next
    /// chance.
    pub async fn reserve(
        &self,
        scene: &PermanentScene,
        limit: u64,
        created_by: Option<Arc<str>>,
    ) -> Result<ReserveOutcome, Error> {
        let reserve = Reserve {
            store: self.clone(),
            scene: Scene::Permanent(scene.clone()),
            limit,
            created_by,
            now: self.db.now(),
            executions: AtomicU32::new(0),
        };
        Ok(self.db.execute(reserve).await?.deliver())
    }

    /// Writes the result of a mint, and counts the mint. The first one that is stored wins, and it
    /// is what comes back.
    ///
    /// # Errors
    /// When the database cannot be used. The code exists at WeChat then, so the call is to be
    /// repeated until it succeeds.
    pub async fn confirm(&self, intent: &Intent, code: &IssuedCode) -> Result<IssuedCode, Error> {
        let confirm = Confirm {
            intent: intent.clone(),
            code: code.clone(),
            now: self.db.now(),
        };
        self.db.execute(confirm).await
    }

    /// Takes an intent back, because the call certainly made no code. After a repeat it is as
    /// before that, because the call before it may have made one. Withdrawn again, nothing
    /// changes.
    ///
    /// # Errors
    /// When the database cannot be used: the intent stays and counts.
    pub async fn withdraw(&self, intent: &Intent) -> Result<(), Error> {
        self.db.execute(Withdraw(intent.clone())).await
    }

    /// How much of the stock is used.
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

const USED_STOCK: &str = "SELECT used FROM stock WHERE appid = $1";

fn count(found: Option<&AnyRow>) -> Result<u64, Error> {
    let used: i64 = found.map_or(Ok(0), |row| row.try_get(0))?;
    Ok(u64::try_from(used).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn mints_of_unknown_outcome_are_counted_by_themselves() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(COUNT_UNKNOWN.to_owned()).await;
        assert!(plan[0].contains("code_of_unknown_outcome"), "{plan:?}");
    }
}
