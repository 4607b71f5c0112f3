//! The outcome of a call: its code is stored, or its intent is taken back.

use jiff::Timestamp;
use wechat::ticket::IssuedCode;

use super::intent::Intent;
use super::recording::{NewEntry, record_all};
use crate::codes::sql::columns;
use crate::codes::sql::daily_counters::MINTS;
use crate::db::{BatchCommand, Command, Error, Transaction, Urgency};

/// Stores the code of an intent, and counts its mint.
pub(super) struct Confirm {
    pub(super) intent: Intent,
    pub(super) code: IssuedCode,
    pub(super) now: Timestamp,
}

impl BatchCommand for Confirm {
    type Output = IssuedCode;

    const URGENCY: Urgency = Urgency::First;

    async fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> Result<Vec<IssuedCode>, Error> {
        let codes: Vec<_> = commands.iter().map(Confirm::entry).collect();
        record_all(write, &codes, &[MINTS]).await
    }
}

impl Confirm {
    fn entry(&self) -> NewEntry<'_> {
        NewEntry {
            scene: &self.intent.scene,
            code: &self.code,
            created_by: self.intent.created_by.as_deref(),
            now: self.now,
        }
    }
}

/// Takes back an intent for which no code was made: deletes it, or restores the older intent that
/// it took over.
pub(super) struct Withdraw(pub(super) Intent);

impl Command for Withdraw {
    type Output = ();

    const URGENCY: Urgency = Urgency::First;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        let sql = if self.0.repeats.is_some() {
            "UPDATE code SET attempts = attempts - 1, minted_at = $5
             WHERE appid = $1 AND kind = $2 AND scene = $3 AND ticket IS NULL AND minted_at = $4"
        } else {
            "DELETE FROM code
             WHERE appid = $1 AND kind = $2 AND scene = $3 AND ticket IS NULL AND minted_at = $4"
        };
        let mut query = sqlx::query(sql)
            .bind(write.appid())
            .bind(self.0.scene.kind().action_name())
            .bind(columns::scene_text(&self.0.scene))
            .bind(self.0.since.as_millisecond());
        if let Some(before) = self.0.repeats {
            query = query.bind(before.as_millisecond());
        }
        let changed = query.execute(&mut *write).await?;
        if self.0.repeats.is_none() && changed.rows_affected() == 1 {
            sqlx::query("UPDATE stock SET used = used - 1 WHERE appid = $1")
                .bind(write.appid())
                .execute(write)
                .await?;
        }
        Ok(())
    }
}
