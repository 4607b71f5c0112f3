//! The writer (group commit): one task that executes all writes of the process.
//!
//! It takes the commands that wait, executes them in one transaction, and answers each caller once
//! the transaction is committed. What comes meanwhile is the next group. So a crowd costs few
//! commits, on a slow disk too, and no write waits for the lock of another of the same process.
//! Where one command fails, or all together take too long, the group is executed in halves, down to
//! the command that is the reason (bisection); urgent ones that come meanwhile go before them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::adaptive_size::AdaptiveSize;
use super::command::BatchCommand;
use super::error::Error;
use super::group::{Group, batch_of};
use super::health::Health;
use super::limits::{ACQUIRE_TIMEOUT, DEADLINE, MAX_PURGE_BATCH};
use super::queues::{Queues, Senders, queues};
use super::transaction::Transaction;
use super::write_connection::WriteConnection;
use crate::telemetry;

/// How often a group waits for the lock. Chosen: a replica that froze with the lock loses it after
/// a second, and each wait is shorter than that.
const MAX_BEGINS: u32 = 4;

/// The writer's handle. Dropping it ends the task, once it has executed what waits.
#[derive(Debug)]
pub(super) struct Writer {
    senders: Senders,
    closing: CancellationToken,
    tasks: TaskTracker,
}

impl Writer {
    /// Must be called in a runtime.
    pub(super) fn start(connection: WriteConnection, health: Arc<Health>) -> Self {
        let (senders, queues) = queues();
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let task = Task {
            connection,
            health,
            queues,
            purge_batch: AdaptiveSize::new(MAX_PURGE_BATCH, MAX_PURGE_BATCH),
            is_crowded: false,
        };
        tasks.spawn(task.run(closing.clone()));
        tasks.close();
        Self {
            senders,
            closing,
            tasks,
        }
    }

    /// Has a command executed, and waits until it is committed. Cancel safe: a command whose caller
    /// leaves is executed or it is not.
    ///
    /// # Errors
    /// [`Error::Busy`] if it waited for [`ACQUIRE_TIMEOUT`] and was not executed; else why the
    /// transaction failed.
    pub(super) async fn execute<C: BatchCommand>(&self, command: C) -> Result<C::Output, Error> {
        let (batch, reply) = batch_of(command);
        let queued = timeout(ACQUIRE_TIMEOUT, self.senders.send(batch)).await;
        queued.map_err(|_| Error::Busy)?.map_err(|_| closed())?;
        // From here on the task ends the wait, so that an answer of "busy" is true.
        reply.await.map_err(|_| closed())?
    }

    /// Executes what waits, and closes the connection. Later commands fail.
    pub(super) async fn close(&self) {
        self.closing.cancel();
        self.tasks.wait().await;
    }
}

/// Begins a transaction. One command alone saves PostgreSQL the round trip: it begins with its
/// first statement. A group waits for the lock before its own deadline runs.
async fn begin(connection: &mut WriteConnection, is_alone: bool) -> Result<Transaction<'_>, Error> {
    let mut write = connection.begin().await?;
    if !is_alone {
        write.flush().await?;
    }
    Ok(write)
}

/// Executes the commands of a group. What one command alone left to be executed later goes with its
/// commit, if it has the lock; a group may have to be executed in halves, so all of it is executed
/// before.
async fn execute(
    group: &mut Group,
    is_alone: bool,
    write: &mut Transaction<'_>,
) -> Result<(), Error> {
    group.execute(write).await?;
    if !is_alone || !write.is_begun() {
        write.flush().await?;
    }
    Ok(())
}

async fn within_deadline<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    timeout(DEADLINE, call).await.unwrap_or(Err(Error::Timeout))
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// The connections are closed.
fn closed() -> Error {
    sqlx::Error::PoolClosed.into()
}

struct Task {
    connection: WriteConnection,
    health: Arc<Health>,
    queues: Queues,
    /// The most rows that a background command may remove.
    purge_batch: AdaptiveSize,
    /// Whether commands waited for too long since the queues were last free.
    is_crowded: bool,
}

/// Why a group is not committed.
struct Failure {
    error: Error,
    stage: Stage,
}

/// What a transaction was at when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It waited for a connection or for the lock: nothing was executed.
    Begin,
    /// It executed commands: nothing is committed.
    Execute,
    /// Whether it is committed may be unknown.
    Commit,
}

impl Task {
    async fn run(mut self, closing: CancellationToken) {
        while let Some(group) = self.queues.next_group(&closing).await {
            // A command that panics fails its group, and not the writes of the process from then
            // on.
            let written = AssertUnwindSafe(self.write(group)).catch_unwind().await;
            if written.is_err() {
                self.connection.release();
                self.connection.discard();
            }
        }
        self.connection.close().await;
    }

