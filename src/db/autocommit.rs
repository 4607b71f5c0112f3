//! Reads: statements that are transactions by themselves, and snapshots.

use std::iter;

use futures_util::future::BoxFuture;
use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use sqlx::any::{AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::{Any, AnyPool, Describe, Execute, Executor, SqlStr};

use super::error::Error;
use super::limits::LONG_READ_DEADLINE;
use super::pipeline::Pipeline;
use super::statement::{Query, Results, Statement};
use super::transaction::{STATEMENT_TIMEOUT_MS, Transaction, set_timeouts};
use super::url::Dialect;

/// Executor of statements that read, each in a transaction of its own (autocommit), which has
/// timeouts with PostgreSQL. It also begins snapshots, which are transactions of several
/// statements.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Autocommit<'a> {
    pub(super) pool: &'a AnyPool,
    pub(super) dialect: Dialect,
    pub(super) appid: &'a str,
}

impl<'a> Autocommit<'a> {
    /// Begins a transaction that reads one snapshot, with the deadline of long reads.
    pub(super) async fn begin_snapshot(self) -> Result<Transaction<'a>, sqlx::Error> {
        let timeout = LONG_READ_DEADLINE.as_millis();
        self.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", timeout)
            .await
    }

    async fn begin_read(self) -> Result<Transaction<'a>, sqlx::Error> {
        self.begin("BEGIN READ ONLY", STATEMENT_TIMEOUT_MS.into())
            .await
    }

    /// Begins a transaction, by `postgres` at PostgreSQL, where statements have this timeout.
    async fn begin(self, postgres: &str, timeout_ms: u128) -> Result<Transaction<'a>, sqlx::Error> {
        let begin = match self.dialect {
            Dialect::Sqlite => vec!["BEGIN".to_owned()],
            Dialect::Postgres => iter::once(postgres.to_owned())
                .chain(set_timeouts(timeout_ms))
                .collect(),
        };
        Transaction::begin_in(self.pool, self.dialect, self.appid, begin).await
    }

    /// Executes a statement that reads, in one round trip to PostgreSQL. What
    /// [`Transaction::fetch_each`] says of values holds here too.
    pub(crate) async fn fetch_at_once(self, query: Query<'_>) -> Result<Vec<AnyRow>, Error> {
        if self.dialect == Dialect::Sqlite {
            return Ok(query.fetch_all(self.pool).await?);
        }
        let mut connection = self.pool.acquire().await?;
        // The statements of a message are a transaction by themselves.
        let timeouts = set_timeouts(STATEMENT_TIMEOUT_MS.into()).map(Statement::from_text);
        let mut pipeline = Pipeline::new(&mut connection, self.dialect, timeouts.into());
        let mut rows = pipeline.fetch_each(vec![Statement::new(query)?]).await?;
        Ok(rows.pop().unwrap_or_default())
    }
}

impl<'c> Executor<'c> for Autocommit<'c> {
    type Database = Any;

    /// Collects the rows before the commit: a page of a list at most.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Results<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        if self.dialect == Dialect::Sqlite {
            return self.pool.fetch_many(query);
        }
        let results = async move {
            let mut transaction = self.begin_read().await?;
            let results: Vec<_> = transaction.fetch_many(query).try_collect().await?;
            transaction.commit().await?;
            Ok(stream::iter(results.into_iter().map(Ok)))
        };
        results.try_flatten_stream().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        if self.dialect == Dialect::Sqlite {
            return self.pool.fetch_optional(query);
        }
        let row = async move {
            let mut transaction = self.begin_read().await?;
            let row = transaction.fetch_optional(query).await?;
            transaction.commit().await?;
            Ok(row)
        };
        row.boxed()
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.pool.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.pool.describe(sql)
    }
}
