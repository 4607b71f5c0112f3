//! The writer, and the connections that read behind admission control, with deadlines and one
//! health state.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Executor, Row};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Permit, ReadKind};
use super::autocommit::Autocommit;
use super::clocks::{self, ClockDifference};
use super::command::{BatchCommand, Command, Urgency};
use super::error::Error;
use super::health::Health;
use super::integrity::{Damage, IntegrityCheck};
use super::key_lookup::KeyLookup;
use super::limits::{DEADLINE, LONG_READ_DEADLINE};
use super::pool;
use super::transaction::Transaction;
use super::url::{DatabaseUrl, Dialect};
use super::writer::Writer;
use crate::text::random_token;

/// How long a truncation waits for readers, while it keeps others from writing.
const TRUNCATE_BUSY_TIMEOUT_MS: u32 = 50;

/// The open database: the connections that read, with their admission control, the writer, and the
/// health.
#[derive(Debug)]
pub(crate) struct Connections {
    pool: AnyPool,
    admission: Admission,
    writer: Writer,
    dialect: Dialect,
    appid: Arc<str>,
    health: Arc<Health>,
    clock_difference: Option<ClockDifference>,
    integrity_check: Option<IntegrityCheck>,
    /// Erasures so far, and those that are gone from SQLite's write-ahead log too.
    erasures: AtomicU64,
    truncated: AtomicU64,
    /// Keeps a database in memory, which ends with its last connection. The pool's own connection
    /// does not: a call that is cut off while the pool tests it closes it. The lock only makes it
    /// `Sync`.
    _anchor: Option<Mutex<AnyConnection>>,
}

impl Connections {
    pub(super) fn new(
        pool: AnyPool,
        writer: Writer,
        health: Arc<Health>,
        url: &DatabaseUrl,
        appid: Arc<str>,
        clock_difference: Option<ClockDifference>,
    ) -> Self {
        Self {
            pool,
            admission: Admission::new(url),
            writer,
            dialect: url.dialect(),
            appid,
            health,
            clock_difference,
            integrity_check: IntegrityCheck::new(url),
            // A process that was killed may have left something.
            erasures: AtomicU64::new(url.is_file().into()),
            truncated: AtomicU64::new(0),
            _anchor: None,
        }
    }

    /// Holds a connection open and unused: an SQLite database in memory lives as long as one is.
    pub(crate) fn anchored_by(self, connection: AnyConnection) -> Self {
        Self {
            _anchor: Some(Mutex::new(connection)),
            ..self
        }
    }

    /// Closes the connections, once what waits is written.
    pub(crate) async fn close(&self) {
        self.writer.close().await;
        self.pool.close().await;
    }

    /// Has the writer execute a command.
    pub(crate) async fn execute<C: BatchCommand>(&self, command: C) -> Result<C::Output, Error> {
        if C::URGENCY == Urgency::Ordinary && !self.is_up() {
            return Err(Error::Timeout);
        }
        self.writer.execute(command).await
    }

