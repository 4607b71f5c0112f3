//! Permanent codes that were minted elsewhere. A ticket says which scene a scan is of, so no ticket
//! and no url may be recorded for two.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use wechat::scene::{PermanentScene, Scene};
use wechat::ticket::IssuedCode;

use super::columns;
use super::entries::{Entry, entries, find_entries};
use super::ledger::{NewEntry, record_all};
use super::store::CodeStore;
use crate::db::{Command, Error, Transaction};

/// Which scene has the code of a url. Served by the index `code_by_url_key`.
const OWNER_OF_URL: &str = "SELECT kind, scene FROM code
     WHERE appid = $1 AND url_key = $2 AND (expires_at IS NULL OR expires_at > $5) AND NOT (kind = $3 AND scene = $4) LIMIT 1";

/// Outcome of an import: recorded now, known before, or in conflict.
#[derive(Debug)]
pub enum Imported {
    /// It is recorded, and was not before.
    New,
    /// It was recorded before, or minted here.
    Known,
    /// Nothing was recorded: something else is.
    Conflict(ImportConflict),
}

/// Why a code cannot be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportConflict {
    /// The ticket is of another scene's code.
    Ticket(Scene),
    /// The url is of another scene's code: a permanent one, or a temporary one that has not
    /// expired.
    Url(Scene),
    /// The scene has another code.
    Scene(Box<IssuedCode>),
}

impl CodeStore {
    /// Records a permanent code that was minted elsewhere, for a key of this name. It counts, even
    /// beyond the limit, because it exists. Of two that contradict each other the first is
    /// kept, also where they come to two replicas at once. Cancel safe: it is recorded or it is
    /// not.
    ///
    /// # Errors
    /// When the database cannot be used: then nothing was recorded.
    pub async fn import(
        &self,
        scene: &PermanentScene,
        code: &IssuedCode,
        created_by: Option<Arc<str>>,
    ) -> Result<Imported, Error> {
        let import = Import {
            scene: Scene::Permanent(scene.clone()),
            code: code.clone(),
            created_by,
            now: self.db.now(),
        };
        self.db.execute(import).await
    }
}

struct Import {
    scene: Scene,
    code: IssuedCode,
    created_by: Option<Arc<str>>,
    now: Timestamp,
}

impl Command for Import {
    type Output = Imported;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<Imported, Error> {
        if let Some(found) = self.recorded(write).await? {
            return Ok(found);
        }
        let new = NewEntry {
            scene: &self.scene,
            code: &self.code,
            created_by: self.created_by.as_deref(),
            now: self.now,
        };
        record_all(write, &[new], &[]).await?;
        Ok(Imported::New)
    }
}

impl Import {
    /// Whether the code is recorded, or something that contradicts it; none if it may be recorded.
    async fn recorded(&self, write: &mut Transaction<'_>) -> Result<Option<Imported>, Error> {
        let conflict = |conflict| Ok(Some(Imported::Conflict(conflict)));
        let queries = [find_entries(write, BTreeSet::from([&self.scene]))];
        let [found] = write.fetch_each(queries).await?;
        let entries = entries(&found)?;
        if let Some(Entry::Code(known)) = entries.get(&self.scene) {
            let is_same =
                known.ticket == self.code.ticket && known.url.key() == self.code.url.key();
            return if is_same {
                Ok(Some(Imported::Known))
            } else {
                conflict(ImportConflict::Scene(known.clone()))
            };
        }
        if let Some(owner) = self.other_owner_of_ticket(write).await? {
            return conflict(ImportConflict::Ticket(owner));
        }
        if let Some(owner) = self.other_owner_of_url(write).await? {
            return conflict(ImportConflict::Url(owner));
        }
        Ok(None)
    }

    async fn other_owner_of_ticket(
        &self,
        write: &mut Transaction<'_>,
    ) -> Result<Option<Scene>, Error> {
        let owner = sqlx::query(
            "SELECT kind, scene FROM ticket
             WHERE appid = $1 AND ticket = $2 AND NOT (kind = $3 AND scene = $4)",
        )
        .bind(write.appid())
        .bind(self.code.ticket.as_str())
        .bind(self.scene.kind().action_name())
        .bind(columns::scene_text(&self.scene))
        .fetch_optional(write)
        .await?;
        owner.as_ref().map(columns::scene).transpose()
    }

    async fn other_owner_of_url(
        &self,
        write: &mut Transaction<'_>,
    ) -> Result<Option<Scene>, Error> {
        let owner = sqlx::query(OWNER_OF_URL)
            .bind(write.appid())
            .bind(self.code.url.key())
            .bind(self.scene.kind().action_name())
            .bind(columns::scene_text(&self.scene))
            .bind(self.now.as_millisecond())
            .fetch_optional(write)
            .await?;
        owner.as_ref().map(columns::scene).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn the_owner_of_a_url_is_found_by_an_index() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(OWNER_OF_URL.to_owned()).await;
        assert!(plan[0].contains("code_by_url_key"), "{plan:?}");
    }
}
