//! A transaction whose statements share messages, because each message costs time: PostgreSQL a
//! round trip, and SQLite at least two switches between threads.

use std::pin::Pin;
use std::{mem, thread};

use futures_util::{StreamExt as _, TryStreamExt as _, poll};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Either};

use super::statement::{Message, Statement};
use super::url::Dialect;

/// A transaction that defers statements, and sends them with the next one whose result is needed.
///
/// Dropped, it leaves the connection in the middle of a transaction: its owner ends that unless the
/// commit succeeded.
#[derive(Debug)]
pub(super) struct Pipeline<'c> {
    connection: &'c mut AnyConnection,
    dialect: Dialect,
    unsent: Vec<Statement>,
    /// How many of the statements that begin the transaction have not ended yet.
    begin_pending: usize,
    /// Whether this thread yields its core when it has sent a message to SQLite.
    yields: bool,
}

impl<'c> Pipeline<'c> {
    /// Begins a transaction, by statements that are sent with the next one.
    pub(super) fn new(
        connection: &'c mut AnyConnection,
        dialect: Dialect,
        begin: Vec<Statement>,
    ) -> Self {
        Self {
            connection,
            dialect,
            begin_pending: begin.len(),
            unsent: begin,
            yields: false,
        }
    }

    /// Sets whether this thread yields its core when it has sent a message of deferred statements
    /// to SQLite (`sched_yield`). The driver's thread sends each result by itself, and where
    /// both threads share a core, each result would wake this one. For small groups only: where
    /// other processes keep the core busy, a yield may cost a time slice.
    pub(super) fn yielding(self, yields: bool) -> Self {
        Self {
            yields: yields && self.dialect == Dialect::Sqlite,
            ..self
        }
    }

    /// Whether the transaction is begun, and holds its lock.
    pub(super) fn is_begun(&self) -> bool {
        self.begin_pending == 0
    }

    /// Executes a statement with the next message.
    pub(super) fn defer(&mut self, statement: Statement) {
        self.unsent.push(statement);
    }

    /// Sends what sub-batches have deferred, with SQLite only. To be called before each sub-batch:
    /// SQLite's connection caches the text of each message, 100 at most, so a text must not depend
    /// on which sub-batches follow one another. With PostgreSQL all share messages.
    pub(super) async fn separate_sub_batches(&mut self) -> Result<(), sqlx::Error> {
        if self.dialect == Dialect::Sqlite && self.unsent.len() > self.begin_pending {
            self.flush().await?;
        }
        Ok(())
    }

    /// Sends what is deferred.
    pub(super) async fn flush(&mut self) -> Result<(), sqlx::Error> {
        self.fetch_each(Vec::new()).await.map(drop)
    }

    /// Sends what is deferred and more statements, and returns the rows of each of these. If there
    /// are neither, nothing is sent.
    pub(super) async fn fetch_each(
        &mut self,
        statements: Vec<Statement>,
    ) -> Result<Vec<Vec<AnyRow>>, sqlx::Error> {
        let mut all = mem::take(&mut self.unsent);
        let deferred = all.len();
        all.extend(statements);
        let mut rows: Vec<_> = all.iter().map(|_| Vec::new()).collect();
        if all.is_empty() {
            return Ok(rows);
        }
        // PostgreSQL takes parameters for a single statement only.
        let message = match self.dialect {
            Dialect::Sqlite => Message::with_parameters(all)?,
            Dialect::Postgres => Message::with_literals(&all)?,
        };
        let mut ended = 0;
        let mut results = message.send(self.connection).peekable();
        // The first poll sends the message.
        if self.yields && poll!(Pin::new(&mut results).peek()).is_pending() {
            thread::yield_now();
        }
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Left(_) => {
                    ended += 1;
                    self.begin_pending = self.begin_pending.saturating_sub(1);
                }
                Either::Right(row) => rows[ended].push(row),
            }
        }
        Ok(rows.split_off(deferred))
    }

    /// Sends what is deferred, and gives the connection for a statement with parameters.
    pub(super) async fn ready(&mut self) -> Result<&mut AnyConnection, sqlx::Error> {
        self.flush().await?;
        Ok(self.connection)
    }

    /// Commits with the next message.
    pub(super) fn commit_later(&mut self) {
        self.defer(Statement::from_text("COMMIT"));
    }
}
