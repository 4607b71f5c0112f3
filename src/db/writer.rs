//! The writer (group commit): one task that executes all writes of the process.
//!
//! It takes the commands that wait, executes them in one transaction, and answers each caller once
//! the transaction is committed. What comes meanwhile is the next group. So a crowd costs few
//! commits, on a slow disk too, and no write waits for the lock of another of the same process.
//! Where one command fails, or all together take too long before the commit, the group is executed
//! in halves, down to the command that is the reason (bisection); after a lock timeout, which each
//! half would wait for again, one by one. Results of calls that come meanwhile go in turn with
//! them.

mod thread;

use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::adaptive_size::AdaptiveBatchSize;
use super::command::BatchCommand;
use super::error::Error;
use super::group::{Group, batch_of};
use super::health::Health;
use super::limits::{ACQUIRE_TIMEOUT, DEADLINE, MAX_BEGINS, MAX_PURGE_BATCH};
use super::queues::{Queues, Senders, queues};
use super::transaction::Transaction;
use super::url::Dialect;
use super::write_connection::WriteConnection;
use crate::telemetry;

/// The writer's handle. Dropping it ends the task, once it has executed what waits.
#[derive(Debug)]
pub(super) struct Writer {
    senders: Senders,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Writer {
    /// Starts the task, and waits until it has opened the connection. Needs a runtime.
    ///
    /// # Errors
    /// When the connection cannot be opened.
    pub(super) async fn start(
        connection: WriteConnection,
        health: Arc<Health>,
    ) -> Result<Self, sqlx::Error> {
        let dialect = connection.dialect();
        let (senders, queues) = queues();
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let task = Task {
            connection,
            health,
            queues,
            purge_batch: AdaptiveBatchSize::new(MAX_PURGE_BATCH, MAX_PURGE_BATCH),
            is_overloaded: false,
        };
        let (sender, opened) = oneshot::channel();
        let running = tasks.track_future(task.open_and_run(sender, closing.clone()));
        tasks.close();
        match dialect {
            // The driver has a thread for each connection.
            Dialect::Sqlite => drop(tokio::spawn(running)),
            Dialect::Postgres => thread::spawn(running)?,
        }
        opened.await.map_err(|_| sqlx::Error::WorkerCrashed)??;
        Ok(Self {
            senders,
            closing,
            tasks,
        })
    }

    /// Has a command executed, and waits until it is committed. Cancel safe: a command whose caller
    /// leaves is executed or it is not.
    ///
    /// # Errors
    /// [`Error::Busy`] if it waited for [`ACQUIRE_TIMEOUT`] and was not executed; else why the
    /// transaction failed.
    pub(super) async fn execute<C: BatchCommand>(&self, command: C) -> Result<C::Output, Error> {
        let (batch, output) = batch_of(command);
        let queued = timeout(ACQUIRE_TIMEOUT, self.senders.send(batch)).await;
        queued.map_err(|_| Error::Busy)?.map_err(|_| closed())?;
        // From here on the task ends the wait, so that an answer of "busy" is true.
        output.await.map_err(|_| closed())?
    }

    /// Executes what waits, and closes the connection. Later commands fail.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.wait().await;
    }
}

/// Executes the commands of a group. A small group sends the statements that are left for later in
/// the message of the commit. A large group sends them before it: if they take too long, it is
/// certain that nothing is committed, so it is executed in parts.
async fn execute(group: &mut Group, write: &mut Transaction<'_>) -> Result<(), Error> {
    group.execute(write).await?;
    if !group.is_small() {
        write.flush().await?;
    }
    Ok(())
}

/// Executes and commits a group. One that fails is rolled back with the transaction, which is
/// dropped then.
async fn execute_and_commit(group: &mut Group, mut write: Transaction<'_>) -> Result<(), Failure> {
    match within_deadline(execute(group, &mut write)).await {
        Ok(()) => {
            group.begin_commit();
            write.commit_later();
            let committed = within_deadline(write.flush()).await;
            committed.map_err(|error| Failure::of_commit(error, write.is_begun()))
        }
        Err(error) => Err(Failure::of_execution(error, group, write.is_begun())),
    }
}

async fn within_deadline<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(DEADLINE, call).await.unwrap_or(Err(Error::Timeout))
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// Returns the error of a call after the end of the task.
fn closed() -> Error {
    sqlx::Error::PoolClosed.into()
}

struct Task {
    connection: WriteConnection,
    health: Arc<Health>,
    queues: Queues,
    /// The most rows that a background command may remove.
    purge_batch: AdaptiveBatchSize,
    /// Whether commands of the last group had waited for too long.
    is_overloaded: bool,
}

/// Why a group is not committed.
struct Failure {
    error: Error,
    step: TransactionStep,
}

/// Step of a transaction at which it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TransactionStep {
    /// It waited for a connection or for the lock: nothing was executed.
    Begin,
    /// It executed commands: nothing is committed.
    Execute,
    /// Whether it is committed may be unknown.
    Commit,
}

impl Task {
    /// Opens the connection where it is used, because it belongs to the runtime that opens it.
    async fn open_and_run(
        mut self,
        opened: oneshot::Sender<Result<(), sqlx::Error>>,
        closing: CancellationToken,
    ) {
        let result = self.connection.open().await;
        let is_open = result.is_ok();
        if opened.send(result).is_ok() && is_open {
            self.run(closing).await;
        }
    }

