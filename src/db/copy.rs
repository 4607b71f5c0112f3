//! Copies all rows of one database to another, of the same engine or the other one.
//!
//! It reads one snapshot and writes one transaction, so that an interrupted copy leaves nothing.
//! The tables are those that the migrations make, so that it knows no feature. [`Database::copy`]
//! is the function to read first.

mod digest;
mod error;
mod identity;
mod rows;
mod source;
mod tables;
mod target;

use secrecy::{ExposeSecret, SecretString};
use sqlx::{AnyConnection, Connection as _};

pub use self::digest::TableDigest;
pub use self::error::{CopyError, CopySide};
use self::error::{reading, writing};
use self::tables::Table;
use self::target::Target;
use super::database::Database;
use super::opening::install_drivers;
use super::url::{DatabaseUrl, Dialect};

/// What was copied of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedTable {
    pub name: String,
    /// Number and digest of its rows, the same in both databases.
    pub digest: TableDigest,
}

impl Database {
    /// Copies all rows of all tables to an empty database, and compares what both hold then.
    /// `progress` is called after each table.
    ///
    /// Cancel safe: the target has everything once the copy returns, or nothing.
    ///
    /// # Errors
    /// [`CopyError`]. A database that a service uses is refused, as far as that can be seen.
    pub async fn copy(
        from: &SecretString,
        to: &SecretString,
        mut progress: impl FnMut(&CopiedTable),
    ) -> Result<Vec<CopiedTable>, CopyError> {
        install_drivers();
        let from = DatabaseUrl::new(from.expose_secret());
        let to = DatabaseUrl::new(to.expose_secret());
        let mut source = source::open(&from).await?;
        let target = Target::new(&to)?;
        let mut connection = target.connect().await?;
        if (from.dialect(), to.dialect()) == (Dialect::Postgres, Dialect::Postgres)
            && identity::are_same(&mut source, &mut connection).await
        {
            return Err(CopyError::SameDatabase);
        }
        source::begin(&mut source, from.dialect()).await?;
        let mut write = target.begin(&mut connection).await?;
        let tables = tables::list(&mut write, target.dialect()).await;
        let tables = tables.map_err(writing)?;
        let held = tables::list(&mut source, from.dialect()).await;
        if held.map_err(reading)? != tables {
            return Err(CopyError::OtherTables);
        }
        let mut copied = Vec::new();
        for table in &tables {
            let digest = copy_table(table, &mut source, &mut write, target.dialect()).await?;
            let name = table.name.clone();
            let table = CopiedTable { name, digest };
            progress(&table);
            copied.push(table);
        }
        for (table, copied) in tables.iter().zip(&copied) {
            let written = rows::digest(table, &mut write).await.map_err(writing)?;
            if written != copied.digest {
                return Err(CopyError::Differs(table.name.clone()));
            }
        }
        target.commit(write).await?;
        connection.close().await.map_err(writing)?;
        target.publish()?;
        Ok(copied)
    }
}

/// Copies the rows of a table, and returns the digest of what was read.
async fn copy_table(
    table: &Table,
    source: &mut AnyConnection,
    target: &mut AnyConnection,
    dialect: Dialect,
) -> Result<TableDigest, CopyError> {
    // What a migration puts into a new database.
    rows::clear(table, target).await.map_err(writing)?;
    let mut digest = TableDigest::default();
    let mut read = rows::read(table, source);
    loop {
        let batch = rows::next_batch(table, &mut read).await.map_err(reading)?;
        if batch.is_empty() {
            return Ok(digest);
        }
        for row in &batch {
            digest.add(row);
        }
        rows::insert(table, batch, target, dialect)
            .await
            .map_err(writing)?;
    }
}
