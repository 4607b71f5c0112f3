//! Statements about many rows at once.

use std::fmt::Write as _;
use std::ops::Range;

use sqlx::AssertSqlSafe;

use super::limits::SQLITE_ROWS;
use super::statement::Query;

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
    let mut list = String::new();
    push_list(&mut list, 2..values + 2);
    list
}

fn tuples(start: &str, rows: usize, columns: usize) -> String {
    let mut tuples = String::with_capacity(rows * (start.len() + columns * "$100, ".len()));
    for row in 0..rows {
        tuples.push_str(if row == 0 { "(" } else { ", (" });
        tuples.push_str(start);
        let first = 2 + row * columns;
        push_list(&mut tuples, first..first + columns);
        tuples.push(')');
    }
    tuples
}

fn push_list(text: &mut String, numbers: Range<usize>) {
    for number in numbers.clone() {
        let separator = if number == numbers.start { "" } else { ", " };
        write!(text, "{separator}${number}").expect("a string takes any text");
    }
}

/// Makes a statement about so many rows, with the account as its first value. SQLite's connection
/// caches a statement about up to [`SQLITE_ROWS`] rows. A larger one would take a megabyte of
/// memory, and to prepare it anew hardly counts where so many rows come together.
pub(crate) fn query(sql: String, rows: usize, appid: &str) -> Query<'_> {
    sqlx::query(AssertSqlSafe(sql))
        .persistent(rows <= SQLITE_ROWS)
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
