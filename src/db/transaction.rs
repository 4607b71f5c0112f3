//! Transactions, and statements that are one by themselves.
//!
//! A transaction pooler, such as PgBouncer, lends a client one of the server's connections for one
//! transaction. Nothing may be expected of the next one, or left for its next user: with PostgreSQL
//! every statement runs in a transaction, which sets its own timeouts, and is prepared without a
//! name. SQLite's connections belong to this process alone, and keep their statements.

use std::iter;

use futures_util::stream::{self, BoxStream};
use futures_util::{
    FutureExt as _, StreamExt as _, TryFutureExt as _, TryStreamExt as _, future::BoxFuture,
};
use sqlx::any::{AnyArguments, AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::error::BoxDynError;
use sqlx::{
    Any, AnyConnection, AnyPool, AssertSqlSafe, Connection, Describe, Either, Execute, Executor,
    SqlStr,
};

use super::limits::{DEADLINE, MAX_PURGE_BATCH, STATISTICS_DEADLINE};
use super::url::Dialect;

/// How long PostgreSQL waits for a lock, so that a lock alone never makes a call pass [`DEADLINE`].
/// A statement may wait twice: in the queue for a row, and for the transaction that holds it.
const LOCK_TIMEOUT_MS: u32 = 400;

/// How long a statement of PostgreSQL may take, locks included.
const STATEMENT_TIMEOUT_MS: u32 = 700;

/// How long PostgreSQL keeps an idle transaction open. A replica that froze or lost its network in
/// the middle of one would lock the others out until then. No call goes on after [`DEADLINE`].
const IDLE_TRANSACTION_TIMEOUT_MS: u128 = DEADLINE.as_millis();

/// The numbers of rows that SQLite's statements have.
const SQLITE_CHUNKS: [usize; 3] = [16, 4, 1];

/// The most rows of a statement of PostgreSQL, whose values are 65,535 at most.
const POSTGRES_CHUNK: usize = 128;

type Results<'e> = BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, sqlx::Error>>;

/// A transaction. Dropping it rolls it back.
#[derive(Debug)]
pub(crate) struct Transaction<'c> {
    inner: sqlx::Transaction<'c, Any>,
    dialect: Dialect,
    appid: &'c str,
    purge_batch: usize,
}

impl<'c> Transaction<'c> {
    /// How a transaction begins that writes, with a lock until its end that one writer of all
    /// replicas holds, so that none needs a lock of its own. SQLite has such a lock itself, and
    /// takes it at once: a transaction that reads first and then writes may fail whatever the busy
    /// timeout.
    pub(super) fn begin_write_sql(dialect: Dialect, lock: i32, account: i32) -> String {
        match dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE".to_owned(),
            Dialect::Postgres => format!(
                "BEGIN; {}; SELECT pg_advisory_xact_lock({lock}, {account})",
                set_timeouts(STATEMENT_TIMEOUT_MS.into())
            ),
        }
    }

    /// Begins one on a connection, by this statement.
    pub(super) async fn begin_on(
        connection: &'c mut AnyConnection,
        dialect: Dialect,
        begin: String,
        appid: &'c str,
    ) -> Result<Self, sqlx::Error> {
        let inner = connection.begin_with(AssertSqlSafe(begin)).await?;
        Ok(Self {
            inner,
            dialect,
            appid,
            purge_batch: MAX_PURGE_BATCH,
        })
    }

    /// Begins one on a connection of the pool, by this statement.
    async fn begin_in(reads: Autocommit<'c>, begin: String) -> Result<Self, sqlx::Error> {
        let inner = reads.pool.begin_with(AssertSqlSafe(begin)).await?;
        Ok(Self {
            inner,
            dialect: reads.dialect,
            appid: reads.appid,
            purge_batch: MAX_PURGE_BATCH,
        })
    }

    /// Begins one that reads.
    async fn begin_read(reads: Autocommit<'c>) -> Result<Self, sqlx::Error> {
        let begin = match reads.dialect {
            Dialect::Sqlite => "BEGIN".to_owned(),
            Dialect::Postgres => format!(
                "BEGIN READ ONLY; {}",
                set_timeouts(STATEMENT_TIMEOUT_MS.into())
            ),
        };
        Self::begin_in(reads, begin).await
    }

    /// Begins one that reads one snapshot, with the deadline of statistics.
    pub(super) async fn begin_statistics(reads: Autocommit<'c>) -> Result<Self, sqlx::Error> {
        let begin = match reads.dialect {
            Dialect::Sqlite => "BEGIN".to_owned(),
            Dialect::Postgres => format!(
                "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {}",
                set_timeouts(STATISTICS_DEADLINE.as_millis())
            ),
        };
        Self::begin_in(reads, begin).await
    }

    /// The same where a statement may remove fewer rows.
    pub(super) fn with_purge_batch(self, purge_batch: usize) -> Self {
        Self {
            purge_batch,
            ..self
        }
    }

    /// The account, which is the first column of every key.
    pub(crate) fn appid(&self) -> &'c str {
        self.appid
    }

    /// The most rows that a statement may remove: fewer while the database is slow.
    pub(crate) fn purge_batch(&self) -> i64 {
        i64::try_from(self.purge_batch).unwrap_or(i64::MAX)
    }

    /// Splits rows into those of one statement each. SQLite's statements are kept ready, one for
    /// each number of rows, so there are few such numbers. With PostgreSQL each statement costs
    /// round trips instead.
    pub(crate) fn chunks<'r, T>(
        &self,
        rows: &'r [T],
    ) -> impl Iterator<Item = &'r [T]> + use<'r, T> {
        let dialect = self.dialect;
        let mut rest = rows;
        iter::from_fn(move || {
            let size = match dialect {
                Dialect::Sqlite => *SQLITE_CHUNKS.iter().find(|size| **size <= rest.len())?,
                Dialect::Postgres => rest.len().min(POSTGRES_CHUNK),
            };
            let chunk;
            (chunk, rest) = rest.split_at(size);
            Some(chunk).filter(|chunk| !chunk.is_empty())
        })
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

impl<'c> Executor<'c> for &'c mut Transaction<'_> {
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

/// Runs a statement that reads as a transaction of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Autocommit<'a> {
    pub(super) pool: &'a AnyPool,
    pub(super) dialect: Dialect,
    pub(super) appid: &'a str,
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
            let mut transaction = Transaction::begin_read(self).await?;
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
            let mut transaction = Transaction::begin_read(self).await?;
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
