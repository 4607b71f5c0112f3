//! A database of each engine, senders on it whose steps a test makes, and a clock that it moves.

use std::sync::Arc;

use jiff::Timestamp;
use wechat::event::EventKind;
use wxqr::app::Stores;
use wxqr::clock::{Clock as _, ManualClock, SystemClock};
use wxqr::db::UpstreamIdentity;
use wxqr::webhooks::{Monitor, Sender, WebhookSettings};

use crate::support::app::APP_ID;
use crate::support::database::Database;
use crate::support::events::record_at_last;
use crate::support::followers::Deed;

/// When a bench's clock starts.
const START: &str = "2026-11-01T00:00:00Z";

/// What signs.
pub(super) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// An account with a database of its own, at an hour that a test decides.
pub(super) struct Bench {
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Stores,
    pub(super) database: Database,
}

/// One with SQLite, and one with PostgreSQL where there is one.
pub(super) async fn benches() -> Vec<Bench> {
    let mut benches = vec![Bench::on(Database::sqlite()).await];
    if let Some(database) = Database::postgres().await {
        benches.push(Bench::on(database).await);
    }
    benches
}

impl Bench {
    pub(super) async fn on(database: Database) -> Self {
        Self::at(START.parse().unwrap(), database).await
    }

    /// One whose clock is right, and stands.
    pub(super) async fn now(database: Database) -> Self {
        Self::at(SystemClock.now(), database).await
    }

    async fn at(start: Timestamp, database: Database) -> Self {
        let clock = Arc::new(ManualClock::starting_at(start));
        let upstream = UpstreamIdentity::of_host("127.0.0.1");
        let url = database.url.as_str().into();
        let store = Stores::open(&url, APP_ID, &upstream, clock.clone(), None).await;
        Self {
            clock,
            store: store.unwrap(),
            database,
        }
    }

    /// A sender that has begun, as a process has it.
    pub(super) async fn sender(&self, url: &str) -> Sender {
        self.sender_with(url, SECRET, false).await
    }

    pub(super) async fn sender_with(&self, url: &str, secrets: &str, with_openids: bool) -> Sender {
        let settings = WebhookSettings {
            url: url.parse().unwrap(),
            secrets: secrets.parse().unwrap(),
            with_openids,
        };
        let (store, channels) = (&self.store, self.store.channels.clone());
        let monitor = Monitor::new(
            store.webhooks.clone(),
            store.events.clone(),
            self.clock.clone(),
        );
        let mut sender = Sender::new(settings, None, monitor, channels).unwrap();
        if self.progress_is_missing().await {
            assert!(!sender.step().await.unwrap(), "it begins");
        }
        sender
    }

    async fn progress_is_missing(&self) -> bool {
        let (store, events) = (self.store.webhooks.clone(), self.store.events.clone());
        let monitor = Monitor::new(store, events, self.clock.clone());
        monitor.status().await.unwrap().is_none()
    }

    /// Stores scans of so many followers.
    pub(super) async fn record(&self, first: usize, events: usize) {
        self.record_scene("poster", first, events).await;
    }

    /// The same of this scene, whose code is not known.
    pub(super) async fn record_scene(&self, scene: &str, first: usize, events: usize) {
        for n in first..first + events {
            let who = format!("oFollower{n:08}");
            let deed = Deed {
                who: &who,
                kind: EventKind::Scan,
                at: START,
                code: Some(("an-unknown-ticket", scene)),
            };
            record_at_last(&self.store, &[deed.dated()]).await;
        }
    }

    /// The ids of all events, in the order in which they were stored.
    pub(super) async fn event_ids(&self) -> Vec<String> {
        let events = crate::support::callback::events(&self.store).await;
        events.into_iter().map(|event| event.id).collect()
    }
}

/// Steps until there is nothing more to send at once.
pub(super) async fn drain(sender: &mut Sender) {
    while sender.step().await.unwrap() {}
}
