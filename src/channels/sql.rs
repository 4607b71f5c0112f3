//! The SQL of channels: names, groups, and the list of codes by them.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row as _};
use wechat::scene::{Kind, Scene};
use wechat::ticket::IssuedCode;

use crate::codes::{SceneFilter, columns};
use crate::db::{Command, Database, Error, Purpose, Transaction};

/// The names that an owner gave a scene. They belong to the scene and its kind, and outlive a
/// ticket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// The name of the scene.
    pub label: Option<String>,
    /// The name of the group that it belongs to.
    pub group: Option<String>,
}

/// Which codes to list. An absent field does not restrict.
#[derive(Debug, Clone, Default)]
pub struct ChannelFilter {
    /// Exactly this label.
    pub label: Option<String>,
    /// Exactly this group.
    pub group: Option<String>,
    /// Permanent codes only, or temporary ones only.
    pub permanent: Option<bool>,
    /// Codes that carry this scene.
    pub scene: Option<SceneFilter>,
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

/// Names of scenes and the list of codes, as the database keeps them.
#[derive(Debug, Clone)]
pub struct ChannelStore {
    db: Database,
}

impl ChannelStore {
    /// Over the account's database.
    pub fn new(db: Database) -> Self {
        Self { db }
    }

    /// Whether the database was well when it was last used.
    pub(crate) fn is_up(&self) -> bool {
        self.db.is_up()
    }

    /// Names a scene. A given name replaces the one before it, an absent one leaves it. Returns
    /// what holds now.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn name_channel(&self, scene: &Scene, given: &Channel) -> Result<Channel, Error> {
        if *given == Channel::default() {
            return self.channel(scene).await;
        }
        let name = NameChannel {
            scene: scene.clone(),
            given: given.clone(),
        };
        self.db.execute(name).await
    }

    /// What a scene is called.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn channel(&self, scene: &Scene) -> Result<Channel, Error> {
        let query = sqlx::query(
            "SELECT label, group_name FROM channel WHERE appid = $1 AND kind = $2 AND scene = $3",
        )
        .bind(self.db.appid())
        .bind(scene.kind().action_name())
        .bind(columns::scene_text(scene));
        self.db
            .read(Purpose::Read, async {
                let found = query.fetch_optional(self.db.autocommit()).await?;
                found
                    .as_ref()
                    .map_or_else(|| Ok(Channel::default()), channel)
            })
            .await
    }

    /// Lists the unexpired codes after a scene, at most `limit` of them. Those of bindings are left
    /// out.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn list(
        &self,
        filter: &ChannelFilter,
        after: Option<&Scene>,
        limit: u16,
    ) -> Result<Page, Error> {
        let limit = usize::from(limit);
        self.db
            .read(Purpose::Read, async {
                let mut items = Vec::new();
                for (kind, after_scene) in filter.kinds_after(after) {
                    let left = limit + 1 - items.len();
                    items.extend(self.list_kind(filter, kind, &after_scene, left).await?);
                    if items.len() > limit {
                        break;
                    }
                }
                let has_more = items.len() > limit;
                items.truncate(limit);
                Ok(Page { items, has_more })
            })
            .await
    }

    /// Those of one kind, within an admitted call.
    async fn list_kind(
        &self,
        filter: &ChannelFilter,
        kind: Kind,
        after: &str,
        limit: usize,
    ) -> Result<Vec<ListedCode>, Error> {
        let found = sqlx::query(AssertSqlSafe(filter.sql(kind)))
            .bind(self.db.appid())
            .bind(kind.action_name())
            .bind(after)
            .bind(self.db.now().as_millisecond())
            .bind(filter.label.as_deref())
            .bind(filter.group.as_deref())
            .bind(filter.scene.as_ref().map(|scene| scene.value().to_string()))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.db.autocommit())
            .await?;
        let listed = found.iter().map(|found| {
            Ok(ListedCode {
                scene: columns::scene(found)?,
                channel: channel(found)?,
                code: columns::code(found)?,
            })
        });
        listed.collect()
    }
}

struct NameChannel {
    scene: Scene,
    given: Channel,
}

impl Command for NameChannel {
    type Output = Channel;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<Channel, Error> {
        let named = sqlx::query(
            "INSERT INTO channel (appid, kind, scene, label, group_name) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (appid, kind, scene) DO UPDATE SET
                 label = COALESCE(excluded.label, channel.label),
                 group_name = COALESCE(excluded.group_name, channel.group_name)
             RETURNING label, group_name",
        )
        .bind(write.appid())
        .bind(self.scene.kind().action_name())
        .bind(columns::scene_text(&self.scene))
        .bind(self.given.label.as_deref())
        .bind(self.given.group.as_deref())
        .fetch_one(write)
        .await?;
        channel(&named)
    }
}

pub(crate) fn channel(row: &AnyRow) -> Result<Channel, Error> {
    Ok(Channel {
        label: row.try_get("label")?,
        group: row.try_get("group_name")?,
    })
}

