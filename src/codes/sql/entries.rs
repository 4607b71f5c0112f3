//! What is stored under scenes, found by their keys.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use super::columns;
use crate::db::{Error, Query, Transaction, placeholders, row};

/// The row of a scene of any kind: its code, or the intent of a permanent code that is not stored
/// yet.
#[derive(Debug, Clone)]
pub(super) enum Entry {
    Code(Box<IssuedCode>),
    Intent { since: Timestamp, attempts: i64 },
}

/// Finds what is stored under scenes.
pub(super) fn find_entries<'q>(
    write: &Transaction<'q>,
    scenes: BTreeSet<&Scene>,
) -> Vec<Query<'q>> {
    let scenes: Vec<_> = scenes.into_iter().collect();
    let queries = write.chunks(&scenes).map(|chunk| {
        let sql = find_sql(chunk.len());
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for scene in chunk {
            query = query
                .bind(scene.kind().action_name())
                .bind(columns::scene_text(scene));
        }
        query
    });
    queries.collect()
}

/// The entries that [`find_entries`] found.
pub(super) fn entries(found: &[AnyRow]) -> Result<HashMap<Scene, Entry>, Error> {
    let entries = found
        .iter()
        .map(|row| Ok((columns::scene(row)?, entry(row)?)));
    entries.collect()
}

fn find_sql(scenes: usize) -> String {
    format!(
        "WITH wanted (kind, scene) AS (VALUES {})
         SELECT code.kind, code.scene, ticket, url, minted_at, asked, granted, attempts
         FROM wanted JOIN code
           ON code.appid = $1 AND code.kind = wanted.kind AND code.scene = wanted.scene",
        placeholders::rows(scenes, 2)
    )
}

fn entry(found: &AnyRow) -> Result<Entry, Error> {
    Ok(match columns::code(found)? {
        Some(code) => Entry::Code(Box::new(code)),
        None => Entry::Intent {
            since: row::instant(found.try_get("minted_at")?)?,
            attempts: found.try_get("attempts")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::codes::sql::store::CodeStore;

    #[tokio::test]
    async fn entries_are_found_by_their_keys() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(find_sql(3)).await;
        let keys = |step: &String| step.contains("(appid=? AND kind=? AND scene=?)");
        assert!(plan.iter().any(keys), "{plan:?}");
    }
}
