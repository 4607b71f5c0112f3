//! What the owner calls a scene, and the list of codes.

use sqlx::Row;

use super::row;
use super::turns::Purpose;
use super::{Error, Store};
use crate::scene::Scene;
use crate::ticket::IssuedCode;

/// The names that an owner gave a scene. They belong to the scene and its kind, and outlive a ticket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// Its own name.
    pub label: Option<String>,
    /// The name of the group that it belongs to.
    pub group: Option<String>,
}

/// Which codes to list. What is not given does not restrict.
#[derive(Debug, Clone, Default)]
pub struct ChannelFilter {
    /// Exactly this label.
    pub label: Option<String>,
    /// Exactly this group.
    pub group: Option<String>,
    /// Permanent codes only, or temporary ones only.
    pub permanent: Option<bool>,
    /// Codes that carry this scene, of whatever kind: its text, and whether it is a number.
    pub scene: Option<(String, bool)>,
}

/// A code in the list.
#[derive(Debug, Clone)]
pub struct ListedCode {
    /// What it carries.
    pub scene: Scene,
    /// What its owner calls it.
    pub channel: Channel,
    /// The code; none where the outcome of a mint is not known.
    pub code: Option<IssuedCode>,
}

/// Part of a list, in the order of kind and scene.
#[derive(Debug, Clone)]
pub struct Page {
    /// The codes.
    pub items: Vec<ListedCode>,
    /// Whether more follow.
    pub has_more: bool,
}

impl Store {
    /// Names a scene. A given name replaces the one before it, an absent one leaves it. Tells what holds now.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn name_channel(&self, scene: &Scene, given: &Channel) -> Result<Channel, Error> {
        if *given == Channel::default() {
            return self.channel(scene).await;
        }
        let query = sqlx::query(
            "INSERT INTO channel (appid, kind, scene, label, group_name) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (appid, kind, scene) DO UPDATE SET
                 label = COALESCE(excluded.label, channel.label),
                 group_name = COALESCE(excluded.group_name, channel.group_name)
             RETURNING label, group_name",
        )
        .bind(&*self.appid)
        .bind(scene.kind().action_name())
        .bind(row::scene_text(scene))
        .bind(given.label.as_deref())
        .bind(given.group.as_deref());
        self.engine
            .within_deadline(Purpose::Write, async {
                channel(&query.fetch_one(self.engine.pool()).await?)
            })
            .await
    }

    /// What a scene is called.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn channel(&self, scene: &Scene) -> Result<Channel, Error> {
        let query = sqlx::query(
            "SELECT label, group_name FROM channel WHERE appid = $1 AND kind = $2 AND scene = $3",
        )
        .bind(&*self.appid)
        .bind(scene.kind().action_name())
        .bind(row::scene_text(scene));
        self.engine
            .within_deadline(Purpose::Read, async {
                let found = query.fetch_optional(self.engine.pool()).await?;
                found
                    .as_ref()
                    .map_or_else(|| Ok(Channel::default()), channel)
            })
            .await
    }

    /// Lists the codes that live after a scene, at most `limit` of them.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn list(
        &self,
        filter: &ChannelFilter,
        after: Option<&Scene>,
        limit: u16,
    ) -> Result<Page, Error> {
        let (after_kind, after_scene) = after.map_or((String::new(), String::new()), |s| {
            (s.kind().to_string(), row::scene_text(s))
        });
        let (scene, number) = filter
            .scene
            .clone()
            .map_or((None, None), |(text, number)| (Some(text), Some(number)));
        let as_number = |flag: Option<bool>| flag.map(i64::from);
        // A filter that is not given is NULL, and its condition true. PostgreSQL wants to know the type of such a NULL.
        let query = sqlx::query(
            "SELECT code.kind, code.scene, ticket, url, minted_at, asked, granted, label, group_name
             FROM code LEFT JOIN channel
               ON channel.appid = code.appid AND channel.kind = code.kind AND channel.scene = code.scene
             WHERE code.appid = $1
               AND (code.kind > $2 OR (code.kind = $2 AND code.scene > $3))
               AND (CAST($4 AS TEXT) IS NULL OR label = $4)
               AND (CAST($5 AS TEXT) IS NULL OR group_name = $5)
               AND (CAST($6 AS BIGINT) IS NULL
                    OR (CASE WHEN code.kind LIKE 'QR_LIMIT%' THEN 1 ELSE 0 END) = $6)
               AND (CAST($7 AS TEXT) IS NULL OR code.scene = $7)
               AND (CAST($8 AS BIGINT) IS NULL
                    OR (CASE WHEN code.kind LIKE '%STR_SCENE' THEN 0 ELSE 1 END) = $8)
               AND (expires_at IS NULL OR expires_at > $9)
             ORDER BY code.kind, code.scene LIMIT $10",
        )
        .bind(&*self.appid)
        .bind(after_kind)
        .bind(after_scene)
        .bind(filter.label.as_deref())
        .bind(filter.group.as_deref())
        .bind(as_number(filter.permanent))
        .bind(scene)
        .bind(as_number(number))
        .bind(self.clock.now().as_millisecond())
        .bind(i64::from(limit) + 1);
        self.engine
            .within_deadline(Purpose::Read, async {
                let rows = query.fetch_all(self.engine.pool()).await?;
                let has_more = rows.len() > usize::from(limit);
                let listed = rows.iter().take(limit.into()).map(|found| {
                    Ok(ListedCode {
                        scene: row::scene(found)?,
                        channel: channel(found)?,
                        code: row::code(found)?,
                    })
                });
                Ok(Page {
                    items: listed.collect::<Result<_, Error>>()?,
                    has_more,
                })
            })
            .await
    }
}

fn channel(found: &sqlx::any::AnyRow) -> Result<Channel, Error> {
    Ok(Channel {
        label: found.try_get("label")?,
        group: found.try_get("group_name")?,
    })
}
