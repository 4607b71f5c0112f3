//! A transaction of either engine, also behind a transaction pooler.
//!
//! A transaction pooler, such as PgBouncer, lends a client one of the server's connections for one
//! transaction. Nothing may be expected of the next one, or left for its next user: with PostgreSQL
//! every statement runs in a transaction, which sets its own timeouts, and is prepared without a
//! name, or not prepared at all. SQLite's connections belong to this process alone, and keep their
//! statements.

use std::{iter, slice};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryFutureExt as _};
use sqlx::any::{AnyArguments, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::error::BoxDynError;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Describe, Execute, Executor, SqlStr};

use super::error::Error;
use super::key_lookup::KeyLookup;
use super::limits::{DEADLINE, MAX_PURGE_BATCH, MAX_SMALL_SUB_BATCH, MAX_SUB_BATCH, SQLITE_ROWS};
use super::pipeline::Pipeline;
use super::statement::{Query, Results, Statement};
use super::url::Dialect;

/// How long PostgreSQL waits for a lock, so that a lock alone never makes a call pass [`DEADLINE`].
/// A statement may wait twice: in the queue for a row, and for the transaction that holds it.
const LOCK_TIMEOUT_MS: u32 = 400;

/// How long a statement of PostgreSQL may take, locks included.
pub(super) const STATEMENT_TIMEOUT_MS: u32 = 700;

/// How long PostgreSQL keeps an idle transaction open. A replica that froze or lost its network in
/// the middle of one would lock the others out until then. No call goes on after [`DEADLINE`].
const IDLE_TRANSACTION_TIMEOUT_MS: u128 = DEADLINE.as_millis();

/// Begins a transaction of PostgreSQL that writes. By its own isolation level, because with a
/// stricter one, which an operator may have made the default, it would read what was there before
/// it had the lock.
pub(super) const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// What is acknowledged is on the server's disk, where an operator has switched that off too. Other
/// values, such as those that wait for standby servers, stay.
pub(super) const SYNC_COMMITS: &str = "SELECT set_config('synchronous_commit', 'local', true) WHERE current_setting('synchronous_commit') = 'off'";

/// The most rows of a statement of PostgreSQL, whose values are 65,535 at most. It plans each
/// statement, so a batch has as few as possible.
const POSTGRES_ROWS: usize = 128;

/// A transaction of either engine: the driver's where it reads, a pipeline of statements where it
/// writes. One that is dropped is never committed.
#[derive(Debug)]
pub(crate) struct Transaction<'c> {
    inner: Inner<'c>,
    dialect: Dialect,
    appid: &'c str,
    purge_batch: usize,
}

