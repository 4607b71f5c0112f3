//! The database behind the store: turns, deadlines, and whether it is well.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sqlx::{AnyPool, AssertSqlSafe, Executor, Row};
use uuid::Uuid;

use super::clocks::ClockDifference;
use super::place::{Dialect, Place};
use super::transaction::{Autocommit, Transaction};
use super::turns::{Purpose, Turn, Turns};
use super::{DEADLINE, Error, STATISTICS_DEADLINE, pool};
use crate::telemetry::{self, Causes};

/// How long a scrub waits for those who read, while it keeps others from writing.
const SCRUB_PATIENCE_MS: u32 = 50;

/// A pool of connections to either.
#[derive(Debug)]
pub(super) struct Engine {
    pool: AnyPool,
    dialect: Dialect,
    up: AtomicBool,
    turns: Turns,
    clock_difference: Option<ClockDifference>,
    /// How often something was erased, and how many of these times SQLite's log has nothing of it any more.
    erasures: AtomicU64,
    scrubbed: AtomicU64,
}

impl Engine {
    pub(super) fn new(
        pool: AnyPool,
        place: &Place,
        clock_difference: Option<ClockDifference>,
    ) -> Self {
        Self {
            pool,
            dialect: place.dialect(),
            up: AtomicBool::new(true),
            turns: Turns::at(place),
            clock_difference,
            // A process that was killed may have left something.
            erasures: AtomicU64::new(place.is_file().into()),
            scrubbed: AtomicU64::new(0),
        }
    }

