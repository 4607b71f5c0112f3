//! Rows of any table: reading them, their digest, writing them in batches.

use std::io;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

use super::digest::{ColumnValue, TableDigest};
use super::tables::{ColumnKind, Table};
use crate::db::url::Dialect;

/// Values of one statement. Chosen: a round trip for some hundred rows, and far below the limits of
/// both engines (SQLite 32,766, PostgreSQL 65,535).
const VALUES_PER_BATCH: usize = 4000;

/// How long a batch may take, or the server counts as gone. Chosen: it takes milliseconds, and
/// beside a checkpoint on a slow disk some seconds.
const BATCH_TIMEOUT: Duration = Duration::from_mins(2);

/// The rows of a table while they are read.
pub(super) type Rows<'c> = BoxStream<'c, Result<AnyRow, sqlx::Error>>;

/// Reads all rows of a table, in any order.
pub(super) fn read<'c>(table: &Table, connection: &'c mut AnyConnection) -> Rows<'c> {
    let (columns, name) = (table.column_list(), table.quoted_name());
    let select = AssertSqlSafe(format!("SELECT {columns} FROM {name}"));
    sqlx::query(select).persistent(false).fetch(connection)
}

/// Takes the rows of one statement; none at the end.
pub(super) async fn next_batch(
    table: &Table,
    rows: &mut Rows<'_>,
) -> Result<Vec<Vec<ColumnValue>>, sqlx::Error> {
    let size = VALUES_PER_BATCH / table.columns.len();
    in_time(async {
        let mut batch = Vec::with_capacity(size);
        while batch.len() < size
            && let Some(row) = rows.try_next().await?
        {
            batch.push(values(table, &row)?);
        }
        Ok(batch)
    })
    .await
}

/// Gives up on a server that is silent.
async fn in_time<T>(step: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    tokio::time::timeout(BATCH_TIMEOUT, step)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
}

/// Reads all rows of a table for their digest.
pub(super) async fn digest(
    table: &Table,
    connection: &mut AnyConnection,
) -> Result<TableDigest, sqlx::Error> {
    let mut digest = TableDigest::default();
    let mut rows = read(table, connection);
    loop {
        let batch = next_batch(table, &mut rows).await?;
        if batch.is_empty() {
            return Ok(digest);
        }
        for row in &batch {
            digest.add(row);
        }
    }
}

fn values(table: &Table, row: &AnyRow) -> Result<Vec<ColumnValue>, sqlx::Error> {
    let columns = table.columns.iter().enumerate();
    let values = columns.map(|(index, column)| {
        Ok(match column.kind {
            ColumnKind::Integer => ColumnValue::Integer(row.try_get(index)?),
            ColumnKind::Text => ColumnValue::Text(row.try_get(index)?),
            ColumnKind::Bytes => ColumnValue::Bytes(row.try_get(index)?),
        })
    });
    values.collect()
}

/// Deletes all rows of a table.
pub(super) async fn clear(
    table: &Table,
    connection: &mut AnyConnection,
) -> Result<(), sqlx::Error> {
    let delete = AssertSqlSafe(format!("DELETE FROM {}", table.quoted_name()));
    connection.execute(delete).await.map(drop)
}

/// Writes rows by one statement.
pub(super) async fn insert(
    table: &Table,
    rows: Vec<Vec<ColumnValue>>,
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<(), sqlx::Error> {
    let values = placeholders(rows.len(), table.columns.len(), dialect);
    let (columns, name) = (table.column_list(), table.quoted_name());
    let insert = AssertSqlSafe(format!("INSERT INTO {name} ({columns}) VALUES {values}"));
    // A pooler would leave a named statement to the connection's next user.
    let mut query = sqlx::query(insert).persistent(dialect == Dialect::Sqlite);
    for value in rows.into_iter().flatten() {
        query = match value {
            ColumnValue::Integer(number) => query.bind(number),
            ColumnValue::Text(text) => query.bind(text),
            ColumnValue::Bytes(bytes) => query.bind(bytes),
        };
    }
    in_time(query.execute(connection)).await.map(drop)
}

/// Writes rows of values: `($1, $2), ($3, $4)`; for SQLite `(?, ?), (?, ?)`, because it looks each
/// name up among all.
fn placeholders(rows: usize, columns: usize, dialect: Dialect) -> String {
    let placeholder = |number: usize| match dialect {
        Dialect::Sqlite => "?".to_owned(),
        Dialect::Postgres => format!("${number}"),
    };
    let tuples = (0..rows).map(|row| {
        let numbers = row * columns + 1..=(row + 1) * columns;
        let placeholders: Vec<_> = numbers.map(placeholder).collect();
        format!("({})", placeholders.join(", "))
    });
    tuples.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_numbered_through_all_rows() {
        for (dialect, want) in [
            (Dialect::Postgres, "($1, $2), ($3, $4)"),
            (Dialect::Sqlite, "(?, ?), (?, ?)"),
        ] {
            assert_eq!(placeholders(2, 2, dialect), want);
        }
    }
}
