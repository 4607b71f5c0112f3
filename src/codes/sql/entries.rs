//! What is stored under scenes, found by their keys.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use super::columns;
use crate::db::{Error, KeyLookup, Query, Transaction, placeholders, row};

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
        let sql = find_sql(write.key_lookup(), chunk.len());
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

fn find_sql(key_lookup: KeyLookup, scenes: usize) -> String {
    let values = placeholders::rows(scenes, 2);
    let code = key_lookup.join("code", &columns::has_scene_of("wanted", key_lookup));
    format!(
        "WITH wanted (kind, scene) AS (VALUES {values})
         SELECT code.kind, code.scene, ticket, url, minted_at, asked, granted, attempts
         FROM wanted {code}"
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
        for scenes in [1, 8, 16] {
            let plan = store.db.plan(find_sql(store.db.key_lookup(), scenes)).await;
            let key =
                "SEARCH code USING INDEX sqlite_autoindex_code_1 (appid=? AND kind=? AND scene=?)";
            assert_eq!(plan.last().unwrap(), key, "{scenes}: {plan:?}");
        }
    }
}
