//! What an error of the driver means: for the whole database, or for one call.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

/// Drops what PostgreSQL's driver adds to the server's message: "at line 948", a line of the
/// server's own sources.
pub(super) fn without_source_line(error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Database(error) if error.try_downcast_ref::<PgDatabaseError>().is_some() => {
            sqlx::Error::Database(Box::new(MessageOnly(error)))
        }
        other => other,
    }
}

/// A database's error whose text is its message.
#[derive(Debug)]
struct MessageOnly(Box<dyn DatabaseError>);

impl fmt::Display for MessageOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.message())
    }
}

impl Error for MessageOnly {}

impl DatabaseError for MessageOnly {
    fn message(&self) -> &str {
        self.0.message()
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.code()
    }

    fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.0.as_error()
    }

    fn as_error_mut(&mut self) -> &mut (dyn Error + Send + Sync + 'static) {
        self.0.as_error_mut()
    }

    fn into_error(self: Box<Self>) -> Box<dyn Error + Send + Sync + 'static> {
        self.0.into_error()
    }

    fn kind(&self) -> ErrorKind {
        self.0.kind()
    }
}

/// Whether the database is of no use to any call now. Otherwise it refused one call, such as after
/// too long a wait for a lock, and others go on.
pub(super) fn is_connection_error(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            DriverErrorCode::of(&**error).is_some_and(|code| code.is_connection_error())
        }
        sqlx::Error::Configuration(_)
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// Whether the database refused a value: one that does not fit its column or breaks a constraint.
pub(super) fn is_data_error(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DriverErrorCode::of);
    match code {
        Some(DriverErrorCode::Sqlite(code)) => {
            matches!(code, sqlite::TOOBIG | sqlite::CONSTRAINT | sqlite::MISMATCH)
        }
        // Data exceptions, and violated constraints.
        Some(DriverErrorCode::Postgres(state)) => {
            state.starts_with("22") || state.starts_with("23")
        }
        None => false,
    }
}

/// Whether a lock was not acquired in time.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DriverErrorCode::of);
    match code {
        Some(DriverErrorCode::Sqlite(code)) => matches!(code, sqlite::BUSY | sqlite::LOCKED),
        Some(DriverErrorCode::Postgres(state)) => state == LOCK_NOT_AVAILABLE,
        None => false,
    }
}

/// PostgreSQL's SQLSTATE after `lock_timeout` (its appendix A).
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Whether the file is damaged, or no database.
pub(super) fn is_damage(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(DriverErrorCode::of);
    matches!(
        code,
        Some(DriverErrorCode::Sqlite(sqlite::CORRUPT | sqlite::NOTADB))
    )
}

/// Whether SQLite cannot open the file or write to it, which another try does not change.
pub(super) fn is_file_error(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else {
        return false;
    };
    // Of the parameter `vfs`; its code is that of all mistakes in a statement.
    let is_url_error = error.message().starts_with("no such vfs");
    is_url_error
        || matches!(
            DriverErrorCode::of(error),
            Some(DriverErrorCode::Sqlite(
                sqlite::PERM | sqlite::READONLY | sqlite::CANTOPEN | sqlite::AUTH
            ))
        )
}

/// How a database names an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DriverErrorCode<'a> {
    /// A primary result code.
    Sqlite(u32),
    /// An SQLSTATE of five characters, of which the first two are its class.
    Postgres(Cow<'a, str>),
}

/// SQLite's primary result codes (sqlite.org/rescode.html).
mod sqlite {
    pub(super) const PERM: u32 = 3;
    pub(super) const BUSY: u32 = 5;
    pub(super) const LOCKED: u32 = 6;
    pub(super) const READONLY: u32 = 8;
    pub(super) const IOERR: u32 = 10;
    pub(super) const CORRUPT: u32 = 11;
    pub(super) const FULL: u32 = 13;
    pub(super) const CANTOPEN: u32 = 14;
    pub(super) const TOOBIG: u32 = 18;
    pub(super) const CONSTRAINT: u32 = 19;
    pub(super) const MISMATCH: u32 = 20;
    pub(super) const AUTH: u32 = 23;
    pub(super) const NOTADB: u32 = 26;
}

