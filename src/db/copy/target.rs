//! The database that a copy becomes: empty before, and after a copy that fails.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::{Any, AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Transaction};

use super::error::{CopyError, CopySide, opening, writing};
use super::source::{LOCAL_TIMEOUTS, connect_to};
use crate::db::files::FileProblem;
use crate::db::new_file::{NewFile, NewFileError};
use crate::db::open_error::OpenError;
use crate::db::opening::{self, FORGET_STATEMENTS, MIGRATION_LOCK, has_tables, migrate};
use crate::db::transaction::{BEGIN_WRITE, SYNC_COMMITS};
use crate::db::url::{DatabaseUrl, Dialect};

/// What a path has as it is in an address.
const IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_');

/// A file that fails is removed, so that SQLite needs no journal for it and no sync.
const UNSAFE_AND_FAST: &str =
    "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536";

/// A database on a server, or a file that gets its name at the end.
pub(super) struct Target<'a> {
    url: &'a DatabaseUrl,
    file: Option<NewFile>,
}

impl<'a> Target<'a> {
    pub(super) fn new(url: &'a DatabaseUrl) -> Result<Self, CopyError> {
        if url.is_memory() {
            return Err(CopyError::InMemory(CopySide::To));
        }
        let Some(file) = url.file() else {
            return Ok(Self { url, file: None });
        };
        let new = NewFile::begin(&file.path).map_err(|error| match error {
            NewFileError::Exists(_) => CopyError::Target(error),
            NewFileError::Unwritable { .. } => match FileProblem::find(file) {
                Some(problem) => opening(CopySide::To)(OpenError::File(problem)),
                None => CopyError::Target(error),
            },
        });
        let file = Some(new?);
        Ok(Self { url, file })
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.url.dialect()
    }

    pub(super) async fn connect(&self) -> Result<AnyConnection, CopyError> {
        let Some(file) = &self.file else {
            return connect_to(self.url, self.url.url(), CopySide::To).await;
        };
        let path = file.path().map_err(CopyError::Target)?;
        let path = utf8_percent_encode(path, IN_A_PATH);
        let address = format!("sqlite://{path}?mode=rw");
        let mut connection = connect_to(self.url, &address, CopySide::To).await?;
        connection.execute(UNSAFE_AND_FAST).await.map_err(writing)?;
        Ok(connection)
    }

    /// Begins the one transaction of the copy, and creates the tables in it.
    ///
    /// # Errors
    /// [`CopyError::NotEmpty`] where there is a table already.
    pub(super) async fn begin<'c>(
        &self,
        connection: &'c mut AnyConnection,
    ) -> Result<Transaction<'c, Any>, CopyError> {
        let begin = AssertSqlSafe(begin_statement(self.dialect()));
        let mut write = connection.begin_with(begin).await.map_err(writing)?;
        match has_tables(&mut write, self.dialect()).await {
            Ok(false) => {}
            Ok(true) | Err(OpenError::Foreign) => return Err(CopyError::NotEmpty),
            Err(error) => return Err(opening(CopySide::To)(error)),
        }
        let refused = |error: OpenError| opening(CopySide::To)(error.or_permanent(self.url));
        migrate(&mut write).await.map_err(refused)?;
        Ok(write)
    }

    pub(super) async fn commit(&self, mut write: Transaction<'_, Any>) -> Result<(), CopyError> {
        if self.dialect() == Dialect::Postgres {
            write.execute(FORGET_STATEMENTS).await.map_err(writing)?;
        }
        write.commit().await.map_err(writing)
    }

    /// Gives a file its name.
    pub(super) fn publish(self) -> Result<(), CopyError> {
        match self.file {
            Some(file) => file.publish().map(drop).map_err(CopyError::Target),
            None => Ok(()),
        }
    }
}

/// Builds the statement that begins the copy. A service that starts meanwhile waits for its lock;
/// so does this for one that is starting, but not for long.
fn begin_statement(dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => opening::begin(dialect),
        Dialect::Postgres => format!(
            "{BEGIN_WRITE}; {SYNC_COMMITS}; {FORGET_STATEMENTS}; {LOCAL_TIMEOUTS};
             SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
        ),
    }
}
