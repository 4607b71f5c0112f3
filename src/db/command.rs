//! Commands: the writes that features hand to the writer.

use jiff::Timestamp;

use super::error::Error;
use super::transaction::Transaction;

/// A write, which the writer executes in one transaction with all that wait beside it.
///
/// It changes nothing but by that transaction, because it may be executed more than once: where one
/// command of a group fails, the transaction is rolled back, and the group is executed in parts.
/// An output is dropped if its transaction fails or its caller has left, so one that holds
/// something gives it back then.
///
/// Where the connection is lost during a commit, the caller gets an error although all may be
/// written. So a command that is repeated after an error finds what it wrote, and counts nothing
/// twice.
pub(crate) trait Command: Send + Sync + 'static {
    type Output: Send + 'static;

    const URGENCY: Urgency = Urgency::Ordinary;

    /// As [`BatchCommand::IS_SYNCED`].
    const IS_SYNCED: bool = true;

    fn execute(
        &self,
        write: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<Self::Output, Error>> + Send;
}

/// A command with statements that take many rows: those that wait together are executed together,
/// with SQLite up to 16 at once.
pub(crate) trait BatchCommand: Send + Sync + Sized + 'static {
    type Output: Send + 'static;

    const URGENCY: Urgency = Urgency::Ordinary;

    /// Whether a commit to SQLite's file waits for the disk; to PostgreSQL each one does. Without
    /// (asynchronous commit), a failure of the power may undo what was written, and the end of the
    /// process may not. The next commit that waits syncs it too.
    const IS_SYNCED: bool = true;

    /// Executes commands in the order in which they came; the outcome of each, in the same order.
    fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> impl Future<Output = Result<Vec<Self::Output>, Error>> + Send;
}

impl<C: Command> BatchCommand for C {
    type Output = C::Output;

    const URGENCY: Urgency = C::URGENCY;

    const IS_SYNCED: bool = C::IS_SYNCED;

    async fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> Result<Vec<Self::Output>, Error> {
        let mut outputs = Vec::with_capacity(commands.len());
        for command in commands {
            outputs.push(command.execute(write).await?);
        }
        Ok(outputs)
    }
}

/// Which of the waiting commands are executed first: results of calls, then ordinary ones;
/// background ones by themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Fails at once while the database is down.
    Ordinary,
    /// Goes before ordinary ones, and is tried also while the database is down: it writes the
    /// result of a call to WeChat, which would be lost, or checks the health.
    First,
    /// Has a transaction of its own, so that a slow one fails no other: at most every second one,
    /// and one after `GROUPS_BEFORE_BACKGROUND` others while results of calls wait. That it is slow
    /// is no failure of the database. It fails at once while the database is down.
    Background,
}

/// Removes a bounded number of old rows; returns how many.
#[derive(Debug)]
pub(crate) struct Purge {
    /// Deletes rows by the account (`$1`), a time in milliseconds (`$2`), and the most rows
    /// (`$3`).
    pub(crate) sql: &'static str,
    /// The time up to which rows go.
    pub(crate) before: Timestamp,
}

impl Command for Purge {
    type Output = u64;

    const URGENCY: Urgency = Urgency::Background;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<u64, Error> {
        let removed = sqlx::query(self.sql)
            .bind(write.appid())
            .bind(self.before.as_millisecond())
            .bind(write.purge_batch())
            .execute(write)
            .await?;
        Ok(removed.rows_affected())
    }
}
