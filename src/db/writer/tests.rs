use std::borrow::Cow;
use std::fmt;
#[cfg(target_os = "linux")]
use std::path::Path;
use std::sync::Mutex;

use futures_util::future::join_all;
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::{AnyConnection, Connection as _, Executor as _};

use super::*;
use crate::clock::SystemClock;
use crate::db::pool::BUSY_TIMEOUT_MS;
use crate::db::queues::FIRST_MAX_GROUP;
use crate::db::{Command, Database, Urgency};

/// What is executed, in order, by each call for commands of one type.
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
async fn commands_that_wait_are_executed_together() {
    let (db, log) = (database().await, Log::default());
    let all = (0..150).map(|n| db.execute(insert(&n.to_string(), &log)));
    let outputs = join_all(all).await;
    for (n, output) in outputs.into_iter().enumerate() {
        assert_eq!(output.unwrap(), n.to_string(), "each caller has its own");
    }
    let sizes: Vec<_> = log.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes.iter().sum::<usize>(), 150);
    assert_eq!(sizes[0], FIRST_MAX_GROUP, "{sizes:?}");
    // The sub-batches of groups of 16, 32, 64 and 38.
    assert!(sizes.len() <= 1 + 2 + 4 + 3, "{sizes:?}");
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

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_dropped_closes_its_connections() {
    let folder = tempfile::tempdir().unwrap();
    let (db, log) = (file_database(&folder).await, Log::default());
    db.execute(insert("one", &log)).await.unwrap();
    assert!(has_open_files(folder.path()));
    drop(db);
    while has_open_files(folder.path()) {
        tokio::task::yield_now().await;
    }
}

/// Whether this process has a file of a folder open.
#[cfg(target_os = "linux")]
fn has_open_files(folder: &Path) -> bool {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    let paths = open.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    paths.into_iter().any(|path| path.starts_with(folder))
}

#[tokio::test]
async fn a_command_that_fails_by_its_values_harms_no_other() {
    let (db, log) = (database().await, Log::default());
    let results = join_all(["a", "b", "a", "c"].map(|name| db.execute(insert(name, &log)))).await;
    let failed: Vec<_> = results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, false, true, false]);
    assert_eq!(names(&db).await, ["a", "b", "c"]);
    assert!(db.is_up());
}

