//! Stores codes that exist, and counts them: after a mint, and after an import.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use crate::codes::sql::entries::{Entry, entries, find_entries};
use crate::codes::sql::inserting::{bind_row, insert_sql};
use crate::codes::sql::tickets::{NewTicket, record_tickets};
use crate::db::{Error, Transaction, placeholders};

/// A code that exists and is to be in the ledger.
#[derive(Debug, Clone, Copy)]
pub(in crate::codes::sql) struct NewEntry<'a> {
    pub(in crate::codes::sql) scene: &'a Scene,
    pub(in crate::codes::sql) code: &'a IssuedCode,
    /// The name of the key that had it created or recorded.
    pub(in crate::codes::sql) created_by: Option<&'a str>,
    pub(in crate::codes::sql) now: Timestamp,
}

/// Stores codes that exist, and counts those whose intents are not counted. The first code of a
/// scene wins. The ticket of another is remembered too: it carries the same scene. Where a ticket
/// is new, its mint is added to these daily counters. Returns the code of each one's scene, in
/// order.
pub(in crate::codes::sql) async fn record_all(
    write: &mut Transaction<'_>,
    codes: &[NewEntry<'_>],
    counters: &'static [&'static str],
) -> Result<Vec<IssuedCode>, Error> {
    let scenes = codes.iter().map(|new| new.scene).collect();
    let queries = [find_entries(write, scenes)];
    let [found] = write.fetch_each(queries).await?;
    let mut entries = entries(&found)?;
    let mut first = BTreeMap::new();
    let mut uncounted = 0;
    let mut kept = Vec::with_capacity(codes.len());
    for new in codes {
        let NewEntry { scene, code, .. } = *new;
        let entry = Entry::Code(Box::new(code.clone()));
        match entries.insert(scene.clone(), entry) {
            Some(Entry::Code(winner)) => {
                kept.push((*winner).clone());
                entries.insert(scene.clone(), Entry::Code(winner));
                continue;
            }
            Some(Entry::Intent { .. }) => {}
            // The intent is gone, as after a restore.
            None => uncounted += 1,
        }
        first.insert(scene, *new);
        kept.push(code.clone());
    }
    write_results(write, &first.into_values().collect::<Vec<_>>()).await?;
    if let Some(last) = codes.last() {
        let tickets = codes.iter().map(|new| NewTicket {
            scene: new.scene,
            code: new.code,
            counters,
        });
        record_tickets(write, last.now, tickets).await?;
    }
    add_to_stock(write, uncounted).await?;
    Ok(kept)
}

/// Stores the codes of scenes that have none. The code of an intent was created when and by whom
/// the intent says.
async fn write_results(write: &mut Transaction<'_>, codes: &[NewEntry<'_>]) -> Result<(), Error> {
    for chunk in write.chunks(codes) {
        let insert = insert_sql(
            write.key_lookup(),
            chunk.len(),
            &["ticket", "url", "url_key"],
        );
        let sql = format!(
            "{insert} ON CONFLICT (appid, kind, scene) DO UPDATE SET
                 ticket = excluded.ticket, url = excluded.url, url_key = excluded.url_key
             WHERE code.ticket IS NULL"
        );
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for new in chunk {
            query = bind_row(query, new.scene, new.created_by, new.now)
                .bind(new.code.ticket.as_str())
                .bind(new.code.url.as_str())
                .bind(new.code.url.key());
        }
        write.execute_later(query).await?;
    }
    Ok(())
}

/// Adds new codes and intents to the used stock.
pub(super) async fn add_to_stock(write: &mut Transaction<'_>, new: usize) -> Result<(), Error> {
    if new == 0 {
        return Ok(());
    }
    let add = sqlx::query(
        "INSERT INTO stock (appid, used) VALUES ($1, $2)
         ON CONFLICT (appid) DO UPDATE SET used = stock.used + excluded.used",
    )
    .bind(write.appid())
    .bind(i64::try_from(new).unwrap_or(i64::MAX));
    write.execute_later(add).await
}
