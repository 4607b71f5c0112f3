//! How fast statistics are. In `cargo test` a small size only shows that it can be run; the figures
//! for which there are promises:
//!
//! ```sh
//! FULL_SIZE=1 cargo test --release --test it statistics::speed -- --test-threads=1 --nocapture
//! ```
//!
//! 1,000,000 events take some minutes to store, on each database. `TEST_DATABASE_URL` names a
//! PostgreSQL server.

use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use wechat::event::{Event, EventKind, Scan};
use wechat::scene::{PermanentScene, Scene};
use wechat::ticket::{IssuedCode, Life};
use wxqr::app::Stores;
use wxqr::channels::ChannelChange;
use wxqr::codes::ReserveOutcome;
use wxqr::statistics::{DatedEvent, EventFilter, EventOrder, Granularity, NumbersFilter};

use crate::support::app::TestApp;
use crate::support::database::Database;
use crate::support::events::record_at_last;
use crate::support::figures::{Figures, grouped, millis, sized};
use crate::support::keys;

/// The events of one call.
const MAX_BATCH: usize = 100;

/// Midnight by UTC, in which the days of this test are.
const START: &str = "2026-09-01T00:00:00Z";

const DAYS: usize = 90;

/// What a request for statistics of a month may take, to the last byte of the answer.
const PROMISED: Duration = Duration::from_millis(500);

/// How often each query runs; the longest time counts.
const TIMES: usize = 5;

struct Campaign {
    events: usize,
    channels: usize,
    people: usize,
}

impl Campaign {
    /// Everybody comes about twenty times, to three channels, so that most come back: that is more
    /// work than strangers are.
    fn sized() -> Self {
        Self {
            events: sized(6000, 1_000_000),
            channels: sized(30, 1000),
            people: sized(300, 50_000),
        }
    }

    /// In the order of time: scans of random people, and unfollows at the end.
    fn event(&self, n: usize) -> DatedEvent {
        let leaver = (n + self.leavers()).checked_sub(self.events);
        let who = leaver.unwrap_or_else(|| mixed(n) % self.people);
        let channel = (who * 7919 + mixed(n + self.events) % 3 * 331) % self.channels + 1;
        let second = n * DAYS * 86_400 / self.events;
        let start: Timestamp = START.parse().unwrap();
        let at = start + SignedDuration::from_secs(i64::try_from(second).unwrap());
        let kind = match leaver {
            Some(_) => EventKind::Unsubscribe,
            None if n.is_multiple_of(20) => EventKind::Subscribe,
            None => EventKind::Scan,
        };
        let is_scan = kind != EventKind::Unsubscribe;
        let event = Event {
            kind,
            openid: format!("o6_bmjrPTlm6_2sgVt7hM{who:06}").parse().unwrap(),
            created_at: at,
            key: if is_scan {
                channel.to_string()
            } else {
                String::new()
            },
            scan: is_scan.then(|| Scan {
                scene: channel.to_string(),
                ticket: Some(ticket(channel).parse().unwrap()),
            }),
        };
        DatedEvent {
            event,
            day: at.to_zoned(TimeZone::UTC).date(),
        }
    }

    fn leavers(&self) -> usize {
        self.people / 5
    }

    async fn open(&self, store: &Stores) {
        for channel in 1..=self.channels {
            let scene = PermanentScene::Id(channel.to_string().parse().unwrap());
            let Ok(ReserveOutcome::Granted(intent, _)) =
                store.codes.reserve(&scene, 100_000, None).await
            else {
                unreachable!("the stock is whole");
            };
            let code = IssuedCode {
                ticket: ticket(channel).parse().unwrap(),
                url: "http://weixin.qq.com/q/1".parse().unwrap(),
                life: Life::Permanent,
            };
            store.codes.confirm(&intent, &code).await.unwrap();
            let (label, group) = (format!("shop {channel}"), format!("city {}", channel % 20));
            let names = ChannelChange::naming(Some(&label), Some(&group));
            let scene = Scene::Permanent(scene);
            store.channels.change(&scene, &names).await.unwrap();
        }
    }

    /// Stores all events; returns the times of the batches, sorted.
    async fn run(&self, store: &Stores) -> Vec<Duration> {
        let mut times = Vec::new();
        let mut events = (0..self.events).map(|n| self.event(n)).peekable();
        while events.peek().is_some() {
            let batch: Vec<_> = events.by_ref().take(MAX_BATCH).collect();
            let started = Instant::now();
            record_at_last(store, &batch).await;
            times.push(started.elapsed());
        }
        times.sort();
        times
    }
}

/// A number that looks like chance (the end of splitmix64).
fn mixed(n: usize) -> usize {
    let mut z = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) >> 1).unwrap()
}

/// As long as WeChat's are.
fn ticket(channel: usize) -> String {
    format!("gQ{channel:094}")
}

fn day(n: usize) -> Date {
    let start: Timestamp = START.parse().unwrap();
    start.to_zoned(TimeZone::UTC).date() + i64::try_from(n).unwrap().days()
}

fn filter(from: usize, to: usize, granularity: Granularity) -> NumbersFilter {
    NumbersFilter {
        scene: None,
        group: None,
        from: day(from),
        to: day(to),
        granularity,
    }
}

