//! Maps tickets to scenes. A scan carries the ticket, perhaps long after another one replaced it.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;
#[cfg(test)]
use wechat::ticket::Ticket;

use super::columns;
use super::store::CodeStore;
use crate::db::{Error, Purge, Transaction, placeholders};

/// Retention of a temporary code's ticket after the code expired. Migration `0003_scans.sql` gave
/// the first tickets as long.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_hours(60 * 24);

/// As with expired codes, the rows of a batch are found by an index and removed by their keys.
const PURGE: &str = "DELETE FROM ticket WHERE appid = $1 AND kept_until + 0 < $2 AND ticket IN (
     SELECT ticket FROM ticket WHERE appid = $1 AND kept_until < $2 LIMIT $3)";

impl CodeStore {
    /// Removes some of the tickets whose retention ended before `before`, and returns how many.
    /// Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn purge_tickets(&self, before: Timestamp) -> Result<u64, Error> {
        let sql = PURGE;
        self.db.execute(Purge { sql, before }).await
    }
}

/// Records tickets with their scenes, in the transaction that stores their codes. A ticket that is
/// known keeps its scene, so that its scans stay attributed to it. Returns the tickets that are
/// new, or live longer than was known.
pub(super) async fn record_tickets<'a>(
    write: &mut Transaction<'_>,
    codes: impl Iterator<Item = (&'a Scene, &'a IssuedCode)>,
) -> Result<HashSet<String>, Error> {
    let mut upserts = Vec::new();
    let mut tickets = BTreeMap::new();
    for (scene, code) in codes {
        tickets.entry(code.ticket.as_str()).or_insert((scene, code));
    }
    let tickets: Vec<_> = tickets.into_iter().collect();
    for chunk in write.chunks(&tickets) {
        let sql = format!(
            "INSERT INTO ticket (appid, ticket, kind, scene, kept_until) VALUES {}
             ON CONFLICT (appid, ticket) DO UPDATE SET kept_until = excluded.kept_until
             WHERE ticket.kind = excluded.kind AND ticket.scene = excluded.scene
               AND ticket.kept_until < excluded.kept_until
             RETURNING ticket",
            placeholders::rows_of_account(chunk.len(), 4)
        );
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for (ticket, (scene, code)) in chunk {
            let kept_until = code.expires_at().map(|end| end + KEPT_AFTER_EXPIRY);
            query = query
                .bind(*ticket)
                .bind(scene.kind().action_name())
                .bind(columns::scene_text(scene))
                .bind(kept_until.map(Timestamp::as_millisecond));
        }
        upserts.push(query);
    }
    let [found] = write.fetch_each([upserts]).await?;
    let new = found.iter().map(|row| row.try_get("ticket"));
    Ok(new.collect::<Result<_, _>>()?)
}

#[cfg(test)]
impl CodeStore {
    /// The scene of the code that a scan of this ticket is of.
    pub(crate) async fn scene_of(&self, ticket: &Ticket) -> Option<String> {
        sqlx::query_scalar("SELECT scene FROM ticket WHERE appid = $1 AND ticket = $2")
            .bind(self.db.appid())
            .bind(ticket.as_str())
            .fetch_optional(self.db.autocommit())
            .await
            .expect("the store is in memory")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_batch_of_old_tickets_is_found_by_their_keys() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(PURGE.to_owned()).await;
        assert!(plan[0].contains("(appid=? AND ticket=?)"), "{plan:?}");
        let old = |step: &String| step.contains("ticket_by_end (appid=? AND kept_until<?)");
        assert!(plan[1..].iter().any(old), "{plan:?}");
    }
}