    async fn run(mut self, closing: CancellationToken) {
        while let Some(mut group) = self.queues.next_group(&closing).await {
            // A command that panics must not end the writer, nor harm others.
            let written = AssertUnwindSafe(self.write(&mut group))
                .catch_unwind()
                .await;
            if written.is_err() {
                self.connection.discard().await;
                if group.len() > 1 && !group.is_committing() {
                    self.queues.put_back(group.halves());
                }
            }
        }
        self.connection.close().await;
    }

    async fn write(&mut self, group: &mut Group) {
        self.drop_overdue(group);
        if !self.health.is_up() {
            group.refuse_ordinary();
        }
        if group.len() == 0 {
            return;
        }
        match self.commit(group).await {
            Ok(()) => group.respond(&Ok(())),
            Err(failure) if failure.concerns_commands() && group.len() > 1 => {
                let group = mem::take(group);
                self.queues.put_back(if failure.error.is_lock_timeout() {
                    group.singles()
                } else {
                    group.halves()
                });
            }
            Err(failure) => group.respond(&Err(failure.error)),
        }
    }

    /// Logs an overload once.
    fn drop_overdue(&mut self, group: &mut Group) {
        let is_overloaded = group.drop_overdue();
        if is_overloaded && !self.is_overloaded {
            tracing::warn!("the database is overloaded: writes timed out in the queue");
        }
        self.is_overloaded = is_overloaded;
    }

    /// Executes and commits a group, or rolls it back. Where another process holds the lock for too
    /// long, the group waits for it again: nothing was executed.
    async fn commit(&mut self, group: &mut Group) -> Result<(), Failure> {
        let mut result = self.try_commit(group).await;
        for _ in 1..MAX_BEGINS {
            if !result.as_ref().is_err_and(Failure::is_lock_timeout) {
                break;
            }
            result = self.try_commit(group).await;
        }
        match &result {
            Ok(()) => telemetry::store_commit(group.len()),
            // A command that fails alone is found and logged by itself.
            Err(failure) if !failure.concerns_commands() || group.len() == 1 => {
                self.health.record_failure(&failure.error);
            }
            Err(_) => {}
        }
        result
    }

    async fn try_commit(&mut self, group: &mut Group) -> Result<(), Failure> {
        let result = self.transact(group).await;
        match result {
            Ok(()) => self.connection.release(),
            Err(_) => self.connection.discard().await,
        }
        result
    }

    async fn transact(&mut self, group: &mut Group) -> Result<(), Failure> {
        let prepared = self.connection.prepare().await;
        prepared.map_err(TransactionStep::Begin.failure())?;
        let begins_at_once = group.begins_at_once(self.connection.dialect());
        let write = self.connection.begin(group);
        let mut write = write.with_purge_batch(self.purge_batch.get());
        if begins_at_once {
            let begun = within_deadline(write.flush()).await;
            begun.map_err(TransactionStep::Begin.failure())?;
        }
        let (has_lock, begun_at) = (write.is_begun(), Instant::now());
        let result = execute_and_commit(group, write).await;
        let took = begun_at.elapsed();
        // A wait for the lock is part of the time then, and says nothing about the group.
        let may_have_waited = !has_lock && AdaptiveBatchSize::is_long(took);
        if !result.as_ref().is_err_and(Failure::is_of_begin) && !may_have_waited {
            self.adapt(group, took);
        }
        result
    }

    /// Bounds the next transaction of the same sort by how long this one took.
    fn adapt(&mut self, group: &Group, took: Duration) {
        if group.is_background() {
            self.purge_batch.adapt(took);
        } else {
            self.queues.adapt(took);
        }
    }
}

impl TransactionStep {
    /// Makes the failure of an error at this step.
    fn failure(self) -> impl FnOnce(Error) -> Failure {
        move |error| Failure { error, step: self }
    }
}

impl Failure {
    fn of_execution(error: Error, group: &Group, is_begun: bool) -> Self {
        match error {
            // A small group begins with its first statements.
            error if !is_begun && (error.is_lock_timeout() || error.is_connection_error()) => {
                TransactionStep::Begin.failure()(error)
            }
            Error::Timeout if group.is_background() => {
                TransactionStep::Execute.failure()(Error::Busy)
            }
            error => TransactionStep::Execute.failure()(error),
        }
    }

    /// Where a command leaves all statements for later, the transaction begins with the commit.
    /// Without an answer it may be committed all the same.
    fn of_commit(error: Error, is_begun: bool) -> Self {
        let step = if !is_begun && error.is_lock_timeout() {
            TransactionStep::Begin
        } else {
            TransactionStep::Commit
        };
        step.failure()(error)
    }

    /// Whether one of the commands may be the reason, or their number, so that they are executed in
    /// parts. Never after a commit whose outcome is unknown.
    fn concerns_commands(&self) -> bool {
        match self.step {
            TransactionStep::Begin => false,
            TransactionStep::Execute => {
                matches!(self.error, Error::Timeout) || !self.error.is_connection_error()
            }
            TransactionStep::Commit => !self.error.is_connection_error(),
        }
    }

    /// Whether nothing was executed.
    fn is_of_begin(&self) -> bool {
        self.step == TransactionStep::Begin
    }

    /// Whether another process held the lock for too long.
    fn is_lock_timeout(&self) -> bool {
        self.is_of_begin() && self.error.is_lock_timeout()
    }
}

#[cfg(test)]
mod tests;