    async fn write(&mut self, mut group: Group) {
        self.drop_overdue(&mut group);
        if !self.health.is_up() {
            group.refuse_ordinary();
        }
        if group.len() == 0 {
            return;
        }
        match self.commit(&mut group).await {
            Ok(()) => group.reply(&Ok(())),
            Err(failure) if failure.concerns_commands() && group.len() > 1 => {
                self.queues.put_back(group.halves());
            }
            Err(failure) => group.reply(&Err(failure.error)),
        }
    }

    /// Logs a crowd once.
    fn drop_overdue(&mut self, group: &mut Group) {
        let is_crowded = group.drop_overdue();
        if is_crowded && !self.is_crowded {
            tracing::warn!("the database is overloaded: writes timed out in the queue");
        }
        self.is_crowded = is_crowded;
    }

    /// Executes and commits a group, or rolls it back. Where another process holds the lock for too
    /// long, the group waits for it again: nothing was executed.
    async fn commit(&mut self, group: &mut Group) -> Result<(), Failure> {
        for _ in 1..MAX_BEGINS {
            match self.try_commit(group).await {
                Err(failure) if failure.is_of_the_lock() => {}
                result => return result,
            }
        }
        self.try_commit(group).await
    }

    async fn try_commit(&mut self, group: &mut Group) -> Result<(), Failure> {
        let result = self.execute_and_commit(group).await;
        self.connection.release();
        match &result {
            Ok(()) => telemetry::store_commit(group.len()),
            Err(failure) => {
                self.connection.discard();
                // A command that fails alone is found and logged by itself.
                if !failure.concerns_commands() || group.len() == 1 {
                    self.health.record_failure(&failure.error);
                }
            }
        }
        result
    }

    async fn execute_and_commit(&mut self, group: &mut Group) -> Result<(), Failure> {
        self.connection
            .prepare()
            .await
            .map_err(Stage::Begin.failure())?;
        let is_alone = group.len() == 1 && !group.is_background();
        let write = within_deadline(begin(&mut self.connection, is_alone))
            .await
            .map_err(Stage::Begin.failure())?;
        let mut write = write.with_purge_batch(self.purge_batch.get());
        let begun_at = Instant::now();
        let executed = within_deadline(execute(group, is_alone, &mut write)).await;
        let result = match executed {
            Ok(()) => {
                let committed = within_deadline(async { Ok(write.commit().await?) });
                committed.await.map_err(Stage::Commit.failure())
            }
            // PostgreSQL begins with the first statement.
            Err(error) if !write.is_begun() => Err(error).map_err(Stage::Begin.failure()),
            Err(Error::Timeout) if group.is_background() => {
                Err(Error::Busy).map_err(Stage::Execute.failure())
            }
            Err(error) => Err(error).map_err(Stage::Execute.failure()),
        };
        if group.is_background() {
            self.purge_batch.adapt(begun_at.elapsed());
        } else {
            self.queues.adapt(begun_at.elapsed());
        }
        result
    }
}

impl Stage {
    /// Makes the failure of an error at this stage.
    fn failure(self) -> impl FnOnce(Error) -> Failure {
        move |error| Failure { error, stage: self }
    }
}

impl Failure {
    /// Whether one of the commands may be the reason, or their number, so that they are executed in
    /// halves. Never after a commit whose outcome is unknown.
    fn concerns_commands(&self) -> bool {
        match self.stage {
            Stage::Begin => false,
            Stage::Execute => {
                matches!(self.error, Error::Timeout) || !self.error.is_connection_error()
            }
            Stage::Commit => !self.error.is_connection_error(),
        }
    }

    /// Whether another process held the lock for too long.
    fn is_of_the_lock(&self) -> bool {
        self.stage == Stage::Begin && !self.error.is_connection_error()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::future::join_all;

    use super::*;
    use crate::clock::SystemClock;
    use crate::db::{Command, Database, Urgency};

    /// What is executed, in order, by the groups of the writer.
    type Log = Arc<Mutex<Vec<Vec<String>>>>;

    /// Writes a name that must be new.
    struct Insert(String, Log);

    impl BatchCommand for Insert {
        type Output = String;

        async fn execute_all(
            commands: &[Self],
            write: &mut Transaction<'_>,
        ) -> Result<Vec<String>, Error> {
            let names = commands.iter().map(|insert| insert.0.clone());
            commands[0].1.lock().unwrap().push(names.clone().collect());
            for name in names.clone() {
                sqlx::query("INSERT INTO about (name, value) VALUES ($1, '')")
                    .bind(name)
                    .execute(&mut *write)
                    .await?;
            }
            Ok(names.collect())
        }
    }

    struct Urgent(Log);

    impl Command for Urgent {
        type Output = ();

        const URGENCY: Urgency = Urgency::First;

        async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
            self.0.lock().unwrap().push(vec!["urgent".to_owned()]);
            Ok(())
        }
    }