impl<'a> DriverErrorCode<'a> {
    pub(super) fn of(error: &'a dyn DatabaseError) -> Option<Self> {
        let code = error.code()?;
        if error.try_downcast_ref::<SqliteError>().is_none() {
            return Some(Self::Postgres(code));
        }
        // More exact codes have the primary one in their lowest byte.
        let exact: u32 = code.parse().ok()?;
        Some(Self::Sqlite(exact & 0xff))
    }

    fn is_connection_error(&self) -> bool {
        match self {
            Self::Sqlite(code) => matches!(
                *code,
                sqlite::READONLY
                    | sqlite::IOERR
                    | sqlite::CORRUPT
                    | sqlite::FULL
                    | sqlite::CANTOPEN
                    | sqlite::NOTADB
            ),
            // PostgreSQL's appendix A. The classes: no connection, no permission to connect, no
            // resources, which a full disk is too, and trouble below the server. Then a read-only
            // server, no such database, shutting down, crashed, starting, and damaged data.
            Self::Postgres(code) => {
                matches!(code.get(..2), Some("08" | "28" | "53" | "58"))
                    || matches!(
                        &**code,
                        "25006"
                            | "3D000"
                            | "57P01"
                            | "57P02"
                            | "57P03"
                            | "57P04"
                            | "XX001"
                            | "XX002"
                    )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_or_a_bad_value_is_no_connection_error() {
        for (code, what) in [
            (5, "busy"),
            (6, "locked"),
            (9, "interrupted"),
            (19, "a constraint"),
            (1, "an error in the statement"),
        ] {
            assert!(
                !DriverErrorCode::Sqlite(code).is_connection_error(),
                "{what}"
            );
        }
        for (code, what) in [
            ("55P03", "a lock timeout"),
            ("57014", "a statement timeout"),
            ("25P03", "idle in a transaction"),
            ("40001", "a serialization failure"),
            ("40P01", "a deadlock"),
            ("23505", "a constraint"),
            ("22021", "a character that it does not take"),
            ("42P01", "no such table"),
        ] {
            assert!(
                !DriverErrorCode::Postgres(code.into()).is_connection_error(),
                "{what}"
            );
        }
        for error in [
            sqlx::Error::RowNotFound,
            sqlx::Error::ColumnNotFound("ticket".to_owned()),
            sqlx::Error::Decode("not a number".into()),
            sqlx::Error::BeginFailed,
        ] {
            assert!(!is_connection_error(&error), "{error}");
        }
    }

    #[test]
    fn no_connection_a_full_disk_and_damage_are_connection_errors() {
        for (code, what) in [
            (8, "read-only"),
            (10, "input or output"),
            (11, "damaged"),
            (13, "a full disk"),
            (14, "cannot be opened"),
            (26, "no database"),
        ] {
            assert!(
                DriverErrorCode::Sqlite(code).is_connection_error(),
                "{what}"
            );
        }
        for (code, what) in [
            ("08006", "the connection failed"),
            ("57P01", "shutting down"),
            ("57P02", "crashed"),
            ("57P03", "starting"),
            ("53100", "a full disk"),
            ("53300", "too many connections"),
            ("25006", "read-only"),
            ("28P01", "a wrong password"),
            ("3D000", "no such database"),
            ("58030", "input or output"),
            ("XX001", "damaged"),
        ] {
            assert!(
                DriverErrorCode::Postgres(code.into()).is_connection_error(),
                "{what}"
            );
        }
        for error in [
            sqlx::Error::PoolTimedOut,
            sqlx::Error::WorkerCrashed,
            sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into()),
            sqlx::Error::Tls("no certificate".into()),
        ] {
            assert!(is_connection_error(&error), "{error}");
        }
    }
}