#[derive(Debug)]
enum Inner<'c> {
    /// One that reads. Dropping it rolls it back.
    Driver(sqlx::Transaction<'c, Any>),
    /// One that writes.
    Pipeline(Pipeline<'c>),
}

/// Builds the statements by which a transaction begins that writes. `lock` and `account` are the
/// numbers of PostgreSQL's advisory lock.
///
/// It has a lock until its end that one writer of all replicas holds, so that none needs a lock of
/// its own. SQLite has such a lock itself, and takes it at once: a transaction that reads first and
/// then writes may fail whatever the busy timeout.
pub(super) fn begin_write(dialect: Dialect, lock: i32, account: i32) -> Vec<String> {
    match dialect {
        Dialect::Sqlite => vec!["BEGIN IMMEDIATE".to_owned()],
        Dialect::Postgres => {
            let mut begin = vec![BEGIN_WRITE.to_owned(), SYNC_COMMITS.to_owned()];
            begin.extend(set_timeouts(STATEMENT_TIMEOUT_MS.into()));
            begin.push(format!("SELECT pg_advisory_xact_lock({lock}, {account})"));
            begin
        }
    }
}

impl<'c> Transaction<'c> {
    /// Begins one that writes, by these statements, which are sent with the first that follows.
    /// The owner of the connection ends a transaction that is not committed.
    pub(super) fn begin_write(
        connection: &'c mut AnyConnection,
        dialect: Dialect,
        begin: Vec<Statement>,
        appid: &'c str,
    ) -> Self {
        Self {
            inner: Inner::Pipeline(Pipeline::new(connection, dialect, begin)),
            dialect,
            appid,
            purge_batch: MAX_PURGE_BATCH,
        }
    }

    /// Begins one on a connection of the pool, by these statements.
    pub(super) async fn begin_in(
        pool: &AnyPool,
        dialect: Dialect,
        appid: &'c str,
        begin: Vec<String>,
    ) -> Result<Self, sqlx::Error> {
        let begin = AssertSqlSafe(begin.join("; "));
        Ok(Self {
            inner: Inner::Driver(pool.begin_with(begin).await?),
            dialect,
            appid,
            purge_batch: MAX_PURGE_BATCH,
        })
    }

    /// Whether it is begun, and holds its lock.
    pub(super) fn is_begun(&self) -> bool {
        match &self.inner {
            Inner::Driver(_) => true,
            Inner::Pipeline(pipeline) => pipeline.is_begun(),
        }
    }

    /// Executes statements, in one message where they share one, and returns the rows of each list
    /// of them.
    ///
    /// PostgreSQL gets the values in the text of the statements, which it may log where one fails:
    /// no value may be an openid or a secret.
    pub(crate) async fn fetch_each<const N: usize>(
        &mut self,
        queries: [Vec<Query<'_>>; N],
    ) -> Result<[Vec<AnyRow>; N], Error> {
        let mut found = [const { Vec::new() }; N];
        match &mut self.inner {
            Inner::Driver(transaction) => {
                for (rows, queries) in found.iter_mut().zip(queries) {
                    for query in queries {
                        rows.append(&mut query.fetch_all(&mut **transaction).await?);
                    }
                }
            }
            Inner::Pipeline(pipeline) => {
                let sizes = queries.each_ref().map(Vec::len);
                let statements = queries.into_iter().flatten().map(Statement::new);
                let statements = statements.collect::<Result<_, _>>()?;
                let mut results = pipeline.fetch_each(statements).await?.into_iter();
                for (rows, size) in found.iter_mut().zip(sizes) {
                    rows.extend(results.by_ref().take(size).flatten());
                }
            }
        }
        Ok(found)
    }

    /// Executes a statement whose result is not needed, in the next message. What
    /// [`Transaction::fetch_each`] says of values holds here too.
    pub(crate) async fn execute_later(&mut self, query: Query<'_>) -> Result<(), Error> {
        match &mut self.inner {
            Inner::Driver(transaction) => {
                query.execute(&mut **transaction).await?;
            }
            Inner::Pipeline(pipeline) => pipeline.defer(Statement::new(query)?),
        }
        Ok(())
    }

    /// Executes a statement with an openid or a secret, whose result is not needed: later too, but
    /// with PostgreSQL at once, by parameters.
    pub(crate) async fn execute_private(&mut self, query: Query<'_>) -> Result<(), Error> {
        match self.dialect {
            Dialect::Sqlite => self.execute_later(query).await,
            Dialect::Postgres => Ok(query.execute(self).await.map(drop)?),
        }
    }

    /// Executes what was to be executed later.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        match &mut self.inner {
            Inner::Driver(_) => Ok(()),
            Inner::Pipeline(pipeline) => Ok(pipeline.flush().await?),
        }
    }

    /// Sets whether the thread yields its core, as [`Pipeline::yielding`] says.
    pub(super) fn yielding(self, yields: bool) -> Self {
        let inner = match self.inner {
            Inner::Pipeline(pipeline) => Inner::Pipeline(pipeline.yielding(yields)),
            driver @ Inner::Driver(_) => driver,
        };
        Self { inner, ..self }
    }

    /// Sets another limit of the rows that one statement removes.
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

    /// How to find the rows of many keys.
    pub(crate) fn key_lookup(&self) -> KeyLookup {
        KeyLookup::new(self.dialect)
    }

    /// The most rows that a statement may remove: fewer while the database is slow.
    pub(crate) fn purge_batch(&self) -> i64 {
        i64::try_from(self.purge_batch).unwrap_or(i64::MAX)
    }

    /// Splits rows into those of one statement each.
    pub(crate) fn chunks<'r, T>(&self, rows: &'r [T]) -> slice::Chunks<'r, T> {
        rows.chunks(match self.dialect {
            Dialect::Sqlite => SQLITE_ROWS,
            Dialect::Postgres => POSTGRES_ROWS,
        })
    }

    /// Splits the commands of a batch into those that are executed together.
    pub(super) fn sub_batches<'r, C>(
        &self,
        commands: &'r [C],
    ) -> impl Iterator<Item = &'r [C]> + use<'r, C> {
        let dialect = self.dialect;
        let mut rest = commands;
        iter::from_fn(move || {
            let sub_batch;
            (sub_batch, rest) = rest.split_at(sub_batch_size(dialect, rest.len()));
            Some(sub_batch).filter(|sub_batch| !sub_batch.is_empty())
        })
    }

    /// Sends what was deferred before this sub-batch, of this type of commands or another, with
    /// SQLite only.
    pub(super) async fn separate_sub_batches(&mut self) -> Result<(), Error> {
        match &mut self.inner {
            Inner::Driver(_) => Ok(()),
            Inner::Pipeline(pipeline) => Ok(pipeline.separate_sub_batches().await?),
        }
    }

    /// Commits one that writes with the next message. Nothing may follow but [`Self::flush`].
    pub(super) fn commit_later(&mut self) {
        if let Inner::Pipeline(pipeline) = &mut self.inner {
            pipeline.commit_later();
        }
    }

    /// Commits. Nothing may follow, whether it succeeds or not.
    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        match self.inner {
            Inner::Driver(transaction) => transaction.commit().await,
            Inner::Pipeline(mut pipeline) => {
                pipeline.commit_later();
                pipeline.flush().await
            }
        }
    }

    /// Ends one that only read.
    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        match self.inner {
            Inner::Driver(transaction) => transaction.rollback().await,
            // The owner of the connection closes it.
            Inner::Pipeline(_) => Ok(()),
        }
    }
}