    fn insert(name: &str, log: &Log) -> Insert {
        Insert(name.to_owned(), Arc::clone(log))
    }

    async fn names(db: &Database) -> Vec<String> {
        let names = sqlx::query_scalar("SELECT name FROM about WHERE value = '' ORDER BY name");
        names.fetch_all(db.autocommit()).await.unwrap()
    }

    async fn database() -> Database {
        Database::in_memory(Arc::new(SystemClock)).await
    }

    #[tokio::test]
    async fn commands_that_wait_share_a_transaction() {
        let (db, log) = (database().await, Log::default());
        let all = (0..150).map(|n| db.execute(insert(&n.to_string(), &log)));
        let outputs = join_all(all).await;
        for (n, output) in outputs.into_iter().enumerate() {
            assert_eq!(output.unwrap(), n.to_string(), "each caller has its own");
        }
        let sizes: Vec<_> = log.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [16, 32, 64, 38]);
    }

    /// Never ends in a group of more than so many.
    struct TooMany(usize, Log);

    impl BatchCommand for TooMany {
        type Output = ();

        async fn execute_all(commands: &[Self], _: &mut Transaction<'_>) -> Result<Vec<()>, Error> {
            let sizes = commands.iter().map(|_| "one".to_owned());
            commands[0].1.lock().unwrap().push(sizes.collect());
            if commands.len() > commands[0].0 {
                std::future::pending::<()>().await;
            }
            Ok(vec![(); commands.len()])
        }
    }

    #[tokio::test]
    async fn a_group_that_takes_too_long_is_executed_in_halves() {
        let (db, log) = (database().await, Log::default());
        let all = (0..16).map(|_| db.execute(TooMany(8, Arc::clone(&log))));
        for result in join_all(all).await {
            result.unwrap();
        }
        let sizes: Vec<_> = log.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [16, 8, 8]);
        assert!(db.is_up(), "it was too much at once");
        db.execute(TooMany(0, log)).await.unwrap_err();
        assert!(!db.is_up(), "one command alone took too long");
    }

    #[tokio::test]
    async fn a_command_that_fails_is_found_in_few_transactions() {
        let (db, log) = (database().await, Log::default());
        let all = (0..16).map(|n| db.execute(insert(&(n % 15).to_string(), &log)));
        let failed = join_all(all)
            .await
            .iter()
            .filter(|one| one.is_err())
            .count();
        assert_eq!(failed, 1);
        let sizes: Vec<_> = log.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(sizes, [16, 8, 8, 4, 4, 2, 2, 1, 1]);
    }

    /// A removal of old rows that never ends.
    struct Removal(Log);

    impl Command for Removal {
        type Output = ();

        const URGENCY: Urgency = Urgency::Background;

        async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
            self.0.lock().unwrap().push(vec!["removal".to_owned()]);
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_slow_background_command_fails_alone() {
        let (db, log) = (database().await, Log::default());
        let (removed, one, other) = tokio::join!(
            db.execute(Removal(Arc::clone(&log))),
            db.execute(insert("one", &log)),
            db.execute(insert("other", &log)),
        );
        assert!(matches!(removed, Err(Error::Busy)), "{removed:?}");
        one.unwrap();
        other.unwrap();
        assert_eq!(log.lock().unwrap().len(), 2, "a group of its own");
        assert!(db.is_up(), "it is only slow");
    }

    /// A removal that never ends with more than so many rows.
    struct TooManyRows(i64);

    impl Command for TooManyRows {
        type Output = i64;

        const URGENCY: Urgency = Urgency::Background;

        async fn execute(&self, write: &mut Transaction<'_>) -> Result<i64, Error> {
            if write.purge_batch() > self.0 {
                std::future::pending::<()>().await;
            }
            Ok(write.purge_batch())
        }
    }

    #[tokio::test]
    async fn a_slow_removal_makes_the_next_one_smaller_and_a_fast_one_larger() {
        let db = database().await;
        for removed in [None, Some(250), None, Some(250)] {
            let batch = db.execute(TooManyRows(250)).await.ok();
            assert_eq!(batch, removed);
        }
    }

    #[tokio::test]
    async fn background_commands_do_not_wait_for_a_quiet_moment() {
        let (db, log) = (database().await, Log::default());
        let all = (0..150).map(|n| db.execute(insert(&n.to_string(), &log)));
        let (removed, _) = tokio::join!(db.execute(Removal(Arc::clone(&log))), join_all(all));
        removed.unwrap_err();
        let log = log.lock().unwrap();
        let place = log.iter().position(|group| group[0] == "removal");
        assert!(place < Some(log.len() - 1), "{place:?} of {}", log.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_finds_its_queue_full_is_refused_after_a_while() {
        // No task takes what waits.
        let (senders, _queues) = queues();
        let writer = Writer {
            senders,
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let command = || insert("one", &Log::default());
        let mut queued = Vec::new();
        let started = Instant::now();
        let refused = loop {
            // A task may not send so many at once.
            tokio::task::yield_now().await;
            let mut waiting = Box::pin(writer.execute(command()));
            if writer.senders.is_full() {
                break waiting.await;
            }
            assert!(futures_util::poll!(&mut waiting).is_pending());
            queued.push(waiting);
        };
        assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
        assert_eq!(started.elapsed(), ACQUIRE_TIMEOUT);
    }

    #[tokio::test]
    async fn a_database_that_is_dropped_closes_its_connection() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        let url = format!("sqlite://{}", path.display());
        let upstream = crate::db::UpstreamIdentity::of_host("test");
        let clock = Arc::new(SystemClock);
        let db = Database::open(&url.into(), "wxtest", &upstream, clock).await;
        let (db, log) = (db.unwrap(), Log::default());
        db.execute(insert("one", &log)).await.unwrap();
        let wal = folder.path().join("x.db-wal");
        assert!(wal.exists());
        drop(db);
        // SQLite removes it with the last connection.
        while wal.exists() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_by_its_values_harms_no_other() {
        let (db, log) = (database().await, Log::default());
        let results =
            join_all(["a", "b", "a", "c"].map(|name| db.execute(insert(name, &log)))).await;
        let failed: Vec<_> = results.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, false, true, false]);
        assert_eq!(names(&db).await, ["a", "b", "c"]);
        assert!(db.is_up());
    }

    #[tokio::test]
    async fn the_results_of_calls_go_first() {
        let (db, log) = (database().await, Log::default());
        let ordinary = db.execute(insert("ordinary", &log));
        let (one, other) = tokio::join!(ordinary, db.execute(Urgent(Arc::clone(&log))));
        one.unwrap();
        other.unwrap();
        assert_eq!(*log.lock().unwrap(), [["urgent"], ["ordinary"]]);
    }

    #[tokio::test]
    async fn a_command_whose_caller_leaves_in_time_is_not_executed() {
        let (db, log) = (database().await, Log::default());
        assert!(db.execute(insert("left", &log)).now_or_never().is_none());
        db.execute(insert("stays", &log)).await.unwrap();
        assert_eq!(names(&db).await, ["stays"]);
    }

    /// Fails neither by its values nor by the connection.
    struct Fails;

    impl Command for Fails {
        type Output = ();

        async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
            Err(sqlx::Error::RowNotFound.into())
        }
    }

    #[tokio::test]
    async fn a_command_that_fails_for_any_reason_of_its_own_harms_no_other() {
        let (db, log) = (database().await, Log::default());
        let (one, failed, other) = tokio::join!(
            db.execute(insert("one", &log)),
            db.execute(Fails),
            db.execute(insert("other", &log)),
        );
        one.unwrap();
        other.unwrap();
        assert!(failed.is_err());
        assert!(db.is_up());
    }

    struct Panics;

    impl Command for Panics {
        type Output = ();

        async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
            unreachable!("a defect, for the test")
        }
    }

    #[tokio::test]
    async fn a_command_that_panics_does_not_end_the_writer() {
        let (db, log) = (database().await, Log::default());
        let failed = db.execute(Panics).await;
        assert!(failed.is_err());
        db.execute(insert("next", &log)).await.unwrap();
        assert_eq!(names(&db).await, ["next"]);
    }

    #[tokio::test]
    async fn what_waits_at_the_end_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("x.db").display());
        let upstream = crate::db::UpstreamIdentity::of_host("test");
        let url = secrecy::SecretString::from(url);
        let open = || Database::open(&url, "wxtest", &upstream, Arc::new(SystemClock));
        let (db, log) = (open().await.unwrap(), Log::default());
        let (written, ()) = tokio::join!(db.execute(insert("last", &log)), db.close());
        written.unwrap();
        assert!(db.execute(insert("late", &log)).await.is_err());
        assert_eq!(names(&open().await.unwrap()).await, ["last"]);
    }
}
