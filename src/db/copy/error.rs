//! Why nothing was copied.

use std::fmt;

use crate::db::driver_error;
use crate::db::new_file::NewFileError;
use crate::db::open_error::OpenError;
use crate::telemetry::Causes;

/// One of the two databases of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopySide {
    /// Which is read.
    From,
    /// Which is written.
    To,
}

impl fmt::Display for CopySide {
    /// Writes the flag by which the command names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::From => "--from",
            Self::To => "--to",
        })
    }
}

/// Why nothing was copied. No message holds a database's URL.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A database in memory belongs to its process.
    #[error("{0}: a database in memory belongs to its process, and cannot be copied")]
    InMemory(CopySide),
    #[error(
        "--from: there is no database of this service; check the address and the working directory"
    )]
    NoSource,
    /// The tables are older than this version.
    #[error(
        "--from: its tables are of an older version; start this version's service on it once, which brings them up to date, and stop it"
    )]
    Outdated,
    /// The tables are newer than this version.
    #[error("--from: its tables are of a newer version; use that version's wxqr copy")]
    Newer,
    /// Codes that were created during the copy would be missing in it.
    #[error(
        "--from: a service uses it; stop the service, so that nothing is created that the copy lacks"
    )]
    InUse,
    /// The same with PostgreSQL, where it is seen by connections.
    #[error(
        "--from: it has {0} other connections; stop the service and close the other clients, and name the server itself, not a pooler"
    )]
    OtherConnections(i64),
    /// Both addresses lead to one database of PostgreSQL.
    #[error("--to: it is the database that --from names; name an empty database")]
    SameDatabase,
    /// Another process holds a lock that the copy needs.
    #[error(
        "{0}: another process has locked it, such as a service that starts or another copy; end that one, then copy again"
    )]
    Locked(CopySide),
    #[error("--to: it holds tables; name an empty database")]
    NotEmpty,
    /// One of the databases cannot be used.
    #[error("{}", in_the_words_of(*.side, .refusal))]
    Open { side: CopySide, refusal: OpenError },
    /// The new file of SQLite cannot be written.
    #[error("--to: {0}")]
    Target(#[source] NewFileError),
    /// The two databases do not have the same tables and columns.
    #[error("the databases do not have the same tables: --from was changed by hand")]
    OtherTables,
    #[error("--from cannot be read")]
    Read(#[source] sqlx::Error),
    #[error("--to cannot be written; it is left empty")]
    Write(#[source] sqlx::Error),
    /// The target does not hold what was read.
    #[error("--to does not hold what was read of the table {0}; it is left empty")]
    Differs(String),
}

impl CopyError {
    /// The refusal to open one of the databases, which knows what to do.
    pub fn refusal(&self) -> Option<&OpenError> {
        match self {
            Self::Open { refusal, .. } => Some(refusal),
            _ => None,
        }
    }
}

/// The refusal with its causes. Its message names the setting, and here the address comes from a
/// flag.
fn in_the_words_of(side: CopySide, refusal: &OpenError) -> String {
    Causes(refusal)
        .to_string()
        .replace("WXQR_DATABASE_URL", &side.to_string())
}

pub(super) fn reading(error: sqlx::Error) -> CopyError {
    if driver_error::is_lock_timeout(&error) {
        return CopyError::Locked(CopySide::From);
    }
    CopyError::Read(driver_error::without_source_line(error))
}

pub(super) fn writing(error: sqlx::Error) -> CopyError {
    if driver_error::is_lock_timeout(&error) {
        return CopyError::Locked(CopySide::To);
    }
    CopyError::Write(driver_error::without_source_line(error))
}

/// Wraps the refusal to open one side.
pub(super) fn opening(side: CopySide) -> impl Fn(OpenError) -> CopyError {
    move |refusal| CopyError::Open { side, refusal }
}
