//! What is known of many scenes, and which scenes have a name: for comparing a file with the list.

use std::collections::HashMap;

use sqlx::Row as _;
use sqlx::any::AnyRow;
use wechat::push::Reply;
use wechat::scene::Scene;

use super::columns::{channel, reply};
use super::store::ChannelStore;
use crate::channels::channel::Channel;
use crate::channels::label_sort::label_sort;
use crate::codes::columns;
use crate::db::{Error, KeyLookup, ReadKind, placeholders};

/// The scenes or names of one statement. Chosen: some milliseconds, far below a read's deadline.
const CHUNK: usize = 100;

/// What is known of a scene.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownScene {
    /// What its owner calls it.
    pub channel: Channel,
    /// What a follower reads after a scan.
    pub reply: Option<Reply>,
    /// Whether it has a code that has not expired.
    pub has_code: bool,
    /// Whether it counts in the permanent stock: it has a permanent code, or one whose mint has no
    /// known outcome.
    pub counts: bool,
}

impl ChannelStore {
    /// Reads what is known of each of these scenes. Those that have neither a name nor a code are
    /// left out.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn known_scenes(
        &self,
        scenes: &[Scene],
    ) -> Result<HashMap<Scene, KnownScene>, Error> {
        let mut known = HashMap::new();
        for chunk in scenes.chunks(CHUNK) {
            let sql = known_sql(self.db.key_lookup(), chunk.len());
            let mut query = placeholders::query(sql, chunk.len(), self.db.appid());
            for scene in chunk {
                query = query
                    .bind(scene.kind().action_name())
                    .bind(columns::scene_text(scene));
            }
            let query = query.bind(self.db.now().as_millisecond());
            let read = async { Ok(query.fetch_all(self.db.autocommit()).await?) };
            for row in &self.db.read(ReadKind::Short, read).await? {
                known.insert(columns::scene(row)?, known_scene(row)?);
            }
        }
        Ok(known)
    }

    /// Finds the scene of the codes with each of these names, permanent ones apart from others: the
    /// first, if several have it. The key of the map is the name, and whether the code is
    /// permanent.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn scenes_named(
        &self,
        labels: &[&str],
    ) -> Result<HashMap<(String, bool), Scene>, Error> {
        let mut named: HashMap<_, Scene> = HashMap::new();
        for chunk in labels.chunks(CHUNK) {
            let sql = named_sql(self.db.key_lookup(), chunk.len());
            let mut query = placeholders::query(sql, chunk.len(), self.db.appid());
            for label in chunk {
                query = query.bind(label_sort(label)).bind(*label);
            }
            let query = query.bind(self.db.now().as_millisecond());
            let read = async { Ok(query.fetch_all(self.db.autocommit()).await?) };
            for row in &self.db.read(ReadKind::Short, read).await? {
                let scene = columns::scene(row)?;
                let key = (row.try_get("label")?, scene.kind().is_permanent());
                let first = named.entry(key).or_insert_with(|| scene.clone());
                if scene < *first {
                    *first = scene;
                }
            }
        }
        Ok(named)
    }
}

fn known_scene(row: &AnyRow) -> Result<KnownScene, Error> {
    let scene = columns::scene(row)?;
    let code: i64 = row.try_get("code")?;
    Ok(KnownScene {
        channel: channel(row)?,
        reply: reply(row)?,
        has_code: code == 2,
        counts: code > 0 && scene.kind().is_permanent(),
    })
}

fn known_sql(key_lookup: KeyLookup, scenes: usize) -> String {
    let now = 2 + 2 * scenes;
    let channel = key_lookup.left_join(
        "channel",
        "channel.appid = $1 AND channel.kind = wanted.kind AND channel.scene = wanted.scene",
    );
    let is_wanted = columns::has_scene_of("wanted", key_lookup);
    let is_valid = format!("(code.expires_at IS NULL OR code.expires_at > ${now})");
    let code = key_lookup.left_join("code", &format!("{is_wanted} AND {is_valid}"));
    format!(
        "WITH wanted (kind, scene) AS (VALUES {})
         SELECT wanted.kind, wanted.scene, channel.label, channel.group_name, channel.reply,
           CAST(CASE WHEN code.scene IS NULL THEN 0 WHEN code.ticket IS NULL THEN 1 ELSE 2 END AS BIGINT) AS code
         FROM wanted {channel} {code}
         WHERE channel.scene IS NOT NULL OR code.scene IS NOT NULL",
        placeholders::rows(scenes, 2)
    )
}

/// Builds the query for one scene of each kind, however many have the name. The index of names has
/// them in their order.
fn named_sql(key_lookup: KeyLookup, labels: usize) -> String {
    let now = 2 + 2 * labels;
    let is_named =
        "code.appid = $1 AND code.label_sort = wanted.label_sort AND code.label = wanted.label
       AND code.label_sort IS NOT NULL";
    let is_valid = format!("(code.expires_at IS NULL OR code.expires_at > ${now})");
    let code = key_lookup.join("code", &format!("{is_named} AND {is_valid}"));
    format!(
        "WITH wanted (label_sort, label) AS (VALUES {})
         SELECT code.label, code.kind, MIN(code.scene) AS scene
         FROM wanted {code}
         GROUP BY code.label, code.kind",
        placeholders::rows(labels, 2)
    )
}
