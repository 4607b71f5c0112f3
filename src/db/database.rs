//! The handle through which every feature uses the database.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::admission::ReadKind;
use super::autocommit::Autocommit;
use super::clocks::ClockDifference;
use super::command::BatchCommand;
use super::connections::Connections;
use super::error::Error;
use super::integrity::Damage;
use super::key_lookup::KeyLookup;
use super::limits::CLOSE_TIMEOUT;
use super::transaction::Transaction;
use crate::clock::Clock;

/// The database of one account. Clones are handles to the same one.
///
/// Each feature has a store of its own over it, with the SQL of that feature.
#[derive(Debug, Clone)]
pub struct Database {
    connections: Arc<Connections>,
    clock: Arc<dyn Clock>,
}

impl Database {
    pub(super) fn new(connections: Connections, clock: Arc<dyn Clock>) -> Self {
        Self {
            connections: Arc::new(connections),
            clock,
        }
    }

    /// Whether the database was well when it was last used. A call that failed alone does not
    /// count.
    pub fn is_up(&self) -> bool {
        self.connections.is_up()
    }

    /// Checks the health: by a read, or after a failure by a write.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn ping(&self) -> Result<(), Error> {
        self.connections.ping().await
    }

    /// Returns how far this machine's clock was from the database's when it was opened; none with
    /// SQLite, which has no clock of its own.
    pub fn clock_difference(&self) -> Option<ClockDifference> {
        self.connections.clock_difference()
    }

    /// Whether a check found damage in SQLite's file.
    pub fn is_damaged(&self) -> bool {
        self.connections.is_damaged()
    }

    /// Reads all of SQLite's file and returns the first damage; none also once `stop` is cancelled,
    /// which ends the check soon. Other databases check themselves. Not cancel safe: where the
    /// caller leaves, a table is still checked to its end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn check_integrity(&self, stop: &CancellationToken) -> Result<Option<Damage>, Error> {
        self.connections.check_integrity(stop).await
    }

    /// Truncates SQLite's write-ahead log, which would keep what this process erased.
    ///
    /// To be called every second or so; does nothing where nothing was erased. While others read
    /// for long it gives up soon, and the next call tries again. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn truncate_wal(&self) -> Result<(), Error> {
        if !self.connections.needs_truncation() {
            return Ok(());
        }
        // A log that has become long takes long, which is no failure of the database.
        self.read(ReadKind::Long, self.connections.truncate_wal())
            .await
    }

    /// Writes what waits and closes the connections, within `CLOSE_TIMEOUT`; no handle can be
    /// used after that. The last process to leave an SQLite file brings it up to date, and
    /// removes the files beside it.
    pub async fn close(&self) {
        let closed = tokio::time::timeout(CLOSE_TIMEOUT, self.connections.close());
        if closed.await.is_err() {
            tracing::warn!("the database was still in use at shutdown");
        }
    }

    /// The account, which is the first column of every key.
    pub(crate) fn appid(&self) -> &str {
        self.connections.appid()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// An SQL expression for the database's time in milliseconds, on which all replicas agree.
    pub(crate) fn now_sql(&self) -> &'static str {
        self.connections.now_sql()
    }

    /// How to find the rows of many keys.
    pub(crate) fn key_lookup(&self) -> KeyLookup {
        self.connections.key_lookup()
    }

    /// Reads once admitted, and cuts the call off at its deadline.
    ///
    /// # Errors
    /// The call's own, or why it was not admitted or not answered.
    pub(crate) fn read<T>(
        &self,
        kind: ReadKind,
        call: impl Future<Output = Result<T, Error>>,
    ) -> impl Future<Output = Result<T, Error>> {
        // Boxed, so that the futures of all who may read stay small.
        self.connections.read(kind, Box::pin(call))
    }

    /// Has the writer execute a command, and waits until it is committed. Cancel safe: a command
    /// whose caller leaves is executed or it is not.
    ///
    /// # Errors
    /// When the transaction failed, or the command waited for too long. Then it may be executed or
    /// not.
    pub(crate) async fn execute<C: BatchCommand>(&self, command: C) -> Result<C::Output, Error> {
        self.connections.execute(command).await
    }

    /// Returns an executor of single statements that read.
    pub(crate) fn autocommit(&self) -> Autocommit<'_> {
        self.connections.autocommit()
    }

    /// Begins a transaction that reads one snapshot, with the deadline of long reads.
    pub(crate) async fn begin_snapshot(&self) -> Result<Transaction<'_>, Error> {
        self.connections.begin_snapshot().await
    }

    /// Notes that something was erased which must not stay in a file: see
    /// [`Database::truncate_wal`].
    pub(crate) fn mark_erased(&self) {
        self.connections.mark_erased();
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.connections.name())
    }
}

#[cfg(test)]
impl Database {
    /// A database of its own in memory, for tests of the features.
    pub(crate) async fn in_memory(clock: Arc<dyn Clock>) -> Self {
        let url = "sqlite::memory:".into();
        Self::open(
            &url,
            "wxtest",
            &super::opening::UpstreamIdentity::of_host("test"),
            clock,
        )
        .await
        .expect("memory can be opened")
    }

    /// The query plan of SQLite, a line for each step.
    pub(crate) async fn plan(&self, sql: String) -> Vec<String> {
        self.connections.plan(sql).await
    }
}
