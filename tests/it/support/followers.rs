//! A service and what followers of its account did, put into its database as its callback would.

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use wechat::event::{Event, EventKind, Scan};
use wxqr::app::Stores;
use wxqr::statistics::DatedEvent;

use super::answer::Answer;
use super::app::{Builder, TestApp};
use super::database::Database;
use super::events::record_at_last;
use super::keys;

/// A service, and a second handle to its database.
pub(crate) struct Followed {
    pub(crate) app: TestApp,
    pub(crate) store: Stores,
    _database: Database,
}

/// An action of a follower: person, event, time, and the ticket and scene of the code, if one was
/// scanned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed<'a> {
    pub(crate) who: &'a str,
    pub(crate) kind: EventKind,
    pub(crate) at: &'a str,
    pub(crate) code: Option<(&'a str, &'a str)>,
}

impl Deed<'_> {
    /// On the day that it has in China.
    pub(crate) fn dated(&self) -> DatedEvent {
        let at: Timestamp = self.at.parse().unwrap();
        let day = jiff::tz::Offset::constant(8).to_datetime(at).date();
        self.on(day)
    }

    fn on(&self, day: Date) -> DatedEvent {
        let key = match (self.kind, self.code) {
            (EventKind::Subscribe, Some((_, scene))) => format!("qrscene_{scene}"),
            (_, Some((_, scene))) => scene.to_owned(),
            (_, None) => String::new(),
        };
        let scan = self.code.map(|(ticket, scene)| Scan {
            scene: scene.to_owned(),
            ticket: Some(ticket.parse().unwrap()),
        });
        DatedEvent {
            event: Event {
                kind: self.kind,
                openid: self.who.parse().unwrap(),
                created_at: self.at.parse().unwrap(),
                key,
                scan,
            },
            day,
        }
    }
}

impl Followed {
    pub(crate) async fn spawn() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(more: impl FnOnce(Builder) -> Builder) -> Self {
        Self::on(Database::sqlite(), more).await
    }

    /// On that database, which must not be one in memory.
    pub(crate) async fn on(database: Database, more: impl FnOnce(Builder) -> Builder) -> Self {
        let builder = TestApp::with().set("DATABASE_URL", database.url.clone());
        let app = more(builder).spawn().await;
        let store = database.store().await;
        Self {
            app,
            store,
            _database: database,
        }
    }

    /// Makes a code with names, as its owner would; its ticket.
    pub(crate) async fn code(&self, body: &Value) -> String {
        let answer = self
            .app
            .post_as(keys::ADMIN, "/api/codes", body.to_string());
        let answer = answer.await;
        assert!(answer.status.is_success(), "{answer:?}");
        answer.ticket()
    }

    pub(crate) async fn record(&self, deeds: &[Deed<'_>]) {
        let events: Vec<DatedEvent> = deeds.iter().map(Deed::dated).collect();
        for some in events.chunks(100) {
            record_at_last(&self.store, some).await;
        }
    }

    pub(crate) async fn get(&self, key: &str, path: &str) -> Answer {
        self.app.get_as(key, path).await
    }

    /// The rows of the statistics for a query.
    pub(crate) async fn rows(&self, query: &str) -> Vec<Value> {
        let answer = self.get(keys::STATS, &format!("/api/stats?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        answer.json()["rows"].as_array().unwrap().clone()
    }
}
