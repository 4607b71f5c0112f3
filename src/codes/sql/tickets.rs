//! Maps tickets to scenes. A scan carries the ticket, perhaps long after another one replaced it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;
#[cfg(test)]
use wechat::ticket::Ticket;

use super::columns;
use super::store::CodeStore;
use crate::clock::China;
use crate::db::{Error, KeyLookup, Purge, Transaction, placeholders};

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

/// A code whose ticket is to be recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewTicket<'a> {
    pub(super) scene: &'a Scene,
    pub(super) code: &'a IssuedCode,
    /// The daily counters of its mint, which is counted if the ticket is new, or lives longer than
    /// was known.
    pub(super) counters: &'static [&'static str],
}

impl NewTicket<'_> {
    fn kept_until(&self) -> Option<i64> {
        let end = self.code.expires_at()?;
        Some((end + KEPT_AFTER_EXPIRY).as_millisecond())
    }
}

/// Records tickets with their scenes, and counts their mints on the day of `now`, with the next
/// statements. A ticket that is known keeps its scene, so that its scans stay attributed to it.
pub(super) async fn record_tickets<'a>(
    write: &mut Transaction<'_>,
    now: Timestamp,
    tickets: impl Iterator<Item = NewTicket<'a>>,
) -> Result<(), Error> {
    let mut first = BTreeMap::new();
    for new in tickets {
        first.entry(new.code.ticket.as_str()).or_insert(new);
    }
    let tickets: Vec<_> = first.into_values().collect();
    // Once they are recorded, they are not new.
    count_mints(write, now, &tickets).await?;
    for chunk in write.chunks(&tickets) {
        let sql = format!(
            "INSERT INTO ticket (appid, ticket, kind, scene, kept_until) VALUES {}
             ON CONFLICT (appid, ticket) DO UPDATE SET kept_until = excluded.kept_until
             WHERE ticket.kind = excluded.kind AND ticket.scene = excluded.scene
               AND ticket.kept_until < excluded.kept_until",
            placeholders::rows_of_account(chunk.len(), 4)
        );
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for new in chunk {
            query = query
                .bind(new.code.ticket.as_str())
                .bind(new.scene.kind().action_name())
                .bind(columns::scene_text(new.scene))
                .bind(new.kept_until());
        }
        write.execute_later(query).await?;
    }
    Ok(())
}

async fn count_mints(
    write: &mut Transaction<'_>,
    now: Timestamp,
    tickets: &[NewTicket<'_>],
) -> Result<(), Error> {
    let mints = tickets.iter().flat_map(|new| {
        let counters = new.counters.iter();
        counters.map(move |counter| (*counter, new))
    });
    let mints: Vec<_> = mints.collect();
    for chunk in write.chunks(&mints) {
        let sql = count_sql(write.key_lookup(), chunk.len());
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for (counter, new) in chunk {
            query = query
                .bind(*counter)
                .bind(new.code.ticket.as_str())
                .bind(new.scene.kind().action_name())
                .bind(columns::scene_text(new.scene))
                .bind(new.kept_until());
        }
        write.execute_later(query.bind(China::day(now))).await?;
    }
    Ok(())
}

/// The join finds the tickets that would not be changed.
fn count_sql(key_lookup: KeyLookup, mints: usize) -> String {
    let known = key_lookup.left_join(
        "ticket",
        "ticket.appid = $1 AND ticket.ticket = mint.ticket
         AND (ticket.kind <> mint.kind OR ticket.scene <> mint.scene OR ticket.kept_until IS NULL
              OR mint.kept_until IS NULL OR ticket.kept_until >= CAST(mint.kept_until AS BIGINT))",
    );
    format!(
        "WITH mint (counter, ticket, kind, scene, kept_until) AS (VALUES {})
         INSERT INTO daily (appid, name, day, value)
         SELECT $1, mint.counter, ${}, COUNT(*) FROM mint {known}
         WHERE ticket.ticket IS NULL GROUP BY mint.counter
         ON CONFLICT (appid, name, day) DO UPDATE SET value = daily.value + excluded.value",
        placeholders::rows(mints, 5),
        2 + 5 * mints,
    )
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

    #[tokio::test]
    async fn known_tickets_are_found_by_their_keys() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        for mints in [1, 8, 16] {
            let plan = store.db.plan(count_sql(store.db.key_lookup(), mints)).await;
            let key = "SEARCH ticket USING INDEX sqlite_autoindex_ticket_1 (appid=? AND ticket=?)";
            assert!(
                plan.iter().any(|step| step.starts_with(key)),
                "{mints}: {plan:?}"
            );
        }
    }
}
