//! A statement whose conditions depend on a filter.

use std::fmt::Write as _;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};

/// SQL with the values of its placeholders.
#[derive(Debug, Clone, Default)]
pub(super) struct Statement {
    pub(super) sql: String,
    values: Vec<SqlValue>,
}

/// A value of a placeholder.
#[derive(Debug, Clone)]
pub(super) enum SqlValue {
    Text(String),
    Number(i64),
    Bytes(Vec<u8>),
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for SqlValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&[u8]> for SqlValue {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_owned())
    }
}

impl Statement {
    pub(super) fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// Appends the placeholder of a value.
    pub(super) fn push_value(&mut self, value: impl Into<SqlValue>) {
        self.values.push(value.into());
        write!(self.sql, "${}", self.values.len()).expect("a string takes all");
    }

    /// Makes the query, with its values bound.
    pub(super) fn query(self) -> Query<'static, Any, AnyArguments> {
        let query = sqlx::query(AssertSqlSafe(self.sql));
        self.values
            .into_iter()
            .fold(query, |query, value| match value {
                SqlValue::Text(text) => query.bind(text),
                SqlValue::Number(number) => query.bind(number),
                SqlValue::Bytes(bytes) => query.bind(bytes),
            })
    }
}
