//! Background tasks: the health check of the database, gauges of what is left, removal of what has
//! expired, and the integrity check of the database's file.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::stores::Stores;
use crate::clock::Clock;
use crate::codes::{Codes, Stock};
use crate::db::{self, Damage, Database};
use crate::telemetry::Causes;

/// How soon an idle service notices that the database is back.
const PING_EVERY: Duration = Duration::from_secs(1);

/// How old the numbers of the metrics may be.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// How soon what was erased is gone from SQLite's write-ahead log too.
const TRUNCATE_EVERY: Duration = Duration::from_secs(1);

/// How often expired rows are removed.
const PURGE_EVERY: Duration = Duration::from_mins(1);

/// The pause between two batches: visitors and scans write too.
const BETWEEN_BATCHES: Duration = Duration::from_millis(20);

/// How many batches may take too long, one after another, until the rest waits for the next time.
/// Chosen: the last ones are a single row.
const MAX_LATE_BATCHES: u32 = 10;

/// Retention of an expired code or binding, in case clocks disagree or a caller is late.
const KEPT_AFTER_EXPIRY: Duration = Duration::from_hours(1);

/// Runs the periodic tasks: health check, gauges, purges, WAL truncation. One task in all.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) stores: Stores,
    /// Reports the supplies.
    pub(super) codes: Arc<Codes>,
    /// How long events and openids are kept.
    pub(super) retention: Duration,
    pub(super) clock: Arc<dyn Clock>,
}

impl Upkeep {
    /// Returns when `stop` is cancelled.
    pub(super) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.keep_watch() => {}
            // Beside it: these may take longer than the database may go unwatched.
            () = self.keep_clean() => {}
            () = self.keep_wal_short() => {}
        }
    }

    async fn keep_watch(&self) {
        let [mut ping, mut count] = [PING_EVERY, COUNT_EVERY].map(ticks);
        let mut warned_at = 0;
        loop {
            tokio::select! {
                _ = ping.tick() => self.watch().await,
                _ = count.tick() => self.count(&mut warned_at).await,
            }
        }
    }

    /// Truncates SQLite's write-ahead log soon after an erasure, which it would still hold.
    async fn keep_wal_short(&self) {
        let mut truncate = ticks(TRUNCATE_EVERY);
        loop {
            truncate.tick().await;
            self.stores.database.truncate_wal().await.ok();
        }
    }

    async fn keep_clean(&self) {
        let mut purge = ticks(PURGE_EVERY);
        loop {
            purge.tick().await;
            self.purge().await;
        }
    }

    /// The database itself logs its failure and its return.
    async fn watch(&self) {
        if self.stores.database.ping().await.is_ok() {
            self.codes.catch_up().await;
        }
    }

    async fn count(&self, warned_at: &mut u64) {
        self.codes.refresh_stops().await;
        let Ok(supplies) = self.codes.supplies().await else {
            return;
        };
        let (stock, limit) = (supplies.stock, supplies.permanent_limit);
        let percent = stock.percent_of(limit);
        if percent >= Stock::WARN_FROM_PERCENT && percent > *warned_at {
            tracing::warn!(
                used = stock.used,
                limit,
                percent,
                "the permanent codes are nearly used up"
            );
        }
        *warned_at = percent;
    }

    async fn purge(&self) {
        let now = self.clock.now();
        let until = now - KEPT_AFTER_EXPIRY;
        self.stores.codes.purge_leases(until).await.ok();
        self.until_done(|| self.stores.codes.purge_expired(until))
            .await;
        self.until_done(|| self.stores.bindings.purge_bindings(until))
            .await;
        self.until_done(|| self.stores.codes.purge_tickets(now))
            .await;
        self.until_done(|| self.stores.events.remove_old_events(now - self.retention))
            .await;
    }

    /// Removes batch after batch, as long as there is something to remove and the database is well,
    /// and pauses after each for other writers. After one that took too long the next one is
    /// smaller.
    async fn until_done<F>(&self, mut remove: impl FnMut() -> F)
    where
        F: Future<Output = Result<u64, db::Error>>,
    {
        let mut late = 0;
        while self.stores.database.is_up() {
            match remove().await {
                Ok(0) => return,
                Ok(_) => late = 0,
                Err(db::Error::Busy) if late < MAX_LATE_BATCHES => late += 1,
                Err(_) => return,
            }
            tokio::time::sleep(BETWEEN_BATCHES).await;
        }
    }
}

/// Checks SQLite's file for damage, once: reading all of it takes too long for a start.
pub(super) async fn check_integrity(database: Database, stop: CancellationToken) {
    match database.check_integrity(&stop).await {
        Ok(None) => {}
        Ok(Some(damage)) => tracing::error!(
            error = %damage,
            action = Damage::ACTION,
            "the database is damaged"
        ),
        Err(error) => tracing::warn!(
            error = %Causes(&error),
            "the database could not be checked for damage"
        ),
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
