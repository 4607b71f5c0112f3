//! The database that is copied: one snapshot of it, that no service uses.

use std::time::Duration;

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions as _, Executor as _, Row as _};
use tokio::time::Instant;

use super::error::{CopyError, CopySide, opening, reading};
use crate::db::files::{self, FileProblem};
use crate::db::open_error::{OpenError, classify};
use crate::db::opening::{MIGRATION_LOCK, connect, has_tables};
use crate::db::schema::Versions;
use crate::db::url::{DatabaseUrl, Dialect};

/// PostgreSQL's timeouts in the transactions of the source and of the target. Some copies take
/// longer than a server lets its clients take. A lock is waited for a while, so that a service
/// which is starting can finish.
pub(super) const LOCAL_TIMEOUTS: &str = "SET LOCAL statement_timeout = 0;
     SET LOCAL idle_in_transaction_session_timeout = 0;
     SET LOCAL lock_timeout = '5s'";

/// How long a service that was just stopped may take to be gone from PostgreSQL's connections.
const GONE_WITHIN: Duration = Duration::from_secs(3);

/// The pause between two polls of the connections.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Opens the database without changing it.
///
/// # Errors
/// [`CopyError`], also while a process has SQLite's file open.
pub(super) async fn open(url: &DatabaseUrl) -> Result<AnyConnection, CopyError> {
    check_file(url)?;
    let read_only = url.read_only().unwrap_or_else(|| url.url().to_owned());
    let mut connection = connect_to(url, &read_only, CopySide::From).await?;
    let refused = |error: OpenError| opening(CopySide::From)(error.or_permanent(url));
    if !has_tables(&mut connection, url.dialect())
        .await
        .map_err(refused)?
    {
        return Err(CopyError::NoSource);
    }
    check_version(&mut connection).await?;
    Ok(connection)
}

/// Begins the transaction whose snapshot is read. It ends with the connection.
///
/// # Errors
/// [`CopyError`], also while other clients use PostgreSQL's database.
pub(super) async fn begin(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<(), CopyError> {
    if dialect == Dialect::Postgres {
        wait_until_alone(connection).await?;
    }
    let begin = AssertSqlSafe(begin_statement(dialect));
    connection.execute(begin).await.map_err(reading)?;
    Ok(())
}

/// Connects to one of the databases.
pub(super) async fn connect_to(
    url: &DatabaseUrl,
    address: &str,
    side: CopySide,
) -> Result<AnyConnection, CopyError> {
    let refused = |error: OpenError| opening(side)(error.or_permanent(url));
    let options: AnyConnectOptions = address.parse().map_err(classify).map_err(refused)?;
    // The driver logs a slow statement with its text.
    let options = options.disable_statement_logging();
    connect(&options).await.map_err(refused)
}

fn check_file(url: &DatabaseUrl) -> Result<(), CopyError> {
    if url.is_memory() {
        return Err(CopyError::InMemory(CopySide::From));
    }
    let Some(file) = url.file() else {
        return Ok(());
    };
    if let Some(problem) = FileProblem::find(file) {
        return Err(opening(CopySide::From)(OpenError::File(problem)));
    }
    if url.is_new_file() {
        return Err(CopyError::NoSource);
    }
    // What cannot be seen is no reason to refuse.
    if files::is_open_elsewhere(&file.path).unwrap_or(false) {
        return Err(CopyError::InUse);
    }
    Ok(())
}

async fn check_version(connection: &mut AnyConnection) -> Result<(), CopyError> {
    let versions = Versions::read(connection).await.map_err(reading)?;
    if versions.have_a_newer_one() {
        Err(CopyError::Newer)
    } else if versions.lack_one() {
        Err(CopyError::Outdated)
    } else {
        Ok(())
    }
}

/// Refuses a database that other clients use: a service keeps some connections open.
async fn wait_until_alone(connection: &mut AnyConnection) -> Result<(), CopyError> {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let others = other_connections(connection).await.map_err(reading)?;
        if others == 0 {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(CopyError::OtherConnections(others));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Counts the clients of any role. Of other roles' connections a role without privileges does not
/// see the kind, but it sees that the server's own workers have no role.
async fn other_connections(connection: &mut AnyConnection) -> Result<i64, sqlx::Error> {
    connection
        .fetch_one(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()
               AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'",
        )
        .await?
        .try_get(0)
}

/// Builds the statement that begins the snapshot. A service on PostgreSQL that starts meanwhile
/// waits for its lock, the one of migrations.
fn begin_statement(dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => "BEGIN".to_owned(),
        Dialect::Postgres => format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {LOCAL_TIMEOUTS};
             SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
        ),
    }
}
