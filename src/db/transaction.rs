//! Transactions, and statements that are one by themselves.
//!
//! A transaction pooler, such as PgBouncer, lends a client one of the server's connections for one
//! transaction. Nothing may be expected of the next one, or left for its next user: with PostgreSQL
//! every statement runs in a transaction, which sets its own timeouts, and is prepared without a
//! name. SQLite's connections belong to this process alone, and keep their statements.

use futures_util::stream::{self, BoxStream};
use futures_util::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, future::BoxFuture,
};
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::error::BoxDynError;
use sqlx::{Any, AnyPool, AssertSqlSafe, Describe, Either, Execute, Executor, SqlStr};

use super::limits::{DEADLINE, STATISTICS_DEADLINE};
use super::url::Dialect;

/// How long PostgreSQL waits for a lock, so that a lock alone never makes a call pass [`DEADLINE`].
/// One row can make a statement wait twice: in the queue for the row, and for the transaction that
/// holds it.
const LOCK_TIMEOUT_MS: u32 = 400;

/// How long a statement of PostgreSQL may take, locks included.
const STATEMENT_TIMEOUT_MS: u32 = 700;

/// How long PostgreSQL keeps an idle transaction open. A replica that froze or lost its network in
/// the middle of one would lock the others out until then. No call goes on after [`DEADLINE`].
const IDLE_TRANSACTION_TIMEOUT_MS: u128 = DEADLINE.as_millis();

type Results<'e> = BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, sqlx::Error>>;

/// A transaction. Dropping it rolls it back.
#[derive(Debug)]
pub(crate) struct Transaction {
    inner: sqlx::Transaction<'static, Any>,
    dialect: Dialect,
}

impl Transaction {
    /// Begins one that writes. With SQLite it takes the write lock at once: a transaction that
    /// reads first and then writes may fail whatever the busy timeout.
    pub(crate) async fn begin(pool: &AnyPool, dialect: Dialect) -> Result<Self, sqlx::Error> {
        let begin = match dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE".to_owned(),
            Dialect::Postgres => format!("BEGIN; {}", set_timeouts(STATEMENT_TIMEOUT_MS.into())),
        };
        Self::begin_with(pool, dialect, begin).await
    }

    /// Begins one that reads one snapshot, with the deadline of statistics.
    pub(crate) async fn begin_statistics(
        pool: &AnyPool,
        dialect: Dialect,
    ) -> Result<Self, sqlx::Error> {
        let begin = match dialect {
            Dialect::Sqlite => "BEGIN".to_owned(),
            Dialect::Postgres => format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}",
                set_timeouts(STATISTICS_DEADLINE.as_millis())
            ),
        };
        Self::begin_with(pool, dialect, begin).await
    }

    async fn begin_with(
        pool: &AnyPool,
        dialect: Dialect,
        begin: String,
    ) -> Result<Self, sqlx::Error> {
        let inner = pool.begin_with(AssertSqlSafe(begin)).await?;
        Ok(Self { inner, dialect })
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }

    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.inner.rollback().await
    }
}

/// In the same message as `BEGIN`, because each message costs a round trip.
fn set_timeouts(statement_ms: u128) -> String {
    format!(
        "SET LOCAL statement_timeout = {statement_ms};
         SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS};
         SET LOCAL idle_in_transaction_session_timeout = {IDLE_TRANSACTION_TIMEOUT_MS}"
    )
}

impl<'c> Executor<'c> for &'c mut Transaction {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Results<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let query = Prepared::new(query, self.dialect);
        self.inner.fetch_many(query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<AnyRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let query = Prepared::new(query, self.dialect);
        self.inner.fetch_optional(query)
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        self.inner.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, sqlx::Error>>
    where
        'c: 'e,
    {
        self.inner.describe(sql)
    }
}

/// Runs a statement as a transaction of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Autocommit<'a> {
    pub(crate) pool: &'a AnyPool,
    pub(crate) dialect: Dialect,
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
            let mut transaction = Transaction::begin(self.pool, self.dialect).await?;
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
            let mut transaction = Transaction::begin(self.pool, self.dialect).await?;
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

/// A statement that only SQLite's connections cache.
struct Prepared<Q> {
    query: Q,
    is_kept: bool,
}

impl<Q> Prepared<Q> {
    fn new(query: Q, dialect: Dialect) -> Self {
        let is_kept = dialect == Dialect::Sqlite;
        Self { query, is_kept }
    }
}

impl<'q, Q: Execute<'q, Any>> Execute<'q, Any> for Prepared<Q> {
    fn sql(self) -> SqlStr {
        self.query.sql()
    }

    fn statement(&self) -> Option<&AnyStatement> {
        self.query.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<AnyArguments>, BoxDynError> {
        self.query.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.is_kept && self.query.persistent()
    }
}
