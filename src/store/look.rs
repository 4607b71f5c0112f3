//! What there is at an address, found out without making or changing anything.

use std::collections::BTreeSet;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AnyConnection, Connection, Executor, Row};

use super::files::FileProblem;
use super::opening::{MIGRATIONS, classify, connect, has_tables, install_drivers};
use super::place::{Dialect, Place};
use super::{OpenError, Store};

/// What an opening of a store will find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet: it makes the tables, and the file.
    Absent,
    /// The tables of an older version: it brings them up to date, and the older version cannot be started again.
    Older,
    /// A store as it should be, or one that will be refused; it changes neither.
    Ready,
}

impl Store {
    /// Looks at what is at an address. A database in memory is always ready. Cancel safe.
    ///
    /// # Errors
    /// [`OpenError`], where it is certain that an opening would fail.
    pub async fn look(url: &SecretString) -> Result<Standing, OpenError> {
        install_drivers();
        let place = Place::of(url.expose_secret());
        if place.is_memory() {
            return Ok(Standing::Ready);
        }
        if let Some(problem) = place.file().and_then(FileProblem::find) {
            return Err(OpenError::File(problem));
        }
        if place.is_new_file() {
            return Ok(Standing::Absent);
        }
        let looked = look_at(&place).await;
        looked.map_err(|error| error.or_for_good(&place))
    }

    /// The name of the database behind an address.
    pub fn database(url: &SecretString) -> &'static str {
        Place::of(url.expose_secret()).dialect().name()
    }
}

async fn look_at(place: &Place) -> Result<Standing, OpenError> {
    let url = place.only_reading().unwrap_or(place.url().to_owned());
    let mut connection = connect(&url.parse().map_err(classify)?).await?;
    // A pooler that takes no transaction is found here already.
    let mut read = connection.begin().await.map_err(classify)?;
    let standing = standing(&mut read, place.dialect()).await?;
    read.rollback().await.map_err(classify)?;
    connection.close().await.map_err(classify)?;
    Ok(standing)
}

async fn standing(connection: &mut AnyConnection, dialect: Dialect) -> Result<Standing, OpenError> {
    if has_tables(connection, dialect).await? {
        return standing_of_tables(connection).await.map_err(classify);
    }
    if dialect == Dialect::Postgres && !may_make_tables(connection).await.map_err(classify)? {
        return Err(OpenError::NotPermitted);
    }
    Ok(Standing::Absent)
}

async fn standing_of_tables(connection: &mut AnyConnection) -> Result<Standing, sqlx::Error> {
    let rows = connection
        .fetch_all("SELECT version FROM _sqlx_migrations")
        .await?;
    let made = rows.iter().map(|row| row.try_get::<i64, _>("version"));
    let made: BTreeSet<_> = made.collect::<Result<_, _>>()?;
    let is_whole = MIGRATIONS
        .iter()
        .all(|migration| made.contains(&migration.version));
    Ok(if is_whole {
        Standing::Ready
    } else {
        Standing::Older
    })
}

/// Since PostgreSQL 15 not everybody may.
async fn may_make_tables(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    connection
        .fetch_one("SELECT COALESCE(has_schema_privilege(current_schema(), 'CREATE'), FALSE)")
        .await?
        .try_get(0)
}