    /// An expression for the database's time, in milliseconds.
    pub(crate) fn now_sql(&self) -> &'static str {
        clocks::now_sql(self.dialect)
    }

    /// How to find the rows of many keys.
    pub(crate) fn key_lookup(&self) -> KeyLookup {
        KeyLookup::new(self.dialect)
    }

    /// Returns an executor of single statements that read.
    pub(crate) fn autocommit(&self) -> Autocommit<'_> {
        Autocommit {
            pool: &self.pool,
            dialect: self.dialect,
            appid: &self.appid,
        }
    }

    /// Begins a transaction that reads one snapshot, with the deadline of long reads.
    pub(crate) async fn begin_snapshot(&self) -> Result<Transaction<'_>, Error> {
        Ok(self.autocommit().begin_snapshot().await?)
    }

    /// Notes an erasure that must not stay in a file.
    pub(crate) fn mark_erased(&self) {
        if self.dialect == Dialect::Sqlite {
            self.erasures.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn needs_truncation(&self) -> bool {
        self.erasures.load(Ordering::Relaxed) != self.truncated.load(Ordering::Relaxed)
    }

    /// Checkpoints SQLite's write-ahead log into the file and truncates it.
    ///
    /// A reader of an older snapshot prevents the truncation; writers are blocked meanwhile, so it
    /// gives up soon and stays to be done. Cancel safe: it runs to its end in a task, and leaves
    /// its connection as it was, or closed if it failed.
    pub(crate) async fn truncate_wal(&self) -> Result<(), Error> {
        let usual = pool::BUSY_TIMEOUT_MS;
        let cut = format!(
            "PRAGMA busy_timeout = {TRUNCATE_BUSY_TIMEOUT_MS}; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = {usual}"
        );
        let erasures = self.erasures.load(Ordering::Relaxed);
        let pool = self.pool.clone();
        let cut = async move {
            let mut connection = pool.acquire().await?;
            let rows = connection.fetch_all(AssertSqlSafe(cut)).await;
            if rows.is_err() {
                // Its busy timeout may not be the usual one.
                connection.close_on_drop();
            }
            rows
        };
        let rows = tokio::spawn(cut)
            .await
            .expect("a statement does not panic")?;
        let busy = rows
            .iter()
            .find_map(|row| row.try_get::<i64, _>("busy").ok());
        if busy == Some(0) {
            self.truncated.store(erasures, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Checks the health: by a read, or after a failure by a write, because a database whose disk
    /// is full still answers reads.
    pub(crate) async fn ping(&self) -> Result<(), Error> {
        if self.is_up() {
            // A pooler would answer a ping by itself.
            let select = async { Ok(self.pool.execute("SELECT 1").await.map(drop)?) };
            return self.read(ReadKind::Short, select).await;
        }
        self.writer.execute(WriteCheck).await?;
        self.health.record_recovery();
        Ok(())
    }

    /// Checks SQLite's file for damage, and remembers what it finds.
    pub(crate) async fn check_integrity(
        &self,
        stop: &CancellationToken,
    ) -> Result<Option<Damage>, Error> {
        let Some(check) = &self.integrity_check else {
            return Ok(None);
        };
        let damage = check.run(stop).await?;
        if damage.is_some() {
            self.health.record_damage();
        }
        Ok(damage)
    }

    /// Reads once admitted, and cuts the call off at its deadline. A late long read does not count
    /// as a failure of the database.
    pub(crate) async fn read<T>(
        &self,
        kind: ReadKind,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let _permit = self.admit(kind).await?;
        let (deadline, late) = match kind {
            ReadKind::Long => (LONG_READ_DEADLINE, Error::Busy),
            ReadKind::Short => (DEADLINE, Error::Timeout),
        };
        let result = timeout(deadline, call).await.unwrap_or(Err(late));
        if let Err(error) = &result {
            self.health.record_failure(error);
        }
        result
    }

    /// Acquires a permit to read. While the database is down, it does not wait for one.
    async fn admit(&self, kind: ReadKind) -> Result<Permit<'_>, Error> {
        if let Some(permit) = self.admission.try_acquire(kind) {
            return Ok(permit);
        }
        if !self.is_up() {
            return Err(Error::Timeout);
        }
        let permit = self.admission.acquire(kind).await.ok_or(Error::Busy)?;
        if self.is_up() {
            Ok(permit)
        } else {
            Err(Error::Timeout)
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.health.is_up()
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.health.is_damaged()
    }

    pub(crate) fn clock_difference(&self) -> Option<ClockDifference> {
        self.clock_difference
    }

    pub(crate) fn appid(&self) -> &str {
        &self.appid
    }

    pub(crate) fn name(&self) -> &'static str {
        self.dialect.name()
    }
}

/// Finds out whether the database takes writes.
struct WriteCheck;

impl Command for WriteCheck {
    type Output = ();

    const URGENCY: Urgency = Urgency::First;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO about (name, value) VALUES ('probe', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(random_token())
        .execute(write)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
impl Connections {
    /// The query plan of SQLite, a line for each step.
    pub(crate) async fn plan(&self, sql: String) -> Vec<String> {
        let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let steps = sqlx::query(explained).fetch_all(&self.pool).await;
        let steps = steps.expect("the statement is right");
        steps.iter().map(|step| step.get("detail")).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::poll;

    use super::*;
    use crate::clock::SystemClock;
    use crate::db::Database;

    #[tokio::test]
    async fn a_call_that_is_cut_off_does_not_lose_a_database_in_memory() {
        let store = Database::in_memory(Arc::new(SystemClock)).await;
        for _ in 0..3 {
            // Mostly it is cut off while the pool tests its connection; it may also be done.
            let _ = poll!(pin!(store.ping()));
            let upstream = sqlx::query("SELECT value FROM about WHERE name = 'upstream'");
            let row = upstream.fetch_one(store.autocommit()).await.unwrap();
            assert_eq!(row.get::<String, _>("value"), "test");
        }
    }

    #[tokio::test]
    async fn a_long_read_that_takes_too_long_is_no_fault_of_the_database() {
        let store = Database::in_memory(Arc::new(SystemClock)).await;
        tokio::time::pause();
        for (kind, deadline, is_up) in [
            (ReadKind::Long, LONG_READ_DEADLINE, true),
            (ReadKind::Short, DEADLINE, false),
        ] {
            let started = tokio::time::Instant::now();
            let slow = std::future::pending::<Result<(), Error>>();
            let result = store.read(kind, slow).await;
            // A timer has whole milliseconds.
            let times = deadline..=deadline + Duration::from_millis(1);
            assert!(times.contains(&started.elapsed()), "{kind:?}");
            assert_eq!(matches!(result, Err(Error::Busy)), is_up, "{result:?}");
            assert_eq!(store.is_up(), is_up, "{kind:?}");
        }
    }
}
