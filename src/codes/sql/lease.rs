//! Leases: exclusive rights of one replica that expire by themselves.

use std::collections::HashSet;
use std::slice;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::store::CodeStore;
use crate::db::{Command, Error, KeyLookup, Query, Transaction, Urgency, placeholders};
use crate::telemetry::Causes;
use crate::text::random_token;

/// How long a release that failed waits before it is tried again.
const RELEASE_PAUSE: Duration = Duration::from_millis(500);

/// How often the database is asked whether another replica has finished.
pub(crate) const LEASE_POLL: Duration = Duration::from_millis(100);

/// An exclusive right by name, until it is released or expires. Dropping it releases it soon after.
#[derive(Debug)]
pub struct Lease {
    store: CodeStore,
    row: Option<LeaseRow>,
}

/// The row of a lease that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LeaseRow {
    pub(super) name: String,
    /// A fencing token: a late release must not end another holder's lease, nor a later one of our
    /// own.
    pub(super) holder: String,
    until: Timestamp,
    /// Whether a visitor's mint was charged with it, which the release refunds.
    pub(super) is_charged: bool,
}

impl LeaseRow {
    /// Creates a row that nothing holds yet. A command makes a new one each time that it is
    /// executed, so that the release of a lease that was rolled back does not end the next one.
    pub(super) fn new(name: String, until: Timestamp, is_charged: bool) -> Self {
        Self {
            name,
            holder: random_token(),
            until,
            is_charged,
        }
    }
}

impl Lease {
    pub(super) fn new(store: CodeStore, row: LeaseRow) -> Self {
        Self {
            store,
            row: Some(row),
        }
    }

    /// Returns the lease without a refund when it is released: the mint was made, or may have been.
    #[must_use]
    pub fn with_charge_kept(mut self) -> Self {
        if let Some(row) = &mut self.row {
            row.is_charged = false;
        }
        self
    }

    /// Releases the lease and waits until it is. What was charged with it is not refunded.
    pub async fn release(self) {
        let mut kept = self.with_charge_kept();
        if let Some(row) = kept.row.take() {
            release(&kept.store, row).await;
        }
    }

    /// The row, which another command is to remove.
    pub(super) fn row(&self) -> Option<&LeaseRow> {
        self.row.as_ref()
    }

    /// Drops the lease without a release: another command has removed its row.
    pub(super) fn forget(mut self) {
        self.row = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(row) = self.row.take() else { return };
        let store = self.store.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { release(&store, row).await });
        }
    }
}

/// Tries to release a lease until it ends by itself, because others wait for it.
async fn release(store: &CodeStore, row: LeaseRow) {
    while store.db.now() < row.until {
        if store.is_up() {
            match store.release(row.clone()).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(error = %Causes(&error), "a lease was not released"),
            }
        }
        tokio::time::sleep(RELEASE_PAUSE).await;
    }
}

impl CodeStore {
    /// Takes a lease for at most `length`; none while another holds it.
    ///
    /// # Errors
    /// When the database cannot be used.
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
    /// When the database cannot be used.
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
        let find = find_held(write, slice::from_ref(&self.name), self.now);
        let [found] = write.fetch_each([find]).await?;
        if !held(&found)?.is_empty() {
            return Ok(None);
        }
        let row = LeaseRow::new(self.name.clone(), self.until, false);
        take_leases_later(write, &[&row]).await?;
        Ok(Some(Lease::new(self.store.clone(), row)))
    }
}

/// Finds which of the leases with these names are held. Until the end of the transaction nobody
/// takes one that is free: it has the lock of all that write.
pub(super) fn find_held<'q>(
    write: &Transaction<'q>,
    names: &[String],
    now: Timestamp,
) -> Vec<Query<'q>> {
    let queries = write.chunks(names).map(|chunk| {
        let sql = find_held_sql(write.key_lookup(), chunk.len());
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for name in chunk {
            query = query.bind(name.clone());
        }
        query.bind(now.as_millisecond())
    });
    queries.collect()
}

fn find_held_sql(key_lookup: KeyLookup, names: usize) -> String {
    let lease = key_lookup.join("lease", "lease.appid = $1 AND lease.name = wanted.name");
    format!(
        "WITH wanted (name) AS (VALUES {})
         SELECT lease.name FROM wanted {lease} WHERE lease.held_until > ${}",
        placeholders::rows(names, 1),
        2 + names,
    )
}

/// The names of the leases that [`find_held`] found.
pub(super) fn held(found: &[AnyRow]) -> Result<HashSet<String>, Error> {
    let names = found.iter().map(|row| Ok(row.try_get("name")?));
    names.collect()
}

/// Takes leases that are free, with the next statement. The names must differ.
pub(super) async fn take_leases_later(
    write: &mut Transaction<'_>,
    rows: &[&LeaseRow],
) -> Result<(), Error> {
    for chunk in write.chunks(rows) {
        let sql = format!(
            "INSERT INTO lease (appid, name, holder, held_until) VALUES {}
             ON CONFLICT (appid, name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until",
            placeholders::rows_of_account(chunk.len(), 3),
        );
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for row in chunk {
            query = query
                .bind(row.name.as_str())
                .bind(row.holder.as_str())
                .bind(row.until.as_millisecond());
        }
        write.execute_later(query).await?;
    }
    Ok(())
}

/// Removes leases that are held. Returns how many there were.
pub(super) async fn release_leases(
    write: &mut Transaction<'_>,
    rows: &[&LeaseRow],
) -> Result<u64, Error> {
    let mut released = 0;
    for query in release_queries(write, rows) {
        released += query.execute(&mut *write).await?.rows_affected();
    }
    Ok(released)
}

/// Removes leases with the next statement.
pub(super) async fn release_leases_later(
    write: &mut Transaction<'_>,
    rows: &[&LeaseRow],
) -> Result<(), Error> {
    for query in release_queries(write, rows) {
        write.execute_later(query).await?;
    }
    Ok(())
}

fn release_queries<'q>(write: &Transaction<'q>, rows: &[&LeaseRow]) -> Vec<Query<'q>> {
    let queries = write.chunks(rows).map(|chunk| {
        let is_released = write
            .key_lookup()
            .is_any("lease", &["name", "holder"], chunk.len());
        let sql = format!("DELETE FROM lease WHERE {is_released}");
        let mut query = placeholders::query(sql, chunk.len(), write.appid());
        for row in chunk {
            query = query.bind(row.name.clone()).bind(row.holder.clone());
        }
        query
    });
    queries.collect()
}

struct PurgeLeases {
    before: Timestamp,
}

impl Command for PurgeLeases {
    type Output = ();

    const URGENCY: Urgency = Urgency::Background;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        sqlx::query("DELETE FROM lease WHERE appid = $1 AND held_until < $2")
            .bind(write.appid())
            .bind(self.before.as_millisecond())
            .execute(write)
            .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn leases_are_found_by_their_keys() {
        let store = CodeStore::in_memory(Arc::new(SystemClock)).await;
        for names in [1, 8, 16] {
            let plan = store
                .db
                .plan(find_held_sql(store.db.key_lookup(), names))
                .await;
            let key = "SEARCH lease USING INDEX sqlite_autoindex_lease_1 (appid=? AND name=?)";
            assert_eq!(plan.last().unwrap(), key, "{names}: {plan:?}");
        }
    }
}
