//! What lists order and search by, computed for rows that older versions wrote. SQL cannot, because
//! databases fold some letters only.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::columns::SearchKeys;
use crate::channels::channel::Channel;
use crate::db::{OpenError, classify, placeholders};
use crate::text::folded;

/// Under which name the table `about` has the version of the keys.
const NAME: &str = "search_keys";

/// To be raised when the computation changes: all keys are then computed anew.
const VERSION: &str = "1";

/// How many rows are read and written at a time.
const BATCH: i64 = 500;

const ACCOUNTS: &str = "SELECT DISTINCT appid FROM code UNION SELECT DISTINCT appid FROM channel";

const CHANNELS: &str = "SELECT kind, scene, label, group_name FROM channel
     WHERE appid = $1 AND (kind, scene) > ($2, $3) AND (label IS NOT NULL OR group_name IS NOT NULL)
     ORDER BY kind, scene LIMIT $4";

const SCENES: &str = "SELECT kind, scene FROM code
     WHERE appid = $1 AND (kind, scene) > ($2, $3) AND kind IN ('QR_LIMIT_STR_SCENE', 'QR_STR_SCENE')
     ORDER BY kind, scene LIMIT $4";

/// Copies the names of channels into the rows of their codes.
const COPY: &str = "UPDATE code SET label = channel.label, group_name = channel.group_name,
       archived = channel.archived, label_sort = channel.label_sort, folded_names = channel.folded_names
     FROM channel
     WHERE channel.appid = code.appid AND channel.kind = code.kind AND channel.scene = code.scene";

/// Computes all keys once, before the tables are used.
///
/// # Errors
/// [`OpenError`].
pub(crate) async fn refresh_search_keys(connection: &mut AnyConnection) -> Result<(), OpenError> {
    refresh(connection).await.map_err(classify)
}

async fn refresh(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let version = sqlx::query("SELECT value FROM about WHERE name = $1").bind(NAME);
    let version = version.fetch_optional(&mut *connection).await?;
    let version: Option<String> = version.map(|row| row.try_get(0)).transpose()?;
    if version.as_deref() == Some(VERSION) {
        return Ok(());
    }
    for account in sqlx::query(ACCOUNTS).fetch_all(&mut *connection).await? {
        let appid: String = account.try_get(0)?;
        refresh_names(connection, &appid).await?;
        refresh_scenes(connection, &appid).await?;
    }
    sqlx::query(COPY).execute(&mut *connection).await?;
    sqlx::query(
        "INSERT INTO about (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(NAME)
    .bind(VERSION)
    .execute(connection)
    .await?;
    Ok(())
}

async fn refresh_names(connection: &mut AnyConnection, appid: &str) -> Result<(), sqlx::Error> {
    let mut last = Key::default();
    loop {
        let found = batch_after(connection, CHANNELS, appid, &last).await?;
        let Some(end) = found.last() else {
            return Ok(());
        };
        last = Key::of(end)?;
        let sql = format!(
            "WITH new (kind, scene, label_sort, folded_names) AS (VALUES {})
             UPDATE channel SET folded_names = new.folded_names,
                 label_sort = CASE WHEN label IS NOT NULL THEN new.label_sort END
             FROM new WHERE channel.appid = $1 AND channel.kind = new.kind AND channel.scene = new.scene",
            placeholders::rows(found.len(), 4)
        );
        let mut query = placeholders::query(sql, found.len(), appid);
        for row in &found {
            let key = Key::of(row)?;
            let keys = SearchKeys::of(&Channel {
                label: row.try_get("label")?,
                group: row.try_get("group_name")?,
            });
            query = query
                .bind(key.kind)
                .bind(key.scene)
                .bind(keys.label_sort.unwrap_or_default())
                .bind(keys.folded_names.unwrap_or_default());
        }
        query.execute(&mut *connection).await?;
    }
}

async fn refresh_scenes(connection: &mut AnyConnection, appid: &str) -> Result<(), sqlx::Error> {
    let mut last = Key::default();
    loop {
        let found = batch_after(connection, SCENES, appid, &last).await?;
        let keys = found.iter().map(Key::of);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let differing: Vec<_> = keys
            .iter()
            .map(|key| (key, folded(&key.scene)))
            .filter(|(key, folded)| *folded != key.scene)
            .collect();
        if !differing.is_empty() {
            let sql = format!(
                "WITH new (kind, scene, folded_scene) AS (VALUES {})
                 UPDATE code SET folded_scene = new.folded_scene
                 FROM new WHERE code.appid = $1 AND code.kind = new.kind AND code.scene = new.scene",
                placeholders::rows(differing.len(), 3)
            );
            let mut query = placeholders::query(sql, differing.len(), appid);
            for (key, folded) in differing {
                query = query
                    .bind(key.kind.clone())
                    .bind(key.scene.clone())
                    .bind(folded);
            }
            query.execute(&mut *connection).await?;
        }
        match keys.into_iter().next_back() {
            Some(key) => last = key,
            None => return Ok(()),
        }
    }
}

/// Kind and scene of a row.
#[derive(Debug, Default)]
struct Key {
    kind: String,
    scene: String,
}

impl Key {
    fn of(found: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            kind: found.try_get("kind")?,
            scene: found.try_get("scene")?,
        })
    }
}

async fn batch_after(
    connection: &mut AnyConnection,
    sql: &'static str,
    appid: &str,
    last: &Key,
) -> Result<Vec<AnyRow>, sqlx::Error> {
    sqlx::query(sql)
        .bind(appid)
        .bind(last.kind.as_str())
        .bind(last.scene.as_str())
        .bind(BATCH)
        .fetch_all(connection)
        .await
}
