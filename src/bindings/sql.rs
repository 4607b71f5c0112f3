//! The SQL of bindings: created, scanned once, claimed once. The scan is set where events are
//! recorded.

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use wechat::openid::OpenId;
use wechat::push::Reply;

use crate::channels;
use crate::db::{Command, Database, Error, Purge, ReadKind, Transaction, row};
use crate::statistics::columns;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewBinding {
    /// Its random id, which cannot be guessed.
    pub id: String,
    /// The text that its code carries. Cannot be guessed either, and reveals nothing of the id.
    pub scene: String,
    /// Text of the caller, returned with the claim.
    pub context: Option<String>,
    /// What the follower reads who signs in.
    pub reply: Option<Reply>,
    pub created_at: Timestamp,
    /// A scan or a claim after this does not count.
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// A scan or a claim after this does not count.
    pub expires_at: Timestamp,
    pub is_scanned: bool,
    pub is_claimed: bool,
}

/// Openid and context of a claimed binding, given once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The follower that scanned.
    pub openid: OpenId,
    /// What was given when the binding was made.
    pub context: Option<String>,
}

const PURGE_BINDINGS: &str =
    "DELETE FROM binding WHERE appid = $1 AND expires_at + 0 < $2 AND id IN (
     SELECT id FROM binding WHERE appid = $1 AND expires_at < $2 LIMIT $3)";

/// PostgreSQL looks at the conditions again once a claim before it has ended.
const CLAIM: &str = "UPDATE binding SET claimed_at = $3
     WHERE appid = $1 AND id = $2 AND claimed_at IS NULL AND expires_at >= $3 AND EXISTS (
         SELECT 1 FROM follower WHERE follower.appid = $1 AND follower.person = binding.person AND held = 1)
     RETURNING person, context";

/// Bindings, as the database keeps them.
#[derive(Debug, Clone)]
pub struct BindingStore {
    db: Database,
}

impl BindingStore {
    pub fn new(db: Database) -> Self {
        Self { db }
    }

    /// Stores a new binding.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn add_binding(&self, new: &NewBinding) -> Result<(), Error> {
        self.db.execute(AddBinding(new.clone())).await
    }

    /// Reads a binding by its id, if there is one. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn binding(&self, id: &str) -> Result<Option<Binding>, Error> {
        let query = sqlx::query(
            "SELECT expires_at, person, claimed_at FROM binding WHERE appid = $1 AND id = $2",
        )
        .bind(self.db.appid())
        .bind(id);
        self.db
            .read(ReadKind::Short, async {
                let found = query.fetch_optional(self.db.autocommit()).await?;
                found.as_ref().map(binding).transpose()
            })
            .await
    }

    /// Claims a scanned binding, unless it was claimed before, has expired at `now`, or its
    /// follower has left the account. Of concurrent callers one succeeds. Not cancel safe: the
    /// claim may be lost.
    ///
    /// # Errors
    /// When the database cannot be used. It may be taken all the same.
    pub async fn claim_binding(&self, id: &str, now: Timestamp) -> Result<Option<Claimed>, Error> {
        let claim = ClaimBinding {
            id: id.to_owned(),
            now,
        };
        self.db.execute(claim).await
    }

    /// Removes some of the bindings that ended before `before`, and returns how many. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn purge_bindings(&self, before: Timestamp) -> Result<u64, Error> {
        let sql = PURGE_BINDINGS;
        self.db.execute(Purge { sql, before }).await
    }
}

struct AddBinding(NewBinding);

impl Command for AddBinding {
    type Output = ();

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO binding (appid, id, scene, context, created_at, expires_at, reply) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(write.appid())
        .bind(&self.0.id)
        .bind(&self.0.scene)
        .bind(self.0.context.as_deref())
        .bind(self.0.created_at.as_millisecond())
        .bind(self.0.expires_at.as_millisecond())
        .bind(channels::reply_column(self.0.reply.as_ref()))
        .execute(write)
        .await?;
        Ok(())
    }
}

struct ClaimBinding {
    id: String,
    now: Timestamp,
}

impl Command for ClaimBinding {
    type Output = Option<Claimed>;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<Option<Claimed>, Error> {
        let taken = sqlx::query(CLAIM)
            .bind(write.appid())
            .bind(&self.id)
            .bind(self.now.as_millisecond())
            .fetch_optional(&mut *write)
            .await?;
        let Some(taken) = taken else { return Ok(None) };
        let known = sqlx::query(
            "SELECT openid FROM follower WHERE appid = $1 AND person = $2 AND held = 1",
        )
        .bind(write.appid())
        .bind(taken.try_get::<String, _>("person")?)
        .fetch_one(write)
        .await?;
        claimed(&taken, &known).map(Some)
    }
}

fn binding(row: &AnyRow) -> Result<Binding, Error> {
    Ok(Binding {
        expires_at: row::instant(row.try_get("expires_at")?)?,
        is_scanned: row.try_get::<Option<String>, _>("person")?.is_some(),
        is_claimed: row.try_get::<Option<i64>, _>("claimed_at")?.is_some(),
    })
}

fn claimed(taken: &AnyRow, known: &AnyRow) -> Result<Claimed, Error> {
    let openid = columns::openid(known.try_get("openid")?)?;
    Ok(Claimed {
        openid: openid.ok_or(Error::BadRow("a held openid"))?,
        context: taken.try_get("context")?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn a_claim_asks_about_one_follower() {
        let store = BindingStore::new(Database::in_memory(Arc::new(SystemClock)).await);
        let plan = store.db.plan(CLAIM.to_owned()).await;
        for step in ["binding USING INDEX", "(appid=? AND person=?)"] {
            assert!(plan.iter().any(|got| got.contains(step)), "{plan:?}");
        }
        let lists = |step: &String| step.starts_with("LIST") || step.starts_with("SCAN");
        assert!(!plan.iter().any(lists), "{plan:?}");
    }

    #[tokio::test]
    async fn a_batch_of_ended_bindings_is_found_by_an_index() {
        let store = BindingStore::new(Database::in_memory(Arc::new(SystemClock)).await);
        let plan = store.db.plan(PURGE_BINDINGS.to_owned()).await;
        let by_end = "binding_by_end (appid=? AND expires_at<?)";
        assert!(plan.iter().any(|step| step.contains(by_end)), "{plan:?}");
        let scans = |step: &String| step.starts_with("SCAN");
        assert!(!plan.iter().any(scans), "{plan:?}");
    }
}