impl ChannelFilter {
    /// The kinds that are not left out, in their order, and after which scene of each the list goes
    /// on.
    fn kinds_after(&self, after: Option<&Scene>) -> impl Iterator<Item = (Kind, String)> {
        /// By their names.
        const IN_ORDER: [Kind; 4] = [
            Kind::QrLimitScene,
            Kind::QrLimitStrScene,
            Kind::QrScene,
            Kind::QrStrScene,
        ];
        let reached = after.map(|scene| (scene.kind(), columns::scene_text(scene)));
        let first = reached.as_ref().map_or("", |(kind, _)| kind.action_name());
        let kinds = IN_ORDER
            .into_iter()
            .filter(|kind| kind.action_name() >= first && self.allows(*kind));
        let kinds: Vec<_> = kinds.collect();
        kinds.into_iter().map(move |kind| match &reached {
            Some((reached, scene)) if *reached == kind => (kind, scene.clone()),
            _ => (kind, String::new()),
        })
    }

    fn allows(&self, kind: Kind) -> bool {
        self.permanent
            .is_none_or(|asked| asked == kind.is_permanent())
            && self.scene.as_ref().is_none_or(|scene| scene.may_be(kind))
    }

    /// Of millions of codes only those are read that may be in the list: after a scene, of a scene,
    /// or with a name. A filter that is not given is NULL, and PostgreSQL requires the type of
    /// such a NULL.
    fn sql(&self, kind: Kind) -> String {
        let (first, both) = if self.label.is_some() || self.group.is_some() {
            ("channel", "channel JOIN code")
        } else {
            ("code", "code LEFT JOIN channel")
        };
        let scene = if self.scene.is_some() {
            format!("{first}.scene = $7")
        } else {
            "CAST($7 AS TEXT) IS NULL".to_owned()
        };
        let label = if self.label.is_some() {
            "label = $5"
        } else {
            "CAST($5 AS TEXT) IS NULL"
        };
        let group = match (&self.group, &self.label) {
            (None, _) => "CAST($6 AS TEXT) IS NULL",
            (Some(_), None) => "group_name = $6",
            // Not by its index: a group has many codes, and a label few.
            (Some(_), Some(_)) => "group_name || '' = $6",
        };
        // They are temporary, and carry a text.
        let no_binding = if kind == Kind::QrStrScene {
            "AND NOT EXISTS (SELECT 1 FROM binding WHERE binding.appid = code.appid AND binding.scene = code.scene)"
        } else {
            ""
        };
        format!(
            "SELECT code.kind, code.scene, ticket, url, minted_at, asked, granted, label, group_name
             FROM {both}
               ON channel.appid = code.appid AND channel.kind = code.kind AND channel.scene = code.scene
             WHERE {first}.appid = $1 AND {first}.kind = $2 AND {first}.scene > $3 AND {scene}
               AND (expires_at IS NULL OR expires_at > $4)
               AND {label} AND {group} {no_binding}
             ORDER BY {first}.scene LIMIT $8"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn every_list_has_an_index_in_its_order() {
        let store = ChannelStore::new(Database::in_memory(Arc::new(SystemClock)).await);
        let by_label = "channel_by_label (appid=? AND label=? AND kind=? AND scene";
        let by_group = "channel_by_group (appid=? AND group_name=? AND kind=? AND scene";
        let by_key = "(appid=? AND kind=? AND scene";
        for (label, group, scene, first, index) in [
            (None, None, None, "code", by_key),
            (None, None, Some("id:7"), "code", by_key),
            (Some("a"), None, None, "channel", by_label),
            (None, Some("a"), None, "channel", by_group),
            (Some("a"), Some("a"), None, "channel", by_label),
            (Some("a"), None, Some("id:7"), "", by_key),
        ] {
            let filter = ChannelFilter {
                label: label.map(str::to_owned),
                group: group.map(str::to_owned),
                scene: scene.map(|scene| scene.parse().unwrap()),
                ..ChannelFilter::default()
            };
            for kind in [Kind::QrScene, Kind::QrStrScene] {
                let plan = store.db.plan(filter.sql(kind)).await;
                let start = format!("SEARCH {first}");
                assert!(plan[0].starts_with(&start), "{filter:?}: {plan:?}");
                assert!(plan[0].contains(index), "{filter:?}: {plan:?}");
                let (bindings, others): (Vec<_>, Vec<_>) = plan[1..]
                    .iter()
                    .filter(|step| !step.starts_with("CORRELATED"))
                    .partition(|step| step.contains("binding"));
                // No step sorts.
                let is_by_key = |step: &&String| step.contains(by_key);
                assert!(others.iter().all(is_by_key), "{filter:?}: {plan:?}");
                let by_scene = "binding_by_scene (appid=? AND scene=?)";
                assert_eq!(!bindings.is_empty(), kind == Kind::QrStrScene);
                assert!(bindings.iter().all(|step| step.contains(by_scene)));
            }
        }
    }
}
