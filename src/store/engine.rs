//! The database behind the store: turns, deadlines, and whether it is well.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{Any, AnyPool, Connection, Transaction};
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::place::{Dialect, Place};
use super::{DEADLINE, Error};
use crate::telemetry::{self, Causes};

/// A pool of connections to either.
#[derive(Debug)]
pub(super) struct Engine {
    pool: AnyPool,
    dialect: Dialect,
    up: AtomicBool,
    /// One turn for each connection, so that waiting for one is no fault of the database.
    turns: Semaphore,
}

impl Engine {
    pub(super) fn new(pool: AnyPool, place: &Place) -> Self {
        Self {
            pool,
            dialect: place.dialect(),
            up: AtomicBool::new(true),
            turns: Semaphore::new(place.connections() as usize),
        }
    }

    /// For reading, and for single statements.
    pub(super) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// A transaction that writes. SQLite must be told at once: one that reads first and then writes may fail whatever the
    /// busy timeout.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Any>, Error> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        Ok(self.pool.begin_with(begin).await?)
    }

    /// Asks for a sign of life. A store that failed is asked to write something down: one whose disk is full answers every
    /// question, and is of no use all the same.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        if self.is_up() {
            return Ok(self.pool.acquire().await?.ping().await?);
        }
        sqlx::query(
            "INSERT INTO about (name, value) VALUES ('probe', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(Uuid::now_v7().to_string())
        .execute(&self.pool)
        .await?;
        self.up.store(true, Ordering::Relaxed);
        telemetry::store_up(true);
        tracing::info!("the store is back");
        Ok(())
    }

    /// Waits for a turn, and cuts the call off at the deadline. A transaction in it is rolled back.
    pub(super) async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let _turn = self.turn().await?;
        let result = tokio::time::timeout(DEADLINE, call)
            .await
            .unwrap_or(Err(Error::Timeout));
        if let Err(error) = &result {
            self.note(error);
        }
        result
    }

    /// Nobody stands in line for a database that does not answer.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        if !self.is_up() {
            return Err(Error::Timeout);
        }
        let turn = self.turns.acquire().await;
        let turn = turn.expect("the semaphore is never closed");
        if self.is_up() {
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

    pub(super) fn name(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "SQLite",
            Dialect::Postgres => "PostgreSQL",
        }
    }
}
