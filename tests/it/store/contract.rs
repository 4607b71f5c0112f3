//! What the database promises is tried on a [`Bench`] of each engine; [`contract!`] makes the
//! tests.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use wechat::scene::{PermanentScene, Scene, TemporaryScene};
use wechat::ticket::{IssuedCode, Life};
use wxqr::app::Stores;
use wxqr::clock::{Clock, ManualClock};
use wxqr::db::{OpenError, UpstreamIdentity};

use crate::support::database::Database;

pub(super) const APP_ID: &str = "wxtest";

/// When a bench's clock starts: midnight by UTC, eight in the morning in China.
pub(super) const START: &str = "2026-11-01T00:00:00Z";

pub(super) const MINUTE: Duration = Duration::from_mins(1);

/// Makes a test of each promise, a function of a [`Bench`], for each engine.
macro_rules! contract {
    ($($engine:ident)+: $promises:tt) => {
        $(contract!(@engine $engine $promises);)+
    };
    (@engine $engine:ident { $($promise:ident,)* }) => {
        mod $engine {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $promise() {
                if let Some(bench) = crate::store::contract::Bench::$engine().await {
                    super::$promise(bench).await;
                }
            })*
        }
    };
}
pub(super) use contract;

/// An account in a database of its own, at an hour that a test decides.
pub(super) struct Bench {
    pub(super) database: Database,
    pub(super) clock: Arc<ManualClock>,
    /// The first handle; the only one to a database in memory.
    pub(super) store: Stores,
}

impl Bench {
    pub(super) async fn sqlite() -> Option<Self> {
        Some(Self::on(Database::sqlite()).await)
    }

    pub(super) async fn memory() -> Option<Self> {
        Some(Self::on(Database::memory()).await)
    }

    pub(super) async fn postgres() -> Option<Self> {
        Some(Self::on(Database::postgres().await?).await)
    }

    pub(super) async fn pgbouncer() -> Option<Self> {
        Some(Self::on(Database::pooled().await?).await)
    }

    pub(super) async fn on(database: Database) -> Self {
        let clock = Arc::new(ManualClock::starting_at(START.parse().unwrap()));
        let store = open(&database.url, APP_ID, "test", clock.clone()).await;
        Self {
            database,
            clock,
            store: store.unwrap(),
        }
    }

    /// The stores as another replica has them.
    pub(super) async fn replica(&self) -> Stores {
        if self.is_in_memory() {
            return self.store.clone();
        }
        let opened = open(&self.database.url, APP_ID, "test", self.clock.clone());
        opened.await.unwrap()
    }

    pub(super) async fn replicas(&self) -> [Stores; 3] {
        [
            self.replica().await,
            self.replica().await,
            self.replica().await,
        ]
    }

    pub(super) fn is_in_memory(&self) -> bool {
        self.database.url.contains(":memory:")
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Opens a store of codes that this host of WeChat makes.
pub(super) async fn open(
    url: &str,
    app_id: &str,
    host: &str,
    clock: Arc<dyn Clock>,
) -> Result<Stores, OpenError> {
    Stores::open(
        &url.into(),
        app_id,
        &UpstreamIdentity::of_host(host),
        clock,
        None,
    )
    .await
}

pub(super) fn temporary(id: u32) -> Scene {
    Scene::Temporary(TemporaryScene::Id(id.to_string().parse().unwrap()))
}

/// A number where the text is one.
pub(super) fn permanent(scene: &str) -> PermanentScene {
    match scene.parse() {
        Ok(id) => PermanentScene::Id(id),
        Err(_) => PermanentScene::Text(scene.parse().unwrap()),
    }
}

pub(super) fn code(ticket: &str, life: Life) -> IssuedCode {
    IssuedCode {
        ticket: ticket.parse().unwrap(),
        url: format!("http://weixin.qq.com/q/{ticket}").parse().unwrap(),
        life,
    }
}

pub(super) fn for_ever(ticket: &str) -> IssuedCode {
    code(ticket, Life::Permanent)
}

/// A temporary code that was asked for two hours and was granted less.
pub(super) fn for_a_while(ticket: &str, minted_at: Timestamp, granted: u64) -> IssuedCode {
    let life = Life::Temporary {
        minted_at,
        asked: 7200.try_into().unwrap(),
        granted: granted.try_into().unwrap(),
    };
    code(ticket, life)
}