/// Chooses how many of so many commands the next sub-batch has. With SQLite there are few sizes,
/// because its connection caches the texts of each; with PostgreSQL the batch is not split.
fn sub_batch_size(dialect: Dialect, commands: usize) -> usize {
    match (dialect, commands) {
        (Dialect::Postgres, _) => commands,
        (Dialect::Sqlite, MAX_SUB_BATCH..) => MAX_SUB_BATCH,
        (Dialect::Sqlite, _) => commands.min(MAX_SMALL_SUB_BATCH),
    }
}

/// Builds the statements that set the timeouts. They are sent with `BEGIN`, because each message
/// costs a round trip.
pub(super) fn set_timeouts(statement_ms: u128) -> [String; 3] {
    [
        format!("SET LOCAL statement_timeout = {statement_ms}"),
        format!("SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}"),
        format!("SET LOCAL idle_in_transaction_session_timeout = {IDLE_TRANSACTION_TIMEOUT_MS}"),
    ]
}

impl<'c> Executor<'c> for &'c mut Transaction<'_> {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Results<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let query = Prepared::new(query, self.dialect);
        match &mut self.inner {
            Inner::Driver(transaction) => transaction.fetch_many(query),
            Inner::Pipeline(pipeline) => {
                let results = async move { Ok(pipeline.ready().await?.fetch_many(query)) };
                results.try_flatten_stream().boxed()
            }
        }
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
        match &mut self.inner {
            Inner::Driver(transaction) => transaction.fetch_optional(query),
            Inner::Pipeline(pipeline) => {
                async move { pipeline.ready().await?.fetch_optional(query).await }.boxed()
            }
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> BoxFuture<'e, Result<AnyStatement, sqlx::Error>>
    where
        'c: 'e,
    {
        match &mut self.inner {
            Inner::Driver(transaction) => transaction.prepare_with(sql, parameters),
            Inner::Pipeline(pipeline) => async move {
                let connection = pipeline.ready().await?;
                connection.prepare_with(sql, parameters).await
            }
            .boxed(),
        }
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Any>, sqlx::Error>>
    where
        'c: 'e,
    {
        match &mut self.inner {
            Inner::Driver(transaction) => transaction.describe(sql),
            Inner::Pipeline(pipeline) => {
                async move { pipeline.ready().await?.describe(sql).await }.boxed()
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_split_into_few_sizes_with_sqlite_only() {
        for (commands, sizes) in [
            (1, vec![1]),
            (7, vec![7]),
            (9, vec![8, 1]),
            (16, vec![16]),
            (45, vec![16, 16, 8, 5]),
        ] {
            let mut rest = commands;
            let mut got = Vec::new();
            while rest > 0 {
                got.push(sub_batch_size(Dialect::Sqlite, rest));
                rest -= got.last().unwrap();
            }
            assert_eq!(got, sizes);
            assert_eq!(sub_batch_size(Dialect::Postgres, commands), commands);
        }
        assert_eq!(sub_batch_size(Dialect::Sqlite, 0), 0);
    }
}
