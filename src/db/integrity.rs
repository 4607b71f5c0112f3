//! Integrity check of SQLite's file, beside the service: a start does not wait for it.
//!
//! It reads every page, which takes seconds for each gigabyte. Each table is checked in a
//! transaction of its own, so that the write-ahead log can be truncated after each. It has a
//! connection of its own, outside the pool.

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tokio_util::sync::CancellationToken;

use super::driver_error;
use super::error::Error;
use super::literals::quoted_name;
use super::url::DatabaseUrl;

/// How many pages or steps are checked between two polls of whether the check is cancelled. Chosen:
/// a disk reads so many pages in a moment.
const STEPS_BETWEEN_POLLS: i32 = 100;

/// Damage of SQLite's file, in SQLite's words, which name tables, indexes and pages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the file is damaged: {0}")]
pub struct Damage(String);

impl Damage {
    /// What the owner can do about it.
    pub const ACTION: &str = "stop the service and restore a backup; without one, keep a copy of the file before anything is repaired";

    /// Takes the first line of a report, after the headings.
    fn of_report(report: &str) -> Self {
        let line = report.lines().find(|line| !line.starts_with("***"));
        Self(line.unwrap_or(report).to_owned())
    }
}

/// Checks a file for damage.
#[derive(Debug)]
pub(super) struct IntegrityCheck {
    /// Opens the file without writing to it.
    url: String,
}

impl IntegrityCheck {
    /// Creates a check of SQLite's file; none for other databases.
    pub(super) fn new(url: &DatabaseUrl) -> Option<Self> {
        let url = url.read_only()?;
        Some(Self { url })
    }

    /// Returns the first damage; none also once `stop` is cancelled, which ends the check soon. Not
    /// cancel safe: where the caller leaves, a table is still checked to its end.
    pub(super) async fn run(&self, stop: &CancellationToken) -> Result<Option<Damage>, Error> {
        match self.find_damage(stop).await {
            Err(_) if stop.is_cancelled() => Ok(None),
            Err(error) if driver_error::is_damage(&error) => Ok(Some(Damage(error.to_string()))),
            result => Ok(result?),
        }
    }

    async fn find_damage(&self, stop: &CancellationToken) -> Result<Option<Damage>, sqlx::Error> {
        let options: SqliteConnectOptions = self.url.parse()?;
        let mut connection = options.connect().await?;
        let stopped = stop.clone();
        connection
            .lock_handle()
            .await?
            .set_progress_handler(STEPS_BETWEEN_POLLS, move || !stopped.is_cancelled());
        let damage = first_damage(&mut connection, stop).await;
        // The connection that closes last brings the file up to date; this one cannot write.
        connection.close().await?;
        damage
    }
}

async fn first_damage(
    connection: &mut SqliteConnection,
    stop: &CancellationToken,
) -> Result<Option<Damage>, sqlx::Error> {
    for table in tables(connection).await? {
        if stop.is_cancelled() {
            return Ok(None);
        }
        let check = format!("PRAGMA quick_check({})", quoted_name(&table));
        let found = connection.fetch_one(AssertSqlSafe(check)).await?;
        let found: String = found.try_get(0)?;
        if found != "ok" {
            return Ok(Some(Damage::of_report(&found)));
        }
    }
    Ok(None)
}

/// Lists the tables, first the table of tables, with which SQLite checks the list of free pages
/// too.
async fn tables(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    let tables =
        "SELECT 'sqlite_schema' UNION ALL SELECT name FROM sqlite_schema WHERE type = 'table'";
    let rows = connection.fetch_all(tables).await?;
    rows.iter().map(|row| row.try_get(0)).collect()
}
