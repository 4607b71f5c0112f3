//! The state of a database, read without creating or changing anything.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AnyConnection, Connection, Executor, Row};

use super::database::Database;
use super::files::FileProblem;
use super::open_error::{OpenError, classify};
use super::opening::{MIGRATIONS, connect, has_tables, install_drivers};
use super::url::{DatabaseUrl, Dialect};

/// Version of the tables against this program's: missing, outdated or current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// No tables: opening creates them, and the file.
    Missing,
    /// Tables of an older version: opening migrates them, and the older version cannot be started
    /// again.
    Outdated,
    /// Up to date, or such that opening will refuse it; it changes neither.
    Current,
}

impl Database {
    /// Reads the state of the database at a URL. One in memory is always current. Cancel safe.
    ///
    /// # Errors
    /// [`OpenError`], where it is certain that an opening would fail.
    pub async fn schema_state(url: &SecretString) -> Result<SchemaState, OpenError> {
        install_drivers();
        let url = DatabaseUrl::new(url.expose_secret());
        if url.is_memory() {
            return Ok(SchemaState::Current);
        }
        if let Some(problem) = url.file().and_then(FileProblem::find) {
            return Err(OpenError::File(problem));
        }
        if url.is_new_file() {
            return Ok(SchemaState::Missing);
        }
        let state = read_state(&url).await;
        state.map_err(|error| error.or_permanent(&url))
    }

    /// The name of the database system at a URL.
    pub fn system(url: &SecretString) -> &'static str {
        DatabaseUrl::new(url.expose_secret()).dialect().name()
    }
}

async fn read_state(url: &DatabaseUrl) -> Result<SchemaState, OpenError> {
    let read_only = url.read_only().unwrap_or(url.url().to_owned());
    let mut connection = connect(&read_only.parse().map_err(classify)?).await?;
    // A pooler that takes no transaction is found here already.
    let mut read = connection.begin().await.map_err(classify)?;
    let state = state(&mut read, url.dialect()).await?;
    read.rollback().await.map_err(classify)?;
    connection.close().await.map_err(classify)?;
    Ok(state)
}

async fn state(connection: &mut AnyConnection, dialect: Dialect) -> Result<SchemaState, OpenError> {
    if has_tables(connection, dialect).await? {
        return state_of_tables(connection).await.map_err(classify);
    }
    if dialect == Dialect::Postgres && !may_create_tables(connection).await.map_err(classify)? {
        return Err(OpenError::NotPermitted);
    }
    Ok(SchemaState::Missing)
}

async fn state_of_tables(connection: &mut AnyConnection) -> Result<SchemaState, sqlx::Error> {
    Ok(if Versions::read(connection).await?.lack_one() {
        SchemaState::Outdated
    } else {
        SchemaState::Current
    })
}

/// The versions of the migrations that a database has had.
pub(super) struct Versions(BTreeSet<i64>);

impl Versions {
    pub(super) async fn read(connection: &mut AnyConnection) -> Result<Self, sqlx::Error> {
        let rows = connection
            .fetch_all("SELECT version FROM _sqlx_migrations")
            .await?;
        let versions = rows.iter().map(|row| row.try_get("version"));
        versions.collect::<Result<_, _>>().map(Self)
    }

    /// Whether this program has a migration that is not among them.
    pub(super) fn lack_one(&self) -> bool {
        !MIGRATIONS
            .iter()
            .all(|migration| self.0.contains(&migration.version))
    }

    /// Whether one of them is of a newer program.
    pub(super) fn have_a_newer_one(&self) -> bool {
        !self
            .0
            .iter()
            .all(|version| MIGRATIONS.version_exists(*version))
    }
}

/// Whether the user may create tables: since PostgreSQL 15 not every one may.
async fn may_create_tables(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    connection
        .fetch_one("SELECT COALESCE(has_schema_privilege(current_schema(), 'CREATE'), FALSE)")
        .await?
        .try_get(0)
}
