//! Changing and reading what an owner keeps of a scene.

use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use wechat::scene::Scene;

use super::columns::{SearchKeys, record, reply_column};
use super::store::ChannelStore;
use crate::channels::channel::{Channel, ChannelChange, ChannelRecord};
use crate::codes::columns;
use crate::db::{Command, Error, ReadKind, Transaction};

/// Of a scene without a code the names are there all the same.
const FIND: &str = "SELECT channel.label, channel.group_name, channel.reply,
       COALESCE(channel.archived, 0) AS archived, code.created_at, code.created_by
     FROM (SELECT 1 AS one) AS one
     LEFT JOIN channel ON channel.appid = $1 AND channel.kind = $2 AND channel.scene = $3
     LEFT JOIN code ON code.appid = $1 AND code.kind = $2 AND code.scene = $3";

const WRITE_CHANNEL: &str = "INSERT INTO channel (appid, kind, scene, label, group_name, archived, label_sort, folded_names, reply)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
     ON CONFLICT (appid, kind, scene) DO UPDATE SET
         label = excluded.label, group_name = excluded.group_name, archived = excluded.archived,
         label_sort = excluded.label_sort, folded_names = excluded.folded_names, reply = excluded.reply";

const WRITE_COPY: &str =
    "UPDATE code SET label = $4, group_name = $5, archived = $6, label_sort = $7, folded_names = $8
     WHERE appid = $1 AND kind = $2 AND scene = $3";

impl ChannelStore {
    /// Changes what is kept of a scene. Returns what holds now.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn change(
        &self,
        scene: &Scene,
        change: &ChannelChange,
    ) -> Result<ChannelRecord, Error> {
        if *change == ChannelChange::default() {
            return self.find(scene).await;
        }
        let change = ChangeChannel {
            scene: scene.clone(),
            change: change.clone(),
        };
        self.db.execute(change).await
    }

    /// Reads what is kept of a scene.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn find(&self, scene: &Scene) -> Result<ChannelRecord, Error> {
        let query = sqlx::query(FIND)
            .bind(self.db.appid())
            .bind(scene.kind().action_name())
            .bind(columns::scene_text(scene));
        self.db
            .read(ReadKind::Short, async {
                record(&query.fetch_one(self.db.autocommit()).await?)
            })
            .await
    }
}

struct ChangeChannel {
    scene: Scene,
    change: ChannelChange,
}

impl Command for ChangeChannel {
    type Output = ChannelRecord;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<ChannelRecord, Error> {
        let found = self.find(write).await?;
        let before = record(&found)?;
        let after = self.applied_to(before.clone());
        if after != before {
            self.write(&after, write).await?;
        }
        Ok(after)
    }
}

impl ChangeChannel {
    fn applied_to(&self, before: ChannelRecord) -> ChannelRecord {
        let Channel { label, group } = before.channel;
        ChannelRecord {
            channel: Channel {
                label: self.change.label.applied_to(label),
                group: self.change.group.applied_to(group),
            },
            reply: self.change.reply.applied_to(before.reply),
            archived: self.change.archived.unwrap_or(before.archived),
            ..before
        }
    }

    async fn find(&self, write: &mut Transaction<'_>) -> Result<AnyRow, Error> {
        let found = sqlx::query(FIND)
            .bind(write.appid())
            .bind(self.scene.kind().action_name())
            .bind(columns::scene_text(&self.scene))
            .fetch_one(write)
            .await?;
        Ok(found)
    }

    /// Writes the channel, and the copy of its names in the row of its code, if there is one.
    async fn write(
        &self,
        record: &ChannelRecord,
        write: &mut Transaction<'_>,
    ) -> Result<(), Error> {
        let channel = self.bound(WRITE_CHANNEL, record, write.appid());
        let channel = channel.bind(reply_column(record.reply.as_ref()));
        channel.execute(&mut *write).await?;
        let copy = self.bound(WRITE_COPY, record, write.appid());
        copy.execute(write).await?;
        Ok(())
    }

    /// Binds the scene and the names to a statement.
    fn bound(
        &self,
        sql: &'static str,
        record: &ChannelRecord,
        appid: &str,
    ) -> Query<'static, Any, AnyArguments> {
        let keys = SearchKeys::of(&record.channel);
        sqlx::query(sql)
            .bind(appid.to_owned())
            .bind(self.scene.kind().action_name())
            .bind(columns::scene_text(&self.scene))
            .bind(record.channel.label.clone())
            .bind(record.channel.group.clone())
            .bind(i64::from(record.archived))
            .bind(keys.label_sort)
            .bind(keys.folded_names)
    }
}
