//! Retention: removes events and erases openids after their time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::columns;
use super::store::EventStore;
use crate::db::{Command, Database, Error, Transaction, Urgency, placeholders, row};
use crate::statistics::tally::Attribution;

/// The oldest ones that may go: those that are listed, and those of bindings.
const OLD_EVENTS: [&str; 2] = [
    "SELECT id, person, kind, scene, day FROM event
     WHERE appid = $1 AND at < $2 AND binding IS NULL ORDER BY at LIMIT $3",
    "SELECT id, person, kind, scene, day FROM event
     WHERE appid = $1 AND at < $2 AND binding IS NOT NULL ORDER BY at LIMIT $3",
];

/// The openid is overwritten in its place.
const ERASE: &str = "UPDATE follower SET openid = $4, held = 0 WHERE appid = $1 AND person IN (
     SELECT person FROM follower WHERE appid = $1 AND held = 1 AND seen_at < $2 LIMIT $3)";

impl EventStore {
    /// Removes some of the events from before `before`, and erases some of the openids of followers
    /// without an event since then. Returns how many of both; 0 when nothing is left. The numbers
    /// stay, and stay right for a returning person, whose pseudonym is kept. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn remove_old_events(&self, before: Timestamp) -> Result<u64, Error> {
        let remove = RemoveOldEvents {
            db: self.db.clone(),
            before,
        };
        self.db.execute(remove).await
    }
}

struct RemoveOldEvents {
    db: Database,
    before: Timestamp,
}

impl Command for RemoveOldEvents {
    type Output = u64;

    const URGENCY: Urgency = Urgency::Background;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<u64, Error> {
        let mut events = 0;
        for sql in OLD_EVENTS {
            events += remove_events(write, sql, self.before).await?;
        }
        let erased = sqlx::query(ERASE)
            .bind(write.appid())
            .bind(self.before.as_millisecond())
            .bind(write.purge_batch())
            .bind(columns::openid_column(None))
            .execute(write)
            .await?;
        if erased.rows_affected() > 0 {
            // Before the commit, whose outcome may stay unknown.
            self.db.mark_erased();
        }
        Ok(events + erased.rows_affected())
    }
}

async fn remove_events(
    write: &mut Transaction<'_>,
    old: &'static str,
    before: Timestamp,
) -> Result<u64, Error> {
    let old = sqlx::query(old)
        .bind(write.appid())
        .bind(before.as_millisecond())
        .bind(write.purge_batch())
        .fetch_all(&mut *write)
        .await?;
    keep_last_visits(write, &old).await?;
    let mut removed = 0;
    for chunk in write.chunks(&old) {
        let sql = format!(
            "DELETE FROM event WHERE appid = $1 AND id IN ({})",
            placeholders::list(chunk.len())
        );
        let mut delete = placeholders::query(sql, chunk.len(), write.appid());
        for event in chunk {
            delete = delete.bind(event.try_get::<String, _>("id")?);
        }
        removed += delete.execute(&mut *write).await?.rows_affected();
    }
    Ok(removed)
}

/// Stores the last visits of events that are removed, so that a person who comes back is not
/// counted as a new one.
async fn keep_last_visits(write: &mut Transaction<'_>, old: &[AnyRow]) -> Result<(), Error> {
    let visits: Vec<_> = last_visits(old)?.into_iter().collect();
    for chunk in write.chunks(&visits) {
        let sql = format!(
            "INSERT INTO last_visit (appid, person, kind, scene, day) VALUES {}
             ON CONFLICT (appid, person, kind, scene) DO UPDATE SET day = excluded.day
             WHERE last_visit.day < excluded.day",
            placeholders::rows_of_account(chunk.len(), 4)
        );
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for ((person, code), day) in chunk {
            let (kind, scene) = columns::code_columns(code);
            query = query
                .bind(person.as_str())
                .bind(kind)
                .bind(scene)
                .bind(day.to_string());
        }
        query.execute(&mut *write).await?;
    }
    Ok(())
}

fn last_visits(old: &[AnyRow]) -> Result<BTreeMap<(String, Attribution), Date>, Error> {
    let mut visits = BTreeMap::new();
    for event in old {
        if event.try_get::<Option<String>, _>("kind")?.is_none() {
            continue;
        }
        let day = row::day(&event.try_get::<String, _>("day")?)?;
        let visitor = (event.try_get("person")?, columns::attribution(event)?);
        let last = visits.entry(visitor).or_insert(day);
        *last = day.max(*last);
    }
    Ok(visits)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn retention_finds_old_rows_by_an_index() {
        let store = EventStore::in_memory(Arc::new(SystemClock)).await;
        for (sql, index) in [
            (OLD_EVENTS[0], "event_by_time (appid=? AND at<?)"),
            (OLD_EVENTS[1], "event_of_binding (appid=? AND at<?)"),
            (ERASE, "follower_with_openid (appid=? AND seen_at<?)"),
        ] {
            let plan = store.db.plan(sql.to_owned()).await;
            assert!(plan.iter().any(|step| step.contains(index)), "{plan:?}");
            assert!(
                !plan.iter().any(|step| step.starts_with("SCAN")),
                "{plan:?}"
            );
        }
    }
}
