//! A copy of SQLite's file, made while the service uses it.
//!
//! `VACUUM INTO` reads one snapshot in one transaction, which other connections' writes do not wait
//! for, and writes only what is in use: a copy has none of the pages of deleted rows. SQLite's
//! online backup would start again after each write of another process.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};

use super::database::Database;
use super::files;
use super::new_file::{NewFile, NewFileError};
use super::open_error::OpenError;
use super::schema::SchemaState;
use super::url::{DatabaseUrl, Dialect};

/// Why no copy was made. No message holds the database's URL.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// PostgreSQL has its own programs for copies.
    #[error(
        "WXQR_DATABASE_URL is PostgreSQL, which pg_dump copies: pg_dump --format=custom --file=FILE DATABASE"
    )]
    NotSqlite,
    /// A database in memory belongs to its process.
    #[error(
        "WXQR_DATABASE_URL is a database in memory, which ends with its process and cannot be copied"
    )]
    InMemory,
    #[error("there is no database at {}; check WXQR_DATABASE_URL and the working directory", .0.display())]
    NoSource(PathBuf),
    #[error(transparent)]
    Source(#[from] OpenError),
    #[error(transparent)]
    Target(#[from] NewFileError),
    #[error("the database cannot be copied")]
    Copy(#[from] sqlx::Error),
    /// The copy does not pass SQLite's integrity check.
    #[error("the copy is damaged, and was removed: {0}; run wxqr doctor, and check the disk")]
    Damaged(String),
}

impl Database {
    /// Copies SQLite's file to a new file of mode 0600, and checks the copy, which holds everything
    /// that was committed before the call. Returns its size in bytes.
    ///
    /// Cancel safe: the file appears once it is whole, checked and synced, or not at all.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn back_up(url: &SecretString, target: &Path) -> Result<u64, BackupError> {
        let source = source(url).await?;
        let copy = NewFile::begin(target)?;
        write_copy(&source, copy.path()?).await?;
        check(copy.path()?).await?;
        Ok(copy.publish()?)
    }
}

/// The database as a URL that opens it without writing to it.
async fn source(url: &SecretString) -> Result<String, BackupError> {
    let parsed = DatabaseUrl::new(url.expose_secret());
    if parsed.dialect() == Dialect::Postgres {
        return Err(BackupError::NotSqlite);
    }
    let (Some(file), Some(read_only)) = (parsed.file(), parsed.read_only()) else {
        return Err(BackupError::InMemory);
    };
    match Database::schema_state(url).await? {
        SchemaState::Missing => Err(BackupError::NoSource(files::absolute(&file.path))),
        SchemaState::Outdated | SchemaState::Current => Ok(read_only),
    }
}

/// Copies the database into an empty file, which SQLite takes like a new one, and whose mode it
/// leaves.
async fn write_copy(source: &str, copy: &str) -> Result<(), BackupError> {
    let options: SqliteConnectOptions = source.parse()?;
    let mut connection = options.connect().await?;
    sqlx::query("VACUUM INTO $1")
        .bind(copy)
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}

async fn check(copy: &str) -> Result<(), BackupError> {
    let options = SqliteConnectOptions::new().filename(copy).immutable(true);
    let mut connection: SqliteConnection = options.read_only(true).connect().await?;
    let found: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    if found == "ok" {
        Ok(())
    } else {
        Err(BackupError::Damaged(found))
    }
}
