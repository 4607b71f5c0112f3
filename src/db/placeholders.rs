//! Statements about many rows at once.

use sqlx::AssertSqlSafe;

use super::limits::SQLITE_CHUNKS;
use super::statement::Query;

/// Up to so many rows a statement is kept ready by its connection: the largest chunk of
/// [`Transaction::chunks`](super::Transaction::chunks) with SQLite. A larger one takes the database
/// a megabyte to keep; where many rows come together, making it anew hardly counts.
const KEPT_ROWS: usize = SQLITE_CHUNKS[0];

/// Writes rows of so many values from `$2` on, each after the account's `$1`, such as
/// `($1, $2, $3), ($1, $4, $5)`.
pub(crate) fn rows_of_account(rows: usize, columns: usize) -> String {
    tuples("$1, ", rows, columns)
}

/// Writes rows of so many values from `$2` on: `($2, $3), ($4, $5)`.
pub(crate) fn rows(rows: usize, columns: usize) -> String {
    tuples("", rows, columns)
}

/// Writes so many values from `$2` on: `$2, $3, $4`.
pub(crate) fn list(values: usize) -> String {
    let placeholders: Vec<_> = (2..values + 2).map(|n| format!("${n}")).collect();
    placeholders.join(", ")
}

fn tuples(start: &str, rows: usize, columns: usize) -> String {
    let tuples = (0..rows).map(|row| {
        let first = 2 + row * columns;
        let placeholders: Vec<_> = (first..first + columns).map(|n| format!("${n}")).collect();
        format!("({start}{})", placeholders.join(", "))
    });
    tuples.collect::<Vec<_>>().join(", ")
}

/// Makes a statement about so many rows, with the account as its first value.
pub(crate) fn query(sql: String, rows: usize, appid: &str) -> Query<'_> {
    sqlx::query(AssertSqlSafe(sql))
        .persistent(rows <= KEPT_ROWS)
        .bind(appid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_after_the_account() {
        assert_eq!(rows_of_account(2, 2), "($1, $2, $3), ($1, $4, $5)");
        assert_eq!(rows(2, 1), "($2), ($3)");
        assert_eq!(list(3), "$2, $3, $4");
    }
}