#[tokio::test]
async fn a_command_that_fails_behind_the_first_sub_batch_harms_no_other() {
    let (db, log) = (database().await, Log::default());
    let insert_all = |names: Vec<usize>| {
        let inserts = names.into_iter().map(|n| insert(&n.to_string(), &log));
        join_all(inserts.map(|insert| db.execute(insert)))
    };
    // After it a group may have 32 commands.
    insert_all((0..FIRST_MAX_GROUP).collect()).await;
    let last = 2 * FIRST_MAX_GROUP - 1;
    let results = insert_all((FIRST_MAX_GROUP..last).chain([FIRST_MAX_GROUP]).collect()).await;
    let failed: Vec<_> = results.iter().map(Result::is_err).collect();
    assert_eq!(
        failed.iter().position(|failed| *failed),
        Some(failed.len() - 1)
    );
    assert_eq!(names(&db).await.len(), last);
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
async fn a_command_that_panics_harms_no_other() {
    let (db, log) = (database().await, Log::default());
    let (one, failed, other) = tokio::join!(
        db.execute(insert("one", &log)),
        db.execute(Panics),
        db.execute(insert("other", &log)),
    );
    one.unwrap();
    other.unwrap();
    assert!(failed.is_err());
}

/// Panics after its commit, as a wrong number of outputs does.
struct WrongOutputs(Log);

impl BatchCommand for WrongOutputs {
    type Output = ();

    async fn execute_all(commands: &[Self], _: &mut Transaction<'_>) -> Result<Vec<()>, Error> {
        commands[0].0.lock().unwrap().push(vec!["wrong".to_owned()]);
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn nothing_is_executed_again_after_a_panic_behind_the_commit() {
    let (db, log) = (database().await, Log::default());
    let (wrong, other) = tokio::join!(
        db.execute(WrongOutputs(Arc::clone(&log))),
        db.execute(insert("one", &log)),
    );
    assert!(wrong.is_err() && other.is_err());
    db.execute(insert("next", &log)).await.unwrap();
    let executed = log.lock().unwrap().concat();
    assert_eq!(executed, ["wrong", "one", "next"]);
    assert_eq!(names(&db).await, ["next", "one"]);
}

/// PostgreSQL's error after too long a wait for a lock.
#[derive(Debug)]
struct LockNotAvailable;

impl fmt::Display for LockNotAvailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl std::error::Error for LockNotAvailable {}

impl DatabaseError for LockNotAvailable {
    fn message(&self) -> &'static str {
        "canceling statement due to lock timeout"
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        Some("55P03".into())
    }

    fn as_error(&self) -> &(dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn std::error::Error + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn std::error::Error + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// Writes a row; the first one is locked by an operator.
struct Update(usize, Log);

impl BatchCommand for Update {
    type Output = ();

    async fn execute_all(commands: &[Self], write: &mut Transaction<'_>) -> Result<Vec<()>, Error> {
        write.flush().await?;
        let rows = commands.iter().map(|update| update.0.to_string());
        commands[0].1.lock().unwrap().push(rows.collect());
        if commands.iter().any(|update| update.0 == 0) {
            return Err(sqlx::Error::Database(Box::new(LockNotAvailable)).into());
        }
        Ok(vec![(); commands.len()])
    }
}

#[tokio::test]
async fn after_a_lock_timeout_a_group_is_executed_one_by_one() {
    let (db, log) = (database().await, Log::default());
    let all = (0..16).map(|row| db.execute(Update(row, Arc::clone(&log))));
    let failed = join_all(all).await;
    let failed = failed.iter().position(Result::is_err);
    assert_eq!(failed, Some(0));
    let sizes: Vec<_> = log.lock().unwrap().iter().map(Vec::len).collect();
    assert_eq!(sizes, [[16].as_slice(), &[1; 16]].concat(), "one wait more");
    assert!(db.is_up());
}

/// Finds the lock of all writers taken, so often.
struct FindsLockTaken(Mutex<u32>);

impl Command for FindsLockTaken {
    type Output = ();

    async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
        let mut times = self.0.lock().unwrap();
        if *times == 0 {
            return Ok(());
        }
        *times -= 1;
        Err(sqlx::Error::Database(Box::new(LockNotAvailable)).into())
    }
}

#[tokio::test]
async fn a_command_alone_waits_again_for_the_lock_with_which_it_begins() {
    let db = database().await;
    let execute = async |times| db.execute(FindsLockTaken(Mutex::new(times))).await;
    execute(MAX_BEGINS - 1).await.unwrap();
    execute(MAX_BEGINS).await.unwrap_err();
    assert!(db.is_up());
}

/// Leaves all to the commit.
struct WritesAtCommit;

impl Command for WritesAtCommit {
    type Output = ();

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        let name = sqlx::query("INSERT INTO about (name, value) VALUES ('late', '')");
        write.execute_later(name).await
    }
}

#[tokio::test]
async fn a_commit_with_which_a_transaction_begins_waits_again_for_the_lock_too() {
    let folder = tempfile::tempdir().unwrap();
    let db = file_database(&folder).await;
    let url = format!("sqlite://{}", folder.path().join("x.db").display());
    let mut theirs = AnyConnection::connect(&url).await.unwrap();
    theirs.execute("BEGIN IMMEDIATE").await.unwrap();
    let started = Instant::now();
    db.execute(WritesAtCommit).await.unwrap_err();
    let once = Duration::from_millis(BUSY_TIMEOUT_MS.into());
    assert!(started.elapsed() >= once * (MAX_BEGINS - 1));
    assert!(db.is_up());
    theirs.close().await.unwrap();
    db.execute(WritesAtCommit).await.unwrap();
    assert_eq!(names(&db).await, ["late"]);
}

/// Leaves to the commit a statement that fails.
struct FailsAtCommit;

impl Command for FailsAtCommit {
    type Output = ();

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        for _ in 0..2 {
            let same = sqlx::query("INSERT INTO about (name, value) VALUES ('same', '')");
            write.execute_later(same).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_fails_with_the_commit_is_rolled_back() {
    let (folder, log) = (tempfile::tempdir().unwrap(), Log::default());
    for db in [database().await, file_database(&folder).await] {
        db.execute(FailsAtCommit).await.unwrap_err();
        assert!(names(&db).await.is_empty());
        db.execute(insert("next", &log)).await.unwrap();
        assert_eq!(names(&db).await, ["next"]);
    }
}

async fn file_database(folder: &tempfile::TempDir) -> Database {
    let url = format!("sqlite://{}", folder.path().join("x.db").display());
    let upstream = crate::db::UpstreamIdentity::of_host("test");
    let opened = Database::open(&url.into(), "wxtest", &upstream, Arc::new(SystemClock)).await;
    opened.unwrap()
}

/// Reads how its connection syncs its commit.
struct ReadsSync<const SYNCED: bool>;

const NORMAL: i64 = 1;
const FULL: i64 = 2;

impl<const SYNCED: bool> Command for ReadsSync<SYNCED> {
    type Output = i64;

    const IS_SYNCED: bool = SYNCED;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<i64, Error> {
        let sync = sqlx::query_scalar("PRAGMA synchronous");
        Ok(sync.fetch_one(write).await?)
    }
}

#[tokio::test]
async fn a_commit_is_on_the_disk_before_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let db = file_database(&folder).await;
    assert_eq!(db.execute(ReadsSync::<true>).await.unwrap(), FULL);
    // A new connection after a failure.
    db.execute(Fails).await.unwrap_err();
    assert_eq!(db.execute(ReadsSync::<true>).await.unwrap(), FULL);
}

/// Fails in a transaction whose commit would not wait for the disk.
struct FailsUnsynced;

impl Command for FailsUnsynced {
    type Output = ();

    const IS_SYNCED: bool = false;

    async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
        Err(sqlx::Error::RowNotFound.into())
    }
}

#[tokio::test]
async fn a_failure_without_a_sync_leaves_later_commits_synced() {
    let folder = tempfile::tempdir().unwrap();
    let db = file_database(&folder).await;
    for _ in 0..2 {
        db.execute(FailsUnsynced).await.unwrap_err();
        assert_eq!(db.execute(ReadsSync::<true>).await.unwrap(), FULL);
        assert_eq!(db.execute(ReadsSync::<false>).await.unwrap(), NORMAL);
    }
}

#[tokio::test]
async fn one_command_that_is_synced_has_its_group_synced() {
    let folder = tempfile::tempdir().unwrap();
    let db = file_database(&folder).await;
    for _ in 0..2 {
        assert_eq!(db.execute(ReadsSync::<false>).await.unwrap(), NORMAL);
        let (unsynced, synced) = tokio::join!(
            db.execute(ReadsSync::<false>),
            db.execute(ReadsSync::<true>)
        );
        assert_eq!((unsynced.unwrap(), synced.unwrap()), (FULL, FULL));
    }
}

/// Never ends.
struct Hangs(Log);

impl Command for Hangs {
    type Output = ();

    async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
        self.0.lock().unwrap().push(vec!["hangs".to_owned()]);
        std::future::pending().await
    }
}

#[tokio::test]
async fn what_waits_is_refused_once_the_database_is_down() {
    let (db, log) = (database().await, Log::default());
    let ordinary = async {
        while log.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        db.execute(insert("one", &log)).await
    };
    let (hung, refused) = tokio::join!(db.execute(Hangs(Arc::clone(&log))), ordinary);
    assert!(matches!(hung, Err(Error::Timeout)), "{hung:?}");
    assert!(matches!(refused, Err(Error::Timeout)), "{refused:?}");
    assert_eq!(log.lock().unwrap().len(), 1, "it is not executed");
}

#[tokio::test]
async fn what_waits_at_the_end_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (db, log) = (file_database(&folder).await, Log::default());
    let (written, ()) = tokio::join!(db.execute(insert("last", &log)), db.close());
    written.unwrap();
    assert!(db.execute(insert("late", &log)).await.is_err());
    assert_eq!(names(&file_database(&folder).await).await, ["last"]);
}
