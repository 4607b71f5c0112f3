//! A transaction of PostgreSQL whose statements share messages, because each message costs a round
//! trip.

use std::mem;

use futures_util::TryStreamExt as _;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Either, Executor as _};

/// A transaction of PostgreSQL that defers statements, and sends them in one message with the next
/// one whose result is needed.
///
/// Dropped, it leaves the connection in the middle of a transaction: its owner closes the
/// connection unless the commit succeeded.
#[derive(Debug)]
pub(super) struct Pipeline<'c> {
    connection: &'c mut AnyConnection,
    unsent: Vec<String>,
    /// How many statements are still to end until the transaction is begun.
    beginning: usize,
}

impl<'c> Pipeline<'c> {
    /// Begins a transaction, by statements that are sent with the next one.
    pub(super) fn new(connection: &'c mut AnyConnection, begin: &[String]) -> Self {
        Self {
            connection,
            unsent: begin.to_vec(),
            beginning: begin.len(),
        }
    }

    /// Whether the transaction is begun, and holds its lock.
    pub(super) fn is_begun(&self) -> bool {
        self.beginning == 0
    }

    /// Executes a statement with the next message.
    pub(super) fn defer(&mut self, statement: String) {
        self.unsent.push(statement);
    }

    /// Sends what is deferred.
    pub(super) async fn flush(&mut self) -> Result<(), sqlx::Error> {
        self.fetch_each(Vec::new()).await.map(drop)
    }

    /// Sends what is deferred with more statements, and returns the rows of each of these. Without
    /// any, nothing is sent.
    pub(super) async fn fetch_each(
        &mut self,
        statements: Vec<String>,
    ) -> Result<Vec<Vec<AnyRow>>, sqlx::Error> {
        let mut message = mem::take(&mut self.unsent);
        let deferred = message.len();
        message.extend(statements);
        if message.is_empty() {
            return Ok(Vec::new());
        }
        let mut rows: Vec<_> = message.iter().map(|_| Vec::new()).collect();
        let message = AssertSqlSafe(message.join(";\n"));
        let mut results = self.connection.fetch_many(message);
        let mut ended = 0;
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Left(_) => {
                    ended += 1;
                    self.beginning = self.beginning.saturating_sub(1);
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

    /// Commits, in the message of what is deferred.
    pub(super) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.defer("COMMIT".to_owned());
        self.flush().await
    }
}
