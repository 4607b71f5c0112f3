//! Stores temporary codes, and reads codes of every kind.

use jiff::Timestamp;
use wechat::scene::Scene;
use wechat::ticket::{IssuedCode, Life};

use super::columns;
use super::inserting::{bind_row, insert_sql};
use super::store::CodeStore;
use crate::db::{Error, Purge, ReadKind, Transaction, placeholders};

/// The index by expiry gives a batch; its rows are then found by the columns of `code_by_scene`,
/// each looked at again because it may have been renewed. Without the `+ 0` SQLite would read all
/// expired codes for each batch; by `(kind, scene)` alone it would read all codes of the kind.
const PURGE: &str =
    "DELETE FROM code WHERE appid = $1 AND expires_at + 0 < $2 AND (kind, scene_digits, scene) IN (
     SELECT kind, scene_digits, scene FROM code WHERE appid = $1 AND expires_at < $2 LIMIT $3)";

impl CodeStore {
    /// Reads the code of a scene, expired or not; none for an intent. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn find(&self, scene: &Scene) -> Result<Option<IssuedCode>, Error> {
        // By `scene_digits` for the reason of `columns::has_scene_of`.
        let query = sqlx::query(
            "SELECT ticket, url, minted_at, asked, granted FROM code
             WHERE appid = $1 AND kind = $2 AND scene_digits = $3 AND scene = $4",
        )
        .bind(self.db.appid())
        .bind(scene.kind().action_name())
        .bind(columns::scene_digits(scene))
        .bind(columns::scene_text(scene));
        self.db
            .read(ReadKind::Short, async {
                let found = self.db.autocommit().fetch_at_once(query).await?;
                found.first().map_or(Ok(None), columns::code)
            })
            .await
    }

    /// Removes some of the temporary codes that expired before `before`, and returns how many.
    /// Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn purge_expired(&self, before: Timestamp) -> Result<u64, Error> {
        let sql = PURGE;
        self.db.execute(Purge { sql, before }).await
    }
}

/// Stores temporary codes in place of those before them. The scenes must differ. Of two codes that
/// were minted at once the later one stays. A scene keeps the time when its first code was created,
/// until it has no code.
pub(super) async fn save_all(
    write: &mut Transaction<'_>,
    codes: &[(&Scene, &IssuedCode)],
) -> Result<(), Error> {
    for chunk in write.chunks(codes) {
        let columns = ["ticket", "url", "asked", "granted", "expires_at", "url_key"];
        let insert = insert_sql(write.key_lookup(), chunk.len(), &columns);
        let sql = format!(
            "{insert} ON CONFLICT (appid, kind, scene) DO UPDATE SET
                 ticket = excluded.ticket, url = excluded.url, minted_at = excluded.minted_at,
                 asked = excluded.asked, granted = excluded.granted, expires_at = excluded.expires_at,
                 url_key = excluded.url_key
             WHERE code.minted_at <= excluded.minted_at"
        );
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for (scene, code) in chunk {
            let Life::Temporary {
                minted_at,
                asked,
                granted,
            } = code.life
            else {
                return Err(Error::BadRow("a permanent code goes through the ledger"));
            };
            query = bind_row(query, scene, None, minted_at)
                .bind(code.ticket.as_str())
                .bind(code.url.as_str())
                .bind(i64::from(asked.as_secs()))
                .bind(i64::from(granted.as_secs()))
                .bind((minted_at + granted.as_duration()).as_millisecond())
                .bind(code.url.key());
        }
        write.execute_later(query).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_batch_of_expired_codes_is_found_by_their_keys() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(PURGE.to_owned()).await;
        let keys = "(appid=? AND kind=? AND scene_digits=? AND scene=?)";
        assert!(plan[0].contains(keys), "{plan:?}");
        let by_expiry = |step: &String| step.contains("code_by_expiry (appid=? AND expires_at<?)");
        assert!(plan[1..].iter().any(by_expiry), "{plan:?}");
    }
}
