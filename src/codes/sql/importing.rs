//! Permanent codes that were minted elsewhere. A ticket says which scene a scan is of, so no ticket
//! and no url may be recorded for two.

use wechat::scene::{PermanentScene, Scene};
use wechat::ticket::IssuedCode;

use super::columns;
use super::ledger::Found;
use super::store::CodeStore;
use crate::db::{Error, Purpose, Transaction};

/// The name by which imports are serialized, in all replicas.
const IMPORTS: &str = "import";

/// Has an index.
const OWNER_OF_URL: &str = "SELECT kind, scene FROM code
     WHERE appid = $1 AND url_key = $2 AND (expires_at IS NULL OR expires_at > $5) AND NOT (kind = $3 AND scene = $4) LIMIT 1";

/// What became of a code that was to be recorded.
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
    /// Records a permanent code that was minted elsewhere. It counts, even beyond the limit,
    /// because it exists. Of two that contradict each other the first is kept, also where they come
    /// to two replicas at once. Cancel safe: it is recorded or it is not.
    ///
    /// # Errors
    /// When the store cannot be used: then nothing was recorded.
    pub async fn import(
        &self,
        scene: &PermanentScene,
        code: &IssuedCode,
    ) -> Result<Imported, Error> {
        let scene = Scene::Permanent(scene.clone());
        self.db
            .within_deadline(Purpose::Write, async {
                loop {
                    let mut write = self.db.begin().await?;
                    self.serialize(&mut write, IMPORTS).await?;
                    if let Some(found) = self.recorded(&mut write, &scene, code).await? {
                        write.commit().await?;
                        return Ok(found);
                    }
                    let is_new = self.write_code(&mut write, &scene, code).await?;
                    write.commit().await?;
                    if is_new {
                        return Ok(Imported::New);
                    }
                    // A mint of the scene has ended between our look and our write.
                }
            })
            .await
    }

    /// Whether the code is recorded, or something that contradicts it; none if it may be recorded.
    async fn recorded(
        &self,
        write: &mut Transaction,
        scene: &Scene,
        code: &IssuedCode,
    ) -> Result<Option<Imported>, Error> {
        let conflict = |conflict| Ok(Some(Imported::Conflict(conflict)));
        match self.intent_or_code(write, scene).await? {
            Some(Found::Code(known))
                if known.ticket == code.ticket && known.url.key() == code.url.key() =>
            {
                return Ok(Some(Imported::Known));
            }
            Some(Found::Code(known)) => return conflict(ImportConflict::Scene(known)),
            Some(Found::Intent { .. }) | None => {}
        }
        if let Some(owner) = self.other_owner_of_ticket(write, scene, code).await? {
            return conflict(ImportConflict::Ticket(owner));
        }
        if let Some(owner) = self.other_owner_of_url(write, scene, code).await? {
            return conflict(ImportConflict::Url(owner));
        }
        Ok(None)
    }

    async fn other_owner_of_ticket(
        &self,
        write: &mut Transaction,
        scene: &Scene,
        code: &IssuedCode,
    ) -> Result<Option<Scene>, Error> {
        let owner = sqlx::query(
            "SELECT kind, scene FROM ticket
             WHERE appid = $1 AND ticket = $2 AND NOT (kind = $3 AND scene = $4)",
        )
        .bind(self.db.appid())
        .bind(code.ticket.as_str())
        .bind(scene.kind().action_name())
        .bind(columns::scene_text(scene))
        .fetch_optional(write)
        .await?;
        owner.as_ref().map(columns::scene).transpose()
    }

    async fn other_owner_of_url(
        &self,
        write: &mut Transaction,
        scene: &Scene,
        code: &IssuedCode,
    ) -> Result<Option<Scene>, Error> {
        let owner = sqlx::query(OWNER_OF_URL)
            .bind(self.db.appid())
            .bind(code.url.key())
            .bind(scene.kind().action_name())
            .bind(columns::scene_text(scene))
            .bind(self.db.now().as_millisecond())
            .fetch_optional(write)
            .await?;
        owner.as_ref().map(columns::scene).transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn the_owner_of_a_url_is_found_by_an_index() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        let plan = store.db.plan(OWNER_OF_URL.to_owned()).await;
        assert!(plan[0].contains("code_by_url_key"), "{plan:?}");
    }
}
