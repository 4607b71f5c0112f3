//! A copy of SQLite's file, made while the service uses it.
//!
//! `VACUUM INTO` reads one snapshot in one transaction, which other connections' writes do not wait
//! for, and writes only what is in use: a copy has none of the pages of deleted rows. SQLite's
//! online backup would start again after each write of another process.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tempfile::NamedTempFile;

use super::database::Database;
use super::files;
use super::open_error::OpenError;
use super::schema::SchemaState;
use super::url::{DatabaseUrl, Dialect};

/// Begins the name of a copy that is not finished. A killed process leaves one behind, which may be
/// removed.
const UNFINISHED_PREFIX: &str = ".wxqr-backup-";

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
    /// There is no database yet.
    #[error("there is no database at {}; check WXQR_DATABASE_URL and the working directory", .0.display())]
    NoSource(PathBuf),
    /// The database cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// Something is there already.
    #[error("{} exists, and nothing is written over; name another file", .0.display())]
    Exists(PathBuf),
    /// The copy cannot be written.
    #[error("{} cannot be written", path.display())]
    Target {
        /// The copy.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// SQLite fails while it copies.
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
        // Before all the work; what appears meanwhile is not written over either.
        if fs::symlink_metadata(target).is_ok() {
            return Err(BackupError::Exists(target.to_owned()));
        }
        let unfinished = tempfile::Builder::new()
            .prefix(UNFINISHED_PREFIX)
            .tempfile_in(files::folder_of(target));
        let unfinished = unfinished.map_err(|error| unwritable(target, error))?;
        write_copy(&source, unfinished.path()).await?;
        check(unfinished.path()).await?;
        publish(unfinished, target)
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

/// SQLite takes an empty file for the copy, as for a new one, and leaves its mode.
async fn write_copy(source: &str, copy: &Path) -> Result<(), BackupError> {
    let path = copy.to_str().ok_or_else(|| {
        let cause = "the name of its folder is not UTF-8";
        unwritable(copy, io::Error::new(io::ErrorKind::InvalidFilename, cause))
    })?;
    let options: SqliteConnectOptions = source.parse()?;
    let mut connection = options.connect().await?;
    sqlx::query("VACUUM INTO $1")
        .bind(path)
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}

async fn check(copy: &Path) -> Result<(), BackupError> {
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

/// Brings the copy to the disk, and gives it its name.
fn publish(unfinished: NamedTempFile, target: &Path) -> Result<u64, BackupError> {
    let failed = |error| unwritable(target, error);
    let file = unfinished.as_file();
    file.sync_all().map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    unfinished.persist_noclobber(target).map_err(|refused| {
        if refused.error.kind() == io::ErrorKind::AlreadyExists {
            BackupError::Exists(target.to_owned())
        } else {
            unwritable(target, refused.error)
        }
    })?;
    let folder = File::open(files::folder_of(target)).and_then(|folder| folder.sync_all());
    folder.map_err(failed)?;
    Ok(size)
}

fn unwritable(path: &Path, source: io::Error) -> BackupError {
    BackupError::Target {
        path: path.to_owned(),
        source,
    }
}
