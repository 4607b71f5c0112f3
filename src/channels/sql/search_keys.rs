//! What lists order and search by, computed for rows that older versions wrote. SQL cannot, because
//! databases fold some letters only.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::columns::SearchKeys;
use crate::channels::channel::Channel;
use crate::db::{OpenError, Query, classify, placeholders};
use crate::text::folded;

/// Under which name the table `about` has the version of the keys.
const NAME: &str = "search_keys";

/// To be raised when the computation changes: all keys are then computed anew.
const VERSION: &str = "1";

/// How many rows are read and written at a time.
const BATCH: i64 = 500;

const KINDS: &str =
    "SELECT DISTINCT appid, kind FROM code UNION SELECT DISTINCT appid, kind FROM channel";

const CHANNELS: &str = "SELECT scene, label, group_name FROM channel
     WHERE appid = $1 AND kind = $2 AND scene > $3 AND (label IS NOT NULL OR group_name IS NOT NULL)
     ORDER BY scene LIMIT $4";

const CODES: &str = "SELECT code.scene,
       CAST(CASE WHEN channel.scene IS NULL THEN 0 ELSE 1 END AS BIGINT) AS has_names
     FROM code
     LEFT JOIN channel
       ON channel.appid = code.appid AND channel.kind = code.kind AND channel.scene = code.scene
     WHERE code.appid = $1 AND code.kind = $2 AND code.scene > $3
     ORDER BY code.scene LIMIT $4";

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
    for found in sqlx::query(KINDS).fetch_all(&mut *connection).await? {
        let codes = CodesOfKind {
            appid: found.try_get("appid")?,
            kind: found.try_get("kind")?,
        };
        let CodesOfKind { appid, kind } = &codes;
        tracing::info!(
            appid,
            kind,
            "computing what lists of codes are searched by, once"
        );
        codes.refresh_names(connection).await?;
        codes.refresh_codes(connection).await?;
    }
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

/// Rows of one account and kind, which are read and written by their scenes.
#[derive(Debug)]
struct CodesOfKind {
    appid: String,
    kind: String,
}

impl CodesOfKind {
    async fn refresh_names(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let mut last = String::new();
        loop {
            let found = self.batch_after(connection, CHANNELS, &last).await?;
            let Some(end) = found.last() else {
                return Ok(());
            };
            let scenes = Scenes {
                after: last,
                to: end.try_get("scene")?,
            };
            let names = found.iter().map(Names::of);
            let names = names.collect::<Result<Vec<_>, _>>()?;
            self.write_names(connection, names, &scenes).await?;
            last = scenes.to;
        }
    }

    async fn refresh_codes(&self, connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
        let mut last = String::new();
        loop {
            let found = self.batch_after(connection, CODES, &last).await?;
            let Some(end) = found.last() else {
                return Ok(());
            };
            let scenes = Scenes {
                after: last,
                to: end.try_get("scene")?,
            };
            let codes = found.iter().map(CodeKeys::of);
            let mut codes = codes.collect::<Result<Vec<_>, _>>()?;
            codes.retain(|code| code.has_names || code.folded_scene.is_some());
            if !codes.is_empty() {
                self.write_codes(connection, codes, &scenes).await?;
            }
            last = scenes.to;
        }
    }

    async fn batch_after(
        &self,
        connection: &mut AnyConnection,
        sql: &'static str,
        last: &str,
    ) -> Result<Vec<AnyRow>, sqlx::Error> {
        sqlx::query(sql)
            .bind(self.appid.as_str())
            .bind(self.kind.as_str())
            .bind(last)
            .bind(BATCH)
            .fetch_all(connection)
            .await
    }

    async fn write_names(
        &self,
        connection: &mut AnyConnection,
        names: Vec<Names>,
        scenes: &Scenes,
    ) -> Result<(), sqlx::Error> {
        let sql = format!(
            "WITH new (scene, label_sort, folded_names) AS (VALUES {})
             UPDATE channel SET folded_names = new.folded_names,
                 label_sort = CASE WHEN label IS NOT NULL THEN new.label_sort END
             FROM new WHERE channel.appid = $1 AND channel.scene = new.scene AND {}",
            placeholders::rows(names.len(), 3),
            Scenes::condition("channel", 2 + 3 * names.len()),
        );
        let mut query = placeholders::query(sql, names.len(), &self.appid);
        for Names { scene, keys } in names {
            query = query
                .bind(scene)
                .bind(keys.label_sort.unwrap_or_default())
                .bind(keys.folded_names.unwrap_or_default());
        }
        self.bind(query, scenes).execute(connection).await?;
        Ok(())
    }

    /// Writes the key of each code's scene and the copy of its names together: a row that changes
    /// is written into each index of the table.
    async fn write_codes(
        &self,
        connection: &mut AnyConnection,
        codes: Vec<CodeKeys>,
        scenes: &Scenes,
    ) -> Result<(), sqlx::Error> {
        let kind = 2 + 2 * codes.len();
        let sql = format!(
            "WITH new (scene, folded_scene) AS (VALUES {})
             UPDATE code SET folded_scene = NULLIF(new.folded_scene, ''),
                 label = channel.label, group_name = channel.group_name,
                 archived = COALESCE(channel.archived, 0), label_sort = channel.label_sort,
                 folded_names = channel.folded_names
             FROM new
             LEFT JOIN channel
               ON channel.appid = $1 AND channel.kind = ${kind} AND channel.scene = new.scene
             WHERE code.appid = $1 AND code.scene = new.scene AND {}",
            placeholders::rows(codes.len(), 2),
            Scenes::condition("code", kind),
        );
        let mut query = placeholders::query(sql, codes.len(), &self.appid);
        for code in codes {
            query = query
                .bind(code.scene)
                .bind(code.folded_scene.unwrap_or_default());
        }
        self.bind(query, scenes).execute(connection).await?;
        Ok(())
    }

    /// Binds the values of [`Scenes::condition`].
    fn bind<'q>(&'q self, query: Query<'q>, scenes: &'q Scenes) -> Query<'q> {
        query
            .bind(self.kind.as_str())
            .bind(scenes.after.as_str())
            .bind(scenes.to.as_str())
    }
}

/// The scenes of a batch as a range of the primary key. PostgreSQL knows little of a table that was
/// just filled: without the range it would read the whole table for each batch.
#[derive(Debug)]
struct Scenes {
    after: String,
    to: String,
}

impl Scenes {
    /// Builds the condition on a table. Its values begin at a placeholder, with the kind.
    fn condition(table: &str, kind: usize) -> String {
        let (after, to) = (kind + 1, kind + 2);
        format!("{table}.kind = ${kind} AND {table}.scene > ${after} AND {table}.scene <= ${to}")
    }
}

/// What is written into the row of a channel.
#[derive(Debug)]
struct Names {
    scene: String,
    keys: SearchKeys,
}

impl Names {
    fn of(found: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            scene: found.try_get("scene")?,
            keys: SearchKeys::of(&Channel {
                label: found.try_get("label")?,
                group: found.try_get("group_name")?,
            }),
        })
    }
}

/// What is written into the row of a code.
#[derive(Debug)]
struct CodeKeys {
    scene: String,
    /// None where it is the scene.
    folded_scene: Option<String>,
    has_names: bool,
}

impl CodeKeys {
    fn of(found: &AnyRow) -> Result<Self, sqlx::Error> {
        let scene: String = found.try_get("scene")?;
        let folded_scene = Some(folded(&scene)).filter(|folded| *folded != scene);
        Ok(Self {
            scene,
            folded_scene,
            has_names: found.try_get::<i64, _>("has_names")? != 0,
        })
    }
}
