//! How many rows a write reads with PostgreSQL that has no statistics of its tables: by the
//! server's own counters.

use std::sync::Arc;

use futures_util::future::join_all;
use wechat::event::EventKind;
use wxqr::app::Stores;
use wxqr::clock::SystemClock;

use super::contract::{APP_ID, open, temporary};
use super::round_trips::{begin, finish};
use crate::support::database::Database;
use crate::support::events::record;
use crate::support::eventually_async;
use crate::support::followers::Deed;

/// Rows of each table that are there before, none of which a write concerns.
const OTHERS: usize = 3_000;

/// Mints or events at once.
const WRITES: u32 = 32;

/// What mints use: tables, and what fills them with a row for each number `n`. The leases are
/// removed again; an index has their entries until it is vacuumed.
const CODES: &[(&str, &str)] = &[
    (
        "code",
        "(appid, kind, scene, scene_digits, ticket, url, minted_at, created_at, asked, granted, expires_at)
         SELECT 'wxtest', 'QR_SCENE', n::text, 7, 'ticket-' || n, 'http://weixin.qq.com/q/' || n, 1, 1, 60, 60, 60001",
    ),
    (
        "channel",
        "(appid, kind, scene, label) SELECT 'wxtest', 'QR_SCENE', n::text, 'Shop ' || n",
    ),
    (
        "lease",
        "(appid, name, holder, held_until) SELECT 'wxtest', 'QR_SCENE:' || n, 'holder', 1",
    ),
];

/// What events use.
const EVENTS: &[(&str, &str)] = &[
    (
        "event",
        "(appid, id, seq, at, day, event, person, kind, scene)
         SELECT 'wxtest', 'event-' || n, n, n, '2026-11-30', 'SCAN', 'person-' || n, 'QR_STR_SCENE', 'a-scene'",
    ),
    (
        "follower",
        "SELECT 'wxtest', 'person-' || n, 'openid-' || n, 1, 0, n",
    ),
    (
        "newcomer",
        "SELECT 'wxtest', 'person-' || n, n, 'QR_STR_SCENE', 'a-scene', '2026-11-30'",
    ),
    (
        "ticket",
        "SELECT 'wxtest', 'ticket-' || n, 'QR_STR_SCENE', 'a-scene', NULL::bigint",
    ),
    (
        "last_visit",
        "SELECT 'wxtest', 'person-' || n, 'QR_STR_SCENE', 'a-scene', '2026-11-29'",
    ),
    (
        "binding",
        "(appid, id, scene, created_at, expires_at) SELECT 'wxtest', 'id-' || n, 'scene-' || n, 1, 2",
    ),
    (
        "channel",
        "(appid, kind, scene, label) SELECT 'wxtest', 'QR_STR_SCENE', n::text, 'Shop ' || n",
    ),
];

/// A database with tables that are filled, and of which PostgreSQL has no statistics.
struct Filled {
    database: Database,
    store: Stores,
    tables: &'static [(&'static str, &'static str)],
}

impl Filled {
    async fn with(tables: &'static [(&'static str, &'static str)]) -> Option<Self> {
        let database = Database::postgres().await?;
        let opened = open(&database.url, APP_ID, "test", Arc::new(SystemClock)).await;
        for (table, rows) in tables {
            let numbers = format!("generate_series(1000001, {}) AS n", 1_000_000 + OTHERS);
            for sql in [
                format!("ALTER TABLE {table} SET (autovacuum_enabled = false)"),
                format!("INSERT INTO {table} {rows} FROM {numbers}"),
            ] {
                database.run(&sql).await;
            }
        }
        database.run("DELETE FROM lease").await;
        let filled = Self {
            database,
            store: opened.unwrap(),
            tables,
        };
        let leases = tables.iter().filter(|(table, _)| *table == "lease").count();
        let changes = OTHERS * (tables.len() + leases);
        let counted = async || filled.sum_of("n_tup_ins + n_tup_del").await == changes;
        eventually_async("the rows are counted", counted).await;
        Some(filled)
    }

    /// The rows of the tables and the entries of their indexes that writes read. A connection
    /// reports its numbers when it is closed, the insertions with all others.
    async fn reads(self, writes: impl AsyncFnOnce(&Stores)) -> usize {
        let before = self.read().await;
        let inserted = self.inserted_into_first().await;
        writes(&self.store).await;
        self.store.database.close().await;
        let counted = async || self.inserted_into_first().await == inserted + WRITES as usize;
        eventually_async("the rows are counted", counted).await;
        self.read().await - before
    }

    async fn read(&self) -> usize {
        let names = self.names();
        let of_indexes = format!(
            "SELECT CAST(sum(idx_tup_read) AS TEXT) FROM pg_stat_user_indexes WHERE relname IN ({names})"
        );
        self.sum_of("seq_tup_read").await + self.number(&of_indexes).await
    }

    async fn inserted_into_first(&self) -> usize {
        let (first, _) = self.tables[0];
        let sql = format!(
            "SELECT CAST(n_tup_ins AS TEXT) FROM pg_stat_user_tables WHERE relname = '{first}'"
        );
        self.number(&sql).await
    }

    /// The sum of a counter over the tables.
    async fn sum_of(&self, counter: &str) -> usize {
        let names = self.names();
        let sql = format!(
            "SELECT CAST(sum({counter}) AS TEXT) FROM pg_stat_user_tables WHERE relname IN ({names})"
        );
        self.number(&sql).await
    }

    async fn number(&self, sql: &str) -> usize {
        self.database.text(sql).await.unwrap().parse().unwrap()
    }

    fn names(&self) -> String {
        let names = self.tables.iter().map(|(name, _)| format!("'{name}'"));
        names.collect::<Vec<_>>().join(", ")
    }
}

async fn mint(store: &Stores, id: u32) {
    let lease = begin(store, &temporary(id)).await;
    finish(store, temporary(id), lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mints_read_no_rows_of_other_scenes() {
    let Some(filled) = Filled::with(CODES).await else {
        return;
    };
    let read = filled.reads(async |store| {
        join_all((1..=WRITES).map(|id| mint(store, id))).await;
    });
    let read = read.await;
    assert!(read < OTHERS / 4, "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_read_no_rows_of_other_persons() {
    let Some(filled) = Filled::with(EVENTS).await else {
        return;
    };
    let read = filled.reads(async |store| {
        let persons: Vec<_> = (1..=WRITES).map(|n| format!("oNew{n}")).collect();
        let scans = persons.iter().map(|who| Deed {
            who,
            kind: EventKind::Scan,
            at: "2026-11-30T04:00:00Z",
            code: Some(("ticket-1000001", "a-scene")),
        });
        let scans: Vec<_> = scans.map(|scan| scan.dated()).collect();
        record(store, &scans).await.unwrap();
    });
    let read = read.await;
    assert!(read < OTHERS / 4, "{read}");
}
