//! A transaction whose statements share messages, because each message costs time: PostgreSQL a
//! round trip, and SQLite two switches between threads.

use std::mem;

use futures_util::TryStreamExt as _;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Either};

use super::group_size::GroupSize;
use super::statement::{Message, Statement};
use super::url::Dialect;

/// A transaction that defers statements, and sends them with the next one whose result is needed.
///
/// Dropped, it leaves the connection in the middle of a transaction: its owner ends that unless the
/// commit succeeded.
#[derive(Debug)]
pub(super) struct Pipeline<'c> {
    connection: &'c mut AnyConnection,
    batching: Batching,
    unsent: Vec<Statement>,
    /// How many of the statements that begin the transaction have not ended yet.
    begin_pending: usize,
}

/// How a pipeline sends its statements: in one message with their values as literals, in one
/// message with parameters, or each in a message of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Batching {
    /// All, with their values in the text: PostgreSQL takes parameters for a single statement only.
    Literals,
    /// All, with parameters. SQLite's connection caches each text, 100 at most, so they must be
    /// few: those of one command, or of few commands of one type.
    Parameters,
    /// None: each statement is a message, so that the texts to cache do not depend on which
    /// commands share the transaction.
    Single,
}

impl Batching {
    /// Chooses it for the transaction of a group.
    pub(super) fn of(dialect: Dialect, size: GroupSize) -> Self {
        match (dialect, size) {
            (Dialect::Postgres, _) => Self::Literals,
            (Dialect::Sqlite, GroupSize::One | GroupSize::Few) => Self::Parameters,
            (Dialect::Sqlite, GroupSize::Many) => Self::Single,
        }
    }

    fn messages(self, statements: Vec<Statement>) -> Result<Vec<Message>, sqlx::Error> {
        match self {
            _ if statements.is_empty() => Ok(Vec::new()),
            Self::Literals => Ok(vec![Message::with_literals(&statements)?]),
            Self::Parameters => Ok(vec![Message::with_parameters(statements)?]),
            Self::Single => {
                let statements = statements.into_iter();
                let messages = statements.map(|one| Message::with_parameters(vec![one]));
                messages.collect()
            }
        }
    }
}

impl<'c> Pipeline<'c> {
    /// Begins a transaction, by statements that are sent with the next one.
    pub(super) fn new(
        connection: &'c mut AnyConnection,
        batching: Batching,
        begin: &[String],
    ) -> Self {
        Self {
            connection,
            batching,
            unsent: begin.iter().map(Statement::from_text).collect(),
            begin_pending: begin.len(),
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
        let mut ended = 0;
        for message in self.batching.messages(all)? {
            let mut results = message.send(self.connection);
            while let Some(result) = results.try_next().await? {
                match result {
                    Either::Left(_) => {
                        ended += 1;
                        self.begin_pending = self.begin_pending.saturating_sub(1);
                    }
                    Either::Right(row) => rows[ended].push(row),
                }
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
        self.defer(Statement::from_text("COMMIT"));
        self.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_share_messages_where_that_saves_time() {
        for (dialect, size, messages) in [
            (Dialect::Postgres, GroupSize::One, 1),
            (Dialect::Postgres, GroupSize::Many, 1),
            (Dialect::Sqlite, GroupSize::One, 1),
            (Dialect::Sqlite, GroupSize::Few, 1),
            (Dialect::Sqlite, GroupSize::Many, 3),
        ] {
            let batching = Batching::of(dialect, size);
            let statements = ["BEGIN", "SELECT 1", "COMMIT"].map(Statement::from_text);
            let sent = batching.messages(statements.into()).unwrap();
            assert_eq!(sent.len(), messages, "{batching:?}");
            let nothing = batching.messages(Vec::new()).unwrap();
            assert!(nothing.is_empty(), "{batching:?}");
        }
    }
}
