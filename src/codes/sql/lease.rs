//! Leases: exclusive rights of one replica that expire by themselves.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::store::CodeStore;
use crate::db::{Error, Purpose, Transaction};
use crate::telemetry::Causes;

/// An exclusive right by name, until it is released or expires.
#[derive(Debug)]
pub struct Lease {
    store: CodeStore,
    name: String,
    /// A fencing token: a late release must not end another holder's lease, nor a later one of our
    /// own.
    holder: String,
}

impl CodeStore {
    /// Takes a lease for at most `length`; none while another holds it. Dropping it releases it
    /// soon after.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn lease(&self, name: &str, length: Duration) -> Result<Option<Lease>, Error> {
        let now = self.db.now();
        let holder = Uuid::now_v7().to_string();
        let query = sqlx::query(
            "INSERT INTO lease (appid, name, holder, held_until) VALUES ($1, $2, $3, $4)
             ON CONFLICT (appid, name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
             WHERE lease.held_until <= $5",
        )
        .bind(self.db.appid())
        .bind(name)
        .bind(&holder)
        .bind((now + length).as_millisecond())
        .bind(now.as_millisecond());
        let taken = self
            .db
            .within_deadline(Purpose::Write, async {
                Ok(query.execute(self.db.autocommit()).await?.rows_affected() == 1)
            })
            .await?;
        Ok(taken.then(|| Lease {
            store: self.clone(),
            name: name.to_owned(),
            holder,
        }))
    }

    /// Removes leases that expired before `before` without a release.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn purge_leases(&self, before: Timestamp) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM lease WHERE appid = $1 AND held_until < $2")
            .bind(self.db.appid())
            .bind(before.as_millisecond());
        self.db
            .within_deadline(Purpose::Write, async {
                query.execute(self.db.autocommit()).await?;
                Ok(())
            })
            .await
    }

    /// Serializes the transactions of a name by a row lock. PostgreSQL would let them count at the
    /// same time, each without the other.
    pub(super) async fn serialize(&self, write: &mut Transaction, name: &str) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO lease (appid, name, holder, held_until) VALUES ($1, $2, '', 0)
             ON CONFLICT (appid, name) DO UPDATE SET held_until = 0",
        )
        .bind(self.db.appid())
        .bind(name)
        .execute(&mut *write)
        .await?;
        Ok(())
    }

    async fn give_back(&self, name: &str, holder: &str) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM lease WHERE appid = $1 AND name = $2 AND holder = $3")
            .bind(self.db.appid())
            .bind(name)
            .bind(holder);
        self.db
            .within_deadline(Purpose::HighPriority, async {
                query.execute(self.db.autocommit()).await?;
                Ok(())
            })
            .await
    }
}

impl Lease {
    /// Releases the lease and waits until it is.
    pub async fn release(mut self) {
        let name = std::mem::take(&mut self.name);
        if let Err(error) = self.store.give_back(&name, &self.holder).await {
            // It ends by itself: the others wait a little longer.
            tracing::debug!(
                error = %Causes(&error),
                "a lease was not released"
            );
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        let (store, name) = (self.store.clone(), std::mem::take(&mut self.name));
        let holder = std::mem::take(&mut self.holder);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { store.give_back(&name, &holder).await });
        }
    }
}