    /// The connections themselves.
    pub(super) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// For statements that need no others beside them.
    pub(super) fn autocommit(&self) -> Autocommit<'_> {
        Autocommit {
            pool: &self.pool,
            dialect: self.dialect,
        }
    }

    /// A transaction that writes.
    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        Ok(Transaction::begin(&self.pool, self.dialect).await?)
    }

    /// A transaction that reads what one moment left, and may take longer than others.
    pub(super) async fn begin_statistics(&self) -> Result<Transaction, Error> {
        Ok(Transaction::begin_statistics(&self.pool, self.dialect).await?)
    }

    /// Counts that something is erased which must not stay in a file.
    pub(super) fn note_erasure(&self) {
        if self.dialect == Dialect::Sqlite {
            self.erasures.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn is_to_be_scrubbed(&self) -> bool {
        self.erasures.load(Ordering::Relaxed) != self.scrubbed.load(Ordering::Relaxed)
    }

    /// Brings SQLite's log into the file, and cuts it to nothing. As long as somebody reads what was there before, it cannot be
    /// cut, and remains to be scrubbed; nobody can write meanwhile, so it is not waited for. Cancel safe: a scrub that is not
    /// waited for runs to its end, and leaves its connection as it was, or closed if it failed.
    pub(super) async fn scrub(&self) -> Result<(), Error> {
        let usual = pool::BUSY_TIMEOUT_MS;
        let cut = format!(
            "PRAGMA busy_timeout = {SCRUB_PATIENCE_MS}; PRAGMA wal_checkpoint(TRUNCATE); PRAGMA busy_timeout = {usual}"
        );
        let erasures = self.erasures.load(Ordering::Relaxed);
        let pool = self.pool.clone();
        let cut = async move {
            let mut connection = pool.acquire().await?;
            let told = connection.fetch_all(AssertSqlSafe(cut)).await;
            if told.is_err() {
                // It did not come to the usual patience.
                connection.close_on_drop();
            }
            told
        };
        let told = tokio::spawn(cut)
            .await
            .expect("a statement does not panic")?;
        let busy = told
            .iter()
            .find_map(|row| row.try_get::<i64, _>("busy").ok());
        if busy == Some(0) {
            self.scrubbed.store(erasures, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Asks for a sign of life. A store that failed is asked to write something down: one whose disk is full answers every
    /// question, and is of no use all the same.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        if self.is_up() {
            // A pooler would answer a ping by itself.
            self.pool.execute("SELECT 1").await?;
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO about (name, value) VALUES ('probe', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(Uuid::now_v7().to_string())
        .execute(self.autocommit())
        .await?;
        self.up.store(true, Ordering::Relaxed);
        telemetry::store_up(true);
        tracing::info!("the store is back");
        Ok(())
    }

    /// Waits for a turn, and cuts the call off at the deadline. A transaction in it is rolled back. Statistics that take too long
    /// say nothing about the database.
    pub(super) async fn within_deadline<T>(
        &self,
        purpose: Purpose,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let _turn = self.turn(purpose).await?;
        let (deadline, late) = match purpose {
            Purpose::Statistics => (STATISTICS_DEADLINE, Error::Busy),
            Purpose::Read | Purpose::Write | Purpose::Urgent => (DEADLINE, Error::Timeout),
        };
        let result = tokio::time::timeout(deadline, call)
            .await
            .unwrap_or(Err(late));
        if let Err(error) = &result {
            self.note(error);
        }
        result
    }

    /// Nobody stands in line for a database that does not answer, except for what must be written all the same and for the
    /// sign of life, which would find no gap in a crowd.
    async fn turn(&self, purpose: Purpose) -> Result<Turn<'_>, Error> {
        if let Some(turn) = self.turns.at_once(purpose) {
            return Ok(turn);
        }
        let waits = || self.is_up() || purpose == Purpose::Urgent;
        if !waits() {
            return Err(Error::Timeout);
        }
        let turn = self.turns.wait(purpose).await.ok_or(Error::Busy)?;
        if waits() {
            Ok(turn)
        } else {
            Err(Error::Timeout)
        }
    }

    /// Says so, once for each call that failed alone, and once for all when the database failed, which is remembered. Only
    /// [`Self::ping`] finds that it is well again.
    fn note(&self, error: &Error) {
        let error_text = Causes(error);
        if !error.is_of_the_store() {
            if self.is_up() {
                tracing::warn!(error = %error_text, "a call of the store failed");
            }
            return;
        }
        telemetry::store_up(false);
        if self.up.swap(false, Ordering::Relaxed) {
            tracing::error!(error = %error_text, "the store cannot be used");
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn clock_difference(&self) -> Option<ClockDifference> {
        self.clock_difference
    }

    pub(super) fn name(&self) -> &'static str {
        self.dialect.name()
    }
}

#[cfg(test)]
impl Engine {
    /// How SQLite goes about a statement, a line for each step.
    pub(super) async fn plan(&self, sql: String) -> Vec<String> {
        let explained = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let steps = sqlx::query(explained).fetch_all(&self.pool).await;
        let steps = steps.expect("the statement is right");
        steps.iter().map(|step| step.get("detail")).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use futures_util::future::join_all;

    use super::*;
    use crate::clock::SystemClock;
    use crate::scene::PermanentScene;
    use crate::store::{Reservation, Store};
    use crate::ticket::{IssuedCode, Life};

    fn code() -> IssuedCode {
        IssuedCode {
            ticket: "ticket".parse().unwrap(),
            url: "http://weixin.qq.com/q/1".parse().unwrap(),
            life: Life::Permanent,
        }
    }

    #[tokio::test]
    async fn statistics_that_take_too_long_are_no_fault_of_the_database() {
        let store = Store::in_memory(Arc::new(SystemClock)).await;
        tokio::time::pause();
        for (purpose, deadline, is_up) in [
            (Purpose::Statistics, STATISTICS_DEADLINE, true),
            (Purpose::Read, DEADLINE, false),
        ] {
            let started = tokio::time::Instant::now();
            let slow = std::future::pending::<Result<(), Error>>();
            let result = store.engine.within_deadline(purpose, slow).await;
            // A timer has whole milliseconds.
            let times = deadline..=deadline + Duration::from_millis(1);
            assert!(times.contains(&started.elapsed()), "{purpose:?}");
            assert_eq!(matches!(result, Err(Error::Busy)), is_up, "{result:?}");
            assert_eq!(store.is_up(), is_up, "{purpose:?}");
        }
    }

    #[tokio::test]
    async fn a_result_is_written_before_a_crowd_that_came_first() {
        let store = Store::in_memory(Arc::new(SystemClock)).await;
        let scene = PermanentScene::Text("poster".parse().unwrap());
        let Reservation::Granted(intent) = store.reserve(&scene, 1).await.unwrap() else {
            unreachable!("the stock is whole");
        };
        let given_up = AtomicUsize::new(0);
        let crowd = join_all((0..200).map(|n| {
            let purpose = [Purpose::Read, Purpose::Write][n % 2];
            let slow = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(())
            };
            let call = store.engine.within_deadline(purpose, slow);
            call.map(|result| match result {
                Err(Error::Busy) => given_up.fetch_add(1, Ordering::Relaxed),
                _ => 0,
            })
        }));
        let confirm = async {
            // They all came first.
            tokio::task::yield_now().await;
            let kept = store.confirm(&intent, &code()).await.unwrap();
            assert_eq!(kept.ticket.as_str(), "ticket");
            assert_eq!(given_up.load(Ordering::Relaxed), 0, "it waited for them");
        };
        tokio::join!(crowd, confirm);
        let given_up = given_up.into_inner();
        assert!(given_up > 0, "nobody waits for ever");
        assert!(store.is_up(), "a crowd is no fault of the database");
    }
}