/// The longest of some times, and how many rows came.
async fn ask(store: &Stores, filter: &NumbersFilter) -> (Duration, usize) {
    let (mut longest, mut rows) = (Duration::ZERO, 0);
    for _ in 0..TIMES {
        let started = Instant::now();
        rows = store.events.numbers(filter).await.unwrap().unwrap().count();
        longest = longest.max(started.elapsed());
    }
    (longest, rows)
}

/// Requests a month; returns the longest time to the whole answer.
async fn ask_service(app: &TestApp, span: &str, want: usize) -> Duration {
    let path = format!("/api/stats?from={}&to={}&by={span}", day(30), day(60));
    let mut longest = Duration::ZERO;
    for _ in 0..TIMES {
        let started = Instant::now();
        let answer = app.get_as(keys::STATS, &path).await;
        longest = longest.max(started.elapsed());
        assert_eq!(answer.json()["rows"].as_array().unwrap().len(), want);
    }
    longest
}

async fn measure(database: Database) {
    let service = TestApp::with()
        .set("DATABASE_URL", &database.url)
        .spawn()
        .await;
    let store = database.store().await;
    let campaign = Campaign::sized();
    let Campaign {
        events, channels, ..
    } = campaign;
    let [of, by] = [grouped(events), grouped(channels)];
    let mut figures = Figures::of(format!(
        "statistics of {of} events, {by} channels and {DAYS} days, on {}",
        store.database
    ));
    campaign.open(&store).await;
    let started = Instant::now();
    let batches = campaign.run(&store).await;
    figures.report("all stored in", millis(started.elapsed()));
    for percent in [50, 99, 100] {
        let time = batches[(batches.len() - 1) * percent / 100];
        figures.report(&format!("{percent} of 100 batches of 100"), millis(time));
    }

    for (span, rows) in [("total", channels), ("day", channels * 31)] {
        let what = format!("`/api/stats` of a month, by={span}, {} rows", grouped(rows));
        figures.within(&what, PROMISED, ask_service(&service, span, rows).await);
    }
    for (what, from, to, granularity, want) in [
        (
            "in the store alone, a month in total",
            30,
            60,
            Granularity::Total,
            channels,
        ),
        ("a month by day", 30, 60, Granularity::Day, channels * 31),
        ("90 days in total", 0, 89, Granularity::Total, channels),
        ("90 days by day", 0, 89, Granularity::Day, channels * 90),
    ] {
        let (longest, rows) = ask(&store, &filter(from, to, granularity)).await;
        assert_eq!(rows, want, "{what}");
        figures.report(&format!("{what}, {} rows", grouped(rows)), millis(longest));
    }
    let one = NumbersFilter {
        scene: Some("id:7".parse().unwrap()),
        ..filter(0, 89, Granularity::Day)
    };
    figures.report(
        "90 days of one code by day",
        millis(ask(&store, &one).await.0),
    );
    let group = NumbersFilter {
        group: Some("city 7".to_owned()),
        ..filter(0, 89, Granularity::Total)
    };
    figures.report(
        "90 days of a group in total",
        millis(ask(&store, &group).await.0),
    );
    lists(&store, &mut figures).await;
    let all = store
        .events
        .numbers(&filter(0, 89, Granularity::Total))
        .await
        .unwrap();
    let all: Vec<_> = all.unwrap().collect();
    let scans: u64 = all.iter().map(|row| row.numbers.scans).sum();
    let counted = [campaign.events - campaign.leavers(), campaign.leavers()];
    let lost: u64 = all.iter().map(|row| row.numbers.lost).sum();
    assert_eq!(scans, u64::try_from(counted[0]).unwrap());
    assert!(
        lost > 0 && lost <= u64::try_from(counted[1]).unwrap(),
        "{lost} lost"
    );
    store.database.close().await;
}

async fn lists(store: &Stores, figures: &mut Figures) {
    let scene = |scene: Option<&str>| EventFilter {
        scene: scene.map(|scene| scene.parse().unwrap()),
        since: None,
    };
    let newest = EventOrder::NewestFirst;
    let since = EventFilter {
        since: Some(START.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * 89)),
        scene: None,
    };
    for (what, filter, order) in [
        ("the newest 100 events", scene(None), newest),
        (
            "the newest 100 events of one code",
            scene(Some("id:7")),
            newest,
        ),
        (
            "the first 100 events",
            scene(None),
            EventOrder::StoredAfter(0),
        ),
        (
            "the first 100 events of the last day",
            since,
            EventOrder::StoredAfter(0),
        ),
    ] {
        let mut longest = Duration::ZERO;
        for _ in 0..TIMES {
            let started = Instant::now();
            let events = store
                .events
                .events(&filter, order, 100)
                .await
                .unwrap()
                .events;
            longest = longest.max(started.elapsed());
            assert!(!events.is_empty(), "{what}");
        }
        figures.report(what, millis(longest));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_a_million_events_on_sqlite() {
    measure(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_of_a_million_events_on_postgresql() {
    if let Some(database) = Database::postgres().await {
        measure(database).await;
    }
}
