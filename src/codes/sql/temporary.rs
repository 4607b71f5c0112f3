//! Stores temporary codes, and reads codes of every kind.

use jiff::Timestamp;
use wechat::scene::{Lifetime, Scene};
use wechat::ticket::{IssuedCode, Life};

use super::columns;
use super::store::CodeStore;
use crate::db::{Error, PURGE_BATCH, Purpose};

/// The index by expiry gives a batch; its rows are then found by their keys, each looked at again
/// because it may have been renewed. Without the `+ 0` SQLite would read all of the dead for each
/// batch.
const PURGE: &str =
    "DELETE FROM code WHERE appid = $1 AND expires_at + 0 < $2 AND (kind, scene) IN (
     SELECT kind, scene FROM code WHERE appid = $1 AND expires_at < $2 LIMIT $3)";

impl CodeStore {
    /// The code of a scene, dead or alive; none for an intent. Cancel safe.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn find(&self, scene: &Scene) -> Result<Option<IssuedCode>, Error> {
        self.db
            .within_deadline(Purpose::Read, self.read(scene))
            .await
    }

    /// The same within an admitted call.
    pub(super) async fn read(&self, scene: &Scene) -> Result<Option<IssuedCode>, Error> {
        let found = sqlx::query(
            "SELECT ticket, url, minted_at, asked, granted FROM code WHERE appid = $1 AND kind = $2 AND scene = $3",
        )
        .bind(self.db.appid())
        .bind(scene.kind().action_name())
        .bind(columns::scene_text(scene))
        .fetch_optional(self.db.autocommit())
        .await?;
        match found {
            Some(found) => columns::code(&found),
            None => Ok(None),
        }
    }

    /// Keeps a temporary code instead of the one before it. Of two that were minted at once the
    /// later one stays, and the tickets of both are remembered. Cancel safe: it is kept or it is
    /// not.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn save(&self, scene: &Scene, code: &IssuedCode) -> Result<(), Error> {
        let Life::Temporary {
            minted_at,
            asked,
            granted,
        } = code.life
        else {
            return Err(Error::BadRow("a permanent code goes through the ledger"));
        };
        let seconds = |life: Lifetime| i64::from(life.as_secs());
        let query = sqlx::query(
            "INSERT INTO code (appid, kind, scene, ticket, url, minted_at, asked, granted, expires_at, url_key)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (appid, kind, scene) DO UPDATE SET
                 ticket = excluded.ticket, url = excluded.url, minted_at = excluded.minted_at,
                 asked = excluded.asked, granted = excluded.granted, expires_at = excluded.expires_at,
                 url_key = excluded.url_key
             WHERE code.minted_at <= excluded.minted_at",
        )
        .bind(self.db.appid())
        .bind(scene.kind().action_name())
        .bind(columns::scene_text(scene))
        .bind(code.ticket.as_str())
        .bind(code.url.as_str())
        .bind(minted_at.as_millisecond())
        .bind(seconds(asked))
        .bind(seconds(granted))
        .bind((minted_at + granted.as_duration()).as_millisecond())
        .bind(code.url.key());
        self.db
            .within_deadline(Purpose::HighPriority, async {
                let mut write = self.db.begin().await?;
                query.execute(&mut write).await?;
                self.remember_ticket(&mut write, scene, code).await?;
                write.commit().await?;
                Ok(())
            })
            .await
    }

    /// Removes some of the temporary codes that died before `before`, and returns how many. Cancel
    /// safe.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn purge_dead(&self, before: Timestamp) -> Result<u64, Error> {
        let query = sqlx::query(PURGE)
            .bind(self.db.appid())
            .bind(before.as_millisecond())
            .bind(PURGE_BATCH);
        self.db
            .within_deadline(Purpose::Write, async {
                Ok(query.execute(self.db.autocommit()).await?.rows_affected())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_batch_of_the_dead_is_found_by_their_keys() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(PURGE.to_owned()).await;
        let keys = "(appid=? AND kind=? AND scene=?)";
        assert!(plan[0].contains(keys), "{plan:?}");
        let dead = |step: &String| step.contains("code_by_expiry (appid=? AND expires_at<?)");
        assert!(plan[1..].iter().any(dead), "{plan:?}");
    }
}
