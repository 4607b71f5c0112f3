//! Leases: exclusive rights of one replica that expire by themselves.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use uuid::Uuid;

use super::store::CodeStore;
use crate::db::{Command, Error, Transaction, placeholders};
use crate::telemetry::Causes;

/// An exclusive right by name, until it is released or expires. Dropping it releases it soon after.
#[derive(Debug)]
pub struct Lease {
    store: CodeStore,
    row: Option<LeaseRow>,
    /// Whether a visitor's mint was charged with it, which is refunded if the lease is dropped.
    is_charged: bool,
}

/// The row of a lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeaseRow {
    pub(super) name: String,
    /// A fencing token: a late release must not end another holder's lease, nor a later one of our
    /// own.
    pub(super) holder: String,
}

impl LeaseRow {
    /// A row that nothing holds yet. A command makes a new one each time that it is executed, so
    /// that the release of a lease that was rolled back does not end the next one.
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            holder: Uuid::now_v7().to_string(),
        }
    }
}

impl Lease {
    pub(super) fn new(store: CodeStore, row: LeaseRow, is_charged: bool) -> Self {
        Self {
            store,
            row: Some(row),
            is_charged,
        }
    }

    /// Releases the lease and waits until it is.
    pub async fn release(self) {
        let store = self.store.clone();
        if let Some(row) = self.into_row() {
            release(&store, row, false).await;
        }
    }

    /// The row, which another command is to remove.
    pub(super) fn into_row(mut self) -> Option<LeaseRow> {
        self.row.take()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(row) = self.row.take() else { return };
        let (store, is_refunded) = (self.store.clone(), self.is_charged);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { release(&store, row, is_refunded).await });
        }
    }
}

/// A lease that is not released ends by itself: the others wait a little longer.
async fn release(store: &CodeStore, row: LeaseRow, is_refunded: bool) {
    if let Err(error) = store.release(row, is_refunded).await {
        tracing::debug!(error = %Causes(&error), "a lease was not released");
    }
}

impl CodeStore {
    /// Takes a lease for at most `length`; none while another holds it.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn lease(&self, name: &str, length: Duration) -> Result<Option<Lease>, Error> {
        let now = self.db.now();
        let take = TakeLease {
            store: self.clone(),
            name: name.to_owned(),
            now,
            until: now + length,
        };
        self.db.execute(take).await
    }

    /// Removes leases that expired before `before` without a release.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn purge_leases(&self, before: Timestamp) -> Result<(), Error> {
        self.db.execute(PurgeLeases { before }).await
    }
}

struct TakeLease {
    store: CodeStore,
    name: String,
    now: Timestamp,
    until: Timestamp,
}

impl Command for TakeLease {
    type Output = Option<Lease>;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<Option<Lease>, Error> {
        let row = LeaseRow::new(self.name.clone());
        let taken = take_leases(write, &[&row], self.now, self.until).await?;
        let is_ours = taken.contains(&row.holder);
        Ok(is_ours.then(|| Lease::new(self.store.clone(), row, false)))
    }
}

/// Takes the leases that no other holds. The names must differ. Returns the holders that got
/// theirs.
pub(super) async fn take_leases(
    write: &mut Transaction<'_>,
    rows: &[&LeaseRow],
    now: Timestamp,
    until: Timestamp,
) -> Result<HashSet<String>, Error> {
    let mut holders = HashSet::with_capacity(rows.len());
    for chunk in write.chunks(rows) {
        let sql = format!(
            "INSERT INTO lease (appid, name, holder, held_until) VALUES {}
             ON CONFLICT (appid, name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
             WHERE lease.held_until <= ${}
             RETURNING holder",
            placeholders::rows_of_account(chunk.len(), 3),
            2 + 3 * chunk.len(),
        );
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for row in chunk {
            query = query
                .bind(row.name.as_str())
                .bind(row.holder.as_str())
                .bind(until.as_millisecond());
        }
        let taken = query
            .bind(now.as_millisecond())
            .fetch_all(&mut *write)
            .await?;
        for row in &taken {
            holders.insert(row.try_get("holder")?);
        }
    }
    Ok(holders)
}

/// Removes leases that are held.
pub(super) async fn release_leases(
    write: &mut Transaction<'_>,
    rows: &[&LeaseRow],
) -> Result<(), Error> {
    for chunk in write.chunks(rows) {
        let sql = format!(
            "DELETE FROM lease WHERE appid = $1 AND (name, holder) IN (VALUES {})",
            placeholders::rows(chunk.len(), 2)
        );
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for row in chunk {
            query = query.bind(row.name.as_str()).bind(row.holder.as_str());
        }
        query.execute(&mut *write).await?;
    }
    Ok(())
}

struct PurgeLeases {
    before: Timestamp,
}

impl Command for PurgeLeases {
    type Output = ();

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        sqlx::query("DELETE FROM lease WHERE appid = $1 AND held_until < $2")
            .bind(write.appid())
            .bind(self.before.as_millisecond())
            .execute(write)
            .await?;
        Ok(())
    }
}
