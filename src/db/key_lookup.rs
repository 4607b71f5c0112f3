//! Finds the rows of many keys, each by one index lookup.
//!
//! A database may read all rows of the account instead, and compare them with the keys. SQLite
//! guesses that they are few. PostgreSQL knows only the size of a new table, and of one whose rows
//! are soon removed it also reads those that are gone. SQLite takes the order of the tables in a
//! cross join; PostgreSQL, a subquery that it may not merge with the rest of the statement.

use super::placeholders;
use super::url::Dialect;

/// How a database finds the rows of many keys.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KeyLookup(Dialect);

impl KeyLookup {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self(dialect)
    }

    /// Writes the join with the rows of a table that meet a condition, which may name the tables
    /// before it.
    pub(crate) fn join(self, table: &str, condition: &str) -> String {
        match self.0 {
            // SQLite keeps the order of the tables in a cross join.
            Dialect::Sqlite => format!("CROSS JOIN {table} ON {condition}"),
            Dialect::Postgres => format!("CROSS JOIN LATERAL {}", unmerged(table, condition)),
        }
    }

    /// Writes [`Self::join`] as an outer join: a row without a match stays.
    pub(crate) fn left_join(self, table: &str, condition: &str) -> String {
        match self.0 {
            Dialect::Sqlite => format!("LEFT JOIN {table} ON {condition}"),
            Dialect::Postgres => {
                format!("LEFT JOIN LATERAL {} ON TRUE", unmerged(table, condition))
            }
        }
    }

    /// Writes one more condition of an index lookup, which is implied by the others, where the
    /// planner needs it to choose the right index.
    pub(crate) fn implied(self, condition: &str) -> String {
        match self.0 {
            Dialect::Sqlite => String::new(),
            Dialect::Postgres => format!(" AND {condition}"),
        }
    }

    /// Writes the condition that a row of a table has one of so many keys. Their values are the
    /// placeholders from `$2` on, after the account's `$1`.
    ///
    /// Only for a transaction that writes, whose lock keeps other writers away: PostgreSQL may not
    /// check the key again after it waited for another's change of the row.
    pub(crate) fn is_any(self, table: &str, columns: &[&str], keys: usize) -> String {
        let names = columns.join(", ");
        let values = placeholders::rows(keys, columns.len());
        match self.0 {
            Dialect::Sqlite => format!("appid = $1 AND ({names}) IN (VALUES {values})"),
            Dialect::Postgres => {
                let equal = |column: &&str| format!(" AND {table}.{column} = wanted.{column}");
                let equal = columns.iter().map(equal).collect::<String>();
                // `ctid` is a row's physical address: exactly these rows are read.
                format!(
                    "ctid = ANY (ARRAY(
                       SELECT found.ctid FROM (VALUES {values}) AS wanted ({names})
                       CROSS JOIN LATERAL (
                         SELECT {table}.ctid FROM {table} WHERE {table}.appid = $1{equal} OFFSET 0) AS found))"
                )
            }
        }
    }
}

/// Writes a subquery that PostgreSQL executes for each row before it. `OFFSET 0` skips nothing, but
/// keeps PostgreSQL from merging it with the rest.
fn unmerged(table: &str, condition: &str) -> String {
    format!("(SELECT * FROM {table} WHERE {condition} OFFSET 0) AS {table}")
}
