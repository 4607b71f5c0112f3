//! What the database promises about events, statistics and followers, against each engine.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use wechat::event::{Event, EventKind, Scan};
use wechat::scene::{Kind, PermanentScene, Scene, SceneText, TemporaryScene};
use wxqr::app::Stores;
use wxqr::channels::{Channel, ChannelChange, ChannelFilter, Order};
use wxqr::clock::{Clock as _, ManualClock};
use wxqr::codes::{ReserveOutcome, SceneFilter};
use wxqr::db::{OpenError, UpstreamIdentity};
use wxqr::statistics::{
    Attribution, DatedEvent, EventFilter, EventOrder, Granularity, Numbers, NumbersFilter,
    PersonKey, Recorded, StoredEvent, Sums,
};

use super::contract::{APP_ID, Bench, START, contract, for_a_while, for_ever, permanent};
use crate::support::database::Database;
use crate::support::events::record;

const DAY: Duration = Duration::from_hours(24);

const NEWEST_FIRST: EventOrder = EventOrder::NewestFirst;

impl Bench {
    async fn record(&self, events: &[Event]) -> Vec<Recorded> {
        record(&self.store, &dated(events)).await.unwrap()
    }

    /// Makes a permanent code whose ticket is `t` and the scene.
    async fn code(&self, scene: &str) {
        self.mint(&permanent(scene), &format!("t{scene}")).await;
    }

    async fn mint(&self, scene: &PermanentScene, ticket: &str) {
        let reserved = self
            .store
            .codes
            .reserve(scene, 100_000, None)
            .await
            .unwrap();
        let ReserveOutcome::Granted(intent, _) = reserved else {
            unreachable!("{reserved:?}");
        };
        self.store
            .codes
            .confirm(&intent, &for_ever(ticket))
            .await
            .unwrap();
    }

    async fn total(&self, from: i8, to: i8) -> Vec<(String, [u64; 4])> {
        self.numbers(&filter(from, to, Granularity::Total)).await
    }

    async fn numbers(&self, filter: &NumbersFilter) -> Vec<(String, [u64; 4])> {
        let rows = self.store.events.numbers(filter).await.unwrap();
        let shown = rows.unwrap().map(|row| {
            let code = shown(&row.attribution);
            let day = row
                .day
                .map_or(String::new(), |day| format!(" {}", day.day()));
            (format!("{code}{day}"), four(row.numbers))
        });
        shown.collect()
    }

    async fn last_seq(&self) -> u64 {
        let all = EventFilter::default();
        let page = self.store.events.events(&all, NEWEST_FIRST, 1).await;
        page.unwrap().last_seq
    }

    async fn listed(&self, filter: &EventFilter, order: EventOrder) -> Vec<StoredEvent> {
        let page = self.store.events.events(filter, order, 1000).await;
        page.unwrap().events
    }

    async fn all(&self) -> Vec<StoredEvent> {
        self.listed(&EventFilter::default(), NEWEST_FIRST).await
    }

    /// Another binding, and the ticket of its code.
    async fn binding(&self, name: &str, lives: Duration) -> String {
        let (now, ticket) = (self.clock.now(), format!("ticket-of-{name}"));
        let end = (now + lives).as_millisecond();
        let scene = format!("wxqr.{name}");
        self.database
            .run(&format!(
                "INSERT INTO binding (appid, id, scene, created_at, expires_at)
                 VALUES ('{APP_ID}', '{name}', '{scene}', {}, {end})",
                now.as_millisecond()
            ))
            .await;
        self.database
            .run(&format!(
                "INSERT INTO ticket (appid, ticket, kind, scene, kept_until)
                 VALUES ('{APP_ID}', '{ticket}', 'QR_STR_SCENE', '{scene}', {end})"
            ))
            .await;
        ticket
    }

    async fn one(&self, sql: &str) -> Option<String> {
        let mut looking = self.database.lock(&[]).await;
        let row = sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut looking)
            .await
            .unwrap();
        sqlx::Row::get(&row, 0)
    }
}

fn four(numbers: Numbers) -> [u64; 4] {
    [
        numbers.scans,
        numbers.people,
        numbers.new_followers,
        numbers.lost,
    ]
}

fn shown(attribution: &Attribution) -> String {
    match attribution {
        Attribution::Code(scene) => scene.value().to_string(),
        Attribution::Unknown(text) => format!("?{text}"),
    }
}

fn date(day: i8) -> Date {
    jiff::civil::date(2026, 11, day)
}

fn filter(from: i8, to: i8, granularity: Granularity) -> NumbersFilter {
    NumbersFilter {
        scene: None,
        group: None,
        from: date(from),
        to: date(to),
        granularity,
    }
}

fn dated(events: &[Event]) -> Vec<DatedEvent> {
    let day = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let dated = events.iter().cloned().map(|event| DatedEvent {
        day: day(event.created_at),
        event,
    });
    dated.collect()
}

/// An event some hours after the start; the code is the one whose ticket is given, `""` is none.
fn event(hour: i64, who: &str, kind: EventKind, scene: &str, ticket: &str) -> Event {
    let start: Timestamp = START.parse().unwrap();
    let through_a_code = !(scene.is_empty() && ticket.is_empty());
    let prefix = if kind == EventKind::Subscribe && through_a_code {
        "qrscene_"
    } else {
        ""
    };
    Event {
        kind,
        openid: who.parse().unwrap(),
        created_at: start + SignedDuration::from_hours(hour),
        key: format!("{prefix}{scene}"),
        scan: through_a_code.then(|| Scan {
            scene: scene.to_owned(),
            ticket: ticket.parse().ok(),
        }),
    }
}

/// Follows through the permanent code of a scene.
fn follow(hour: i64, who: &str, scene: &str) -> Event {
    event(hour, who, EventKind::Subscribe, scene, &format!("t{scene}"))
}

fn scan(hour: i64, who: &str, scene: &str) -> Event {
    event(hour, who, EventKind::Scan, scene, &format!("t{scene}"))
}

fn leave(hour: i64, who: &str) -> Event {
    event(hour, who, EventKind::Unsubscribe, "", "")
}

const NEW: Recorded = Recorded::New { binding: None };

fn row(code: &str, numbers: [u64; 4]) -> (String, [u64; 4]) {
    (code.to_owned(), numbers)
}

async fn an_event_counts_once_however_often_it_comes(bench: Bench) {
    bench.code("1").await;
    let replica = bench.replica().await;
    let first = scan(1, "a", "1");
    let other = scan(1, "a", "2");
    assert_eq!(
        bench
            .record(&[first.clone(), other.clone(), first.clone()])
            .await,
        [NEW, NEW, Recorded::Repeat]
    );
    let again = dated(&[scan(2, "a", "1"), first.clone(), other]);
    let recorded = record(&replica, &again).await.unwrap();
    assert_eq!(recorded, [NEW, Recorded::Repeat, Recorded::Repeat]);
    assert_eq!(bench.record(&[first]).await, [Recorded::Repeat]);
    assert_eq!(bench.record(&[]).await, []);
    assert_eq!(
        bench.total(1, 1).await,
        [row("1", [2, 1, 0, 0]), row("?2", [1, 1, 0, 0])]
    );
    let ids: BTreeSet<_> = bench
        .all()
        .await
        .into_iter()
        .map(|event| event.id)
        .collect();
    assert_eq!(ids.len(), 3);
}

async fn a_scan_belongs_to_the_code_of_its_ticket(bench: Bench) {
    bench.code("1").await;
    let temporary = Scene::new(Kind::QrScene, "1").unwrap();
    let now = bench.clock.now();
    for ticket in ["later", "earlier"] {
        let minted_at = if ticket == "later" {
            now
        } else {
            now - DAY / 24
        };
        let code = for_a_while(ticket, minted_at, 60);
        bench.store.codes.save(&temporary, &code).await.unwrap();
    }
    let reserved = bench
        .store
        .codes
        .reserve(&permanent("poster"), 10, None)
        .await
        .unwrap();
    let ReserveOutcome::Granted(intent, _) = reserved else {
        unreachable!("the ledger is empty");
    };
    for ticket in ["first", "second"] {
        bench
            .store
            .codes
            .confirm(&intent, &for_ever(ticket))
            .await
            .unwrap();
    }
    let by = |who: &str, scene: &str, ticket: &str| event(1, who, EventKind::Scan, scene, ticket);
    let recorded = bench
        .record(&[
            by("a", "1", "t1"),
            by("b", "1", "later"),
            by("c", "1", "earlier"),
            by("d", "poster", "first"),
            by("e", "poster", "second"),
            by("f", "1", "nobodys"),
            by("g", "1", ""),
            by("h", "poster", "t1"),
            event(1, "i", EventKind::Subscribe, "", ""),
        ])
        .await;
    assert!(recorded.iter().all(|one| *one == NEW), "{recorded:?}");
    let rows = bench
        .store
        .events
        .numbers(&filter(1, 1, Granularity::Total))
        .await
        .unwrap();
    let listed: Vec<_> = rows
        .unwrap()
        .map(|row| (row.attribution, row.numbers.scans))
        .collect();
    let code = |kind, scene| Attribution::Code(Scene::new(kind, scene).unwrap());
    assert_eq!(
        listed,
        [
            (Attribution::Code(temporary), 2),
            (code(Kind::QrLimitScene, "1"), 2),
            (code(Kind::QrLimitStrScene, "poster"), 2),
            (Attribution::Unknown("1".to_owned()), 2),
        ]
    );
}

async fn a_ticket_is_remembered_sixty_days_past_its_end(bench: Bench) {
    bench.code("1").await;
    let scene = Scene::new(Kind::QrStrScene, "poster").unwrap();
    let code = for_a_while("poster", bench.clock.now(), 60);
    bench.store.codes.save(&scene, &code).await.unwrap();
    let end = bench.clock.now() + Duration::from_mins(1) + DAY * 60;
    assert_eq!(bench.store.codes.purge_expired(end).await.unwrap(), 1);
    assert_eq!(bench.store.codes.purge_tickets(end).await.unwrap(), 0);
    let late = event(1, "a", EventKind::Scan, "poster", "poster");
    bench.record(&[late]).await;
    let later = end + Duration::from_millis(1);
    assert_eq!(bench.store.codes.purge_tickets(later).await.unwrap(), 1);
    assert_eq!(
        bench
            .store
            .codes
            .purge_tickets(later + DAY * 10_000)
            .await
            .unwrap(),
        0
    );
    let too_late = event(2, "a", EventKind::Scan, "poster", "poster");
    bench.record(&[too_late, scan(2, "a", "1")]).await;
    assert_eq!(
        bench.total(1, 1).await,
        [
            row("poster", [1, 1, 0, 0]),
            row("1", [1, 1, 0, 0]),
            row("?poster", [1, 1, 0, 0])
        ]
    );
}

async fn a_ticket_stays_with_its_first_code_and_is_kept_longer(bench: Bench) {
    let [scene, other] = ["1", "2"].map(|text| Scene::new(Kind::QrScene, text).unwrap());
    let now = bench.clock.now();
    for (scene, minted_at) in [(&scene, now), (&scene, now + DAY), (&other, now + DAY * 2)] {
        let code = for_a_while("same", minted_at, 60);
        bench.store.codes.save(scene, &code).await.unwrap();
    }
    let end = now + DAY * 61 + Duration::from_mins(1);
    assert_eq!(bench.store.codes.purge_tickets(end).await.unwrap(), 0);
    bench
        .record(&[event(1, "a", EventKind::Scan, "2", "same")])
        .await;
    assert_eq!(bench.total(1, 1).await, [row("1", [1, 1, 0, 0])]);
    let later = end + Duration::from_millis(1);
    assert_eq!(bench.store.codes.purge_tickets(later).await.unwrap(), 1);
}

async fn numbers_are_listed_of_every_code_that_matters(bench: Bench) {
    for scene in ["1", "2", "poster"] {
        bench.code(scene).await;
    }
    let store = &bench.store;
    let name = |label: Option<&str>, group: Option<&str>| Channel {
        label: label.map(str::to_owned),
        group: group.map(str::to_owned),
    };
    let number = |kind, scene| Scene::new(kind, scene).unwrap();
    let shop = number(Kind::QrScene, "7");
    store
        .channels
        .change(&shop, &ChannelChange::naming(Some("shop"), Some("south")))
        .await
        .unwrap();
    let two = number(Kind::QrLimitScene, "2");
    store
        .channels
        .change(&two, &ChannelChange::naming(None, Some("south")))
        .await
        .unwrap();
    let nameless = number(Kind::QrScene, "9");
    let code = for_a_while("nameless", bench.clock.now(), 60);
    store.codes.save(&nameless, &code).await.unwrap();
    store
        .codes
        .reserve(&permanent("unknown outcome"), 100, None)
        .await
        .unwrap();
    bench
        .record(&[
            follow(1, "a", "1"),
            scan(30, "b", "2"),
            scan(31, "a", "2"),
            scan(55, "b", "2"),
            scan(60, "a", "nobodys"),
            event(61, "c", EventKind::Subscribe, "2", "nobodys"),
            leave(62, "c"),
        ])
        .await;

    let all = bench.total(1, 3).await;
    let (one, two) = (row("1", [1, 1, 1, 0]), row("2", [3, 2, 0, 0]));
    let (poster, seven) = (row("poster", [0; 4]), row("7", [0; 4]));
    let (no_ones, lost) = (row("?nobodys", [1, 1, 0, 0]), row("?2", [1, 1, 1, 1]));
    let want = [&seven, &one, &two, &poster, &lost, &no_ones];
    assert_eq!(all, want.map(Clone::clone));

    let group = NumbersFilter {
        group: Some("south".to_owned()),
        ..filter(2, 3, Granularity::Total)
    };
    assert_eq!(bench.numbers(&group).await, [seven.clone(), two.clone()]);
    let rows = store.events.numbers(&group).await.unwrap();
    let rows: Vec<_> = rows.unwrap().collect();
    assert_eq!(rows[0].channel, name(Some("shop"), Some("south")));
    assert_eq!(rows[1].channel, name(None, Some("south")));

    for (scene, want) in [
        ("id:2", vec![two.clone(), lost.clone()]),
        ("str:2", vec![lost]),
        ("id:9", vec![row("9", [0; 4])]),
        ("str:poster", vec![poster]),
        ("str:nobodys", vec![no_ones]),
        ("str:unknown outcome", vec![]),
        ("id:3", vec![]),
    ] {
        let one = NumbersFilter {
            scene: Some(scene.parse().unwrap()),
            ..filter(1, 3, Granularity::Total)
        };
        assert_eq!(bench.numbers(&one).await, want, "scene {scene}");
    }
    let both = NumbersFilter {
        scene: Some("id:2".parse().unwrap()),
        ..group
    };
    assert_eq!(bench.numbers(&both).await, [two]);
}

async fn numbers_by_day_have_every_day(bench: Bench) {
    bench.code("1").await;
    bench
        .record(&[
            scan(25, "a", "1"),
            scan(26, "a", "1"),
            scan(27, "b", "1"),
            scan(49, "a", "1"),
            scan(50, "c", "lost"),
        ])
        .await;
    assert_eq!(
        bench.numbers(&filter(1, 3, Granularity::Day)).await,
        [
            row("1 1", [0; 4]),
            row("1 2", [3, 2, 0, 0]),
            row("1 3", [1, 1, 0, 0]),
            row("?lost 1", [0; 4]),
            row("?lost 2", [0; 4]),
            row("?lost 3", [1, 1, 0, 0]),
        ]
    );
    for (from, to, people) in [(1, 3, 2), (2, 2, 2), (3, 3, 1), (2, 3, 2), (4, 9, 0)] {
        let total = bench.total(from, to).await;
        assert_eq!(total[0].1[1], people, "days {from} to {to}");
    }
    let long = NumbersFilter {
        to: date(1) + 200.years(),
        ..filter(1, 1, Granularity::Day)
    };
    let rows = bench.store.events.numbers(&long).await.unwrap();
    assert!(rows.is_none(), "too many");
    let backwards = filter(2, 1, Granularity::Day);
    assert_eq!(bench.numbers(&backwards).await, []);
}

async fn events_are_listed_in_either_order_page_by_page(bench: Bench) {
    bench.code("1").await;
    let start = bench.clock.now();
    let hours = [5, 3, 3, 9, 1, 7];
    for (n, hour) in hours.into_iter().enumerate() {
        let who = format!("o{n}");
        let event = match n {
            1 => event(hour, &who, EventKind::Subscribe, "", ""),
            3 => leave(hour, &who),
            4 => event(hour, &who, EventKind::Scan, "1", "nobodys"),
            _ => scan(hour, &who, "1"),
        };
        bench.record(&[event]).await;
    }
    let by = |order: &[usize]| order.iter().map(|n| format!("o{n}")).collect::<Vec<_>>();
    let at = |hour: i64| start + SignedDuration::from_hours(hour);
    let newest = [3, 5, 0, 2, 1, 4];
    for (scene, since, newest, stored) in [
        (None, None, &newest[..], &[0, 1, 2, 3, 4, 5][..]),
        (None, Some(at(3)), &[3, 5, 0, 2, 1], &[0, 1, 2, 3, 5]),
        (None, Some(at(10)), &[], &[]),
        (Some("id:1"), None, &[5, 0, 2, 4], &[0, 2, 4, 5]),
        (Some("id:1"), Some(at(5)), &[5, 0], &[0, 5]),
        (Some("str:1"), None, &[4], &[4]),
        (Some("id:2"), None, &[], &[]),
    ] {
        let scene: Option<SceneFilter> = scene.map(|scene| scene.parse().unwrap());
        let filter = EventFilter { scene, since };
        for page in [1, 2, 100] {
            let (mut newest, stored) = (by(newest), by(stored));
            newest.truncate(page);
            let page_of_newest = bench.store.events.events(&filter, NEWEST_FIRST, page).await;
            assert_eq!(names(&page_of_newest.unwrap().events), newest, "{filter:?}");
            assert_eq!(walk_on(&bench, &filter, page).await, stored, "{filter:?}");
        }
    }
    let all = bench.all().await;
    assert_eq!(all[0].kind, EventKind::Unsubscribe);
    assert_eq!((&all[0].openid, &all[0].attribution), (&None, &None));
    assert_eq!((all[0].at, all[5].at), (at(9), at(1)));
    let unknown = Attribution::Unknown("1".to_owned());
    assert_eq!(all[5].attribution, Some(unknown));
    let code = Scene::new(Kind::QrLimitScene, "1").unwrap();
    assert_eq!(all[1].attribution, Some(Attribution::Code(code)));
    assert_eq!(
        (all[4].kind, &all[4].attribution),
        (EventKind::Subscribe, &None)
    );
}

/// Events are listed with openids, except those of people who left.
fn names(events: &[StoredEvent]) -> Vec<String> {
    let name = |event: &StoredEvent| {
        let openid = event.openid.as_ref();
        openid.map_or("o3".to_owned(), |openid| openid.as_str().to_owned())
    };
    events.iter().map(name).collect()
}

async fn walk_on(bench: &Bench, filter: &EventFilter, page: usize) -> Vec<String> {
    let (mut walked, mut after) = (Vec::new(), 0);
    loop {
        let order = EventOrder::StoredAfter(after);
        let events = bench
            .store
            .events
            .events(filter, order, page)
            .await
            .unwrap()
            .events;
        let Some(last) = events.last() else {
            return walked;
        };
        after = last.seq;
        walked.extend(names(&events));
    }
}

async fn an_openid_is_given_only_while_its_owner_follows(bench: Bench) {
    let openid = || async { bench.all().await[0].openid.clone() };
    bench.record(&[follow(5, "a", "1")]).await;
    assert_eq!(openid().await, Some("a".parse().unwrap()));
    bench.record(&[leave(4, "a")]).await;
    assert_eq!(openid().await, Some("a".parse().unwrap()), "it came late");
    bench.record(&[leave(6, "a")]).await;
    assert_eq!(openid().await, None);
    bench.record(&[scan(6, "a", "1"), scan(1, "a", "1")]).await;
    assert_eq!(openid().await, None, "in the same second, and before");
    bench.record(&[follow(8, "a", "")]).await;
    assert_eq!(openid().await, Some("a".parse().unwrap()), "back again");
    let people: BTreeSet<_> = bench
        .all()
        .await
        .into_iter()
        .map(|one| one.person)
        .collect();
    assert_eq!(people.len(), 1, "one name for all of it");
}

async fn retention_keeps_the_numbers_and_what_they_need(bench: Bench) {
    bench.code("1").await;
    let recorded = [
        follow(1, "a", "1"),
        scan(30, "a", "1"),
        follow(31, "b", "1"),
        follow(32, "c", "2"),
        leave(33, "c"),
        scan(80, "b", "1"),
    ];
    bench.record(&recorded).await;
    let want = bench.total(1, 30).await;
    let before = bench.clock.now() + DAY * 2;
    assert_eq!(
        bench.store.events.remove_old_events(before).await.unwrap(),
        5 + 1
    );
    assert_eq!(
        bench.store.events.remove_old_events(before).await.unwrap(),
        0
    );
    assert_eq!(bench.total(1, 30).await, want);
    let left = bench.all().await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].openid, Some("b".parse().unwrap()), "heard of since");

    // `a`, whose openid is forgotten, comes again to the same code, and follows again.
    bench
        .record(&[scan(100, "a", "1"), follow(101, "a", "2")])
        .await;
    bench.record(&[scan(102, "c", "1"), leave(103, "b")]).await;
    let both = row("1", [6, 3, 2, 1]);
    assert_eq!(bench.total(1, 30).await, [both, row("?2", [2, 2, 1, 0])]);
    for (from, people) in [(2, 3), (3, 3), (4, 3), (5, 2)] {
        assert_eq!(
            bench.total(from, 30).await[0].1[1],
            people,
            "from day {from}"
        );
    }
    let held = bench.all().await.into_iter().filter_map(|one| one.openid);
    let held: BTreeSet<_> = held.map(|openid| openid.as_str().to_owned()).collect();
    assert_eq!(held, BTreeSet::from(["a", "c"].map(str::to_owned)));
}

async fn retention_removes_events_batch_by_batch(bench: Bench) {
    for batch in 0..6_i64 {
        let events: Vec<_> = (0..100)
            .map(|n| scan(batch, &format!("o{n}-{batch}"), "1"))
            .collect();
        bench.record(&events).await;
    }
    let before = bench.clock.now() + DAY;
    let mut forgotten = Vec::new();
    for _ in 0..3 {
        forgotten.push(bench.store.events.remove_old_events(before).await.unwrap());
    }
    assert_eq!(forgotten, [1000, 200, 0]);
    assert_eq!(bench.all().await, []);
    assert_eq!(bench.total(1, 1).await, [row("?1", [600, 600, 0, 0])]);
}

async fn a_scan_of_a_binding_takes_it_once_and_is_no_statistics(bench: Bench) {
    let ticket = bench.binding("b1", DAY).await;
    bench.binding("b2", DAY).await;
    let scanned = |hour, who| event(hour, who, EventKind::Scan, "wxqr.b1", &ticket);
    let of_binding = Recorded::New {
        binding: Some("b1".to_owned()),
    };
    let late = scanned(25, "late");
    let recorded = bench.record(&[late]).await;
    assert_eq!(recorded, std::slice::from_ref(&of_binding));
    let taken = "SELECT person FROM binding WHERE id = 'b1'";
    assert_eq!(bench.one(taken).await, None, "it had ended");
    let by_follow = event(24, "first", EventKind::Subscribe, "wxqr.b1", &ticket);
    let both = [by_follow.clone(), scanned(2, "second")];
    assert_eq!(
        bench.record(&both).await,
        [of_binding.clone(), of_binding.clone()]
    );
    assert_eq!(bench.record(&[by_follow]).await, [Recorded::Repeat]);
    bench.record(&[scanned(1, "third")]).await;
    let person = bench.one(taken).await.unwrap();
    let scanned_at = "SELECT CAST(scanned_at AS TEXT) FROM binding WHERE id = 'b1'";
    let at = (bench.clock.now() + DAY).as_millisecond().to_string();
    assert_eq!(bench.one(scanned_at).await, Some(at));
    let other = "SELECT person FROM binding WHERE id = 'b2'";
    assert_eq!(bench.one(other).await, None);

    assert_eq!(bench.total(1, 30).await, []);
    assert_eq!(bench.all().await, []);
    let in_order = EventOrder::StoredAfter(0);
    assert_eq!(bench.listed(&EventFilter::default(), in_order).await, []);
    bench.record(&[scan(30, "first", "1")]).await;
    let listed = bench.all().await;
    assert_eq!(listed[0].person, person, "the first one, who is the same");
    assert_eq!(bench.total(1, 30).await, [row("?1", [1, 1, 0, 0])]);
}

async fn a_binding_goes_after_its_end_and_its_scans_are_still_none(bench: Bench) {
    let ticket = bench.binding("b1", DAY).await;
    let end = bench.clock.now() + DAY;
    assert_eq!(bench.store.bindings.purge_bindings(end).await.unwrap(), 0);
    let later = end + Duration::from_millis(1);
    assert_eq!(bench.store.bindings.purge_bindings(later).await.unwrap(), 1);
    let scanned = |who, ticket| event(1, who, EventKind::Subscribe, "wxqr.b1", ticket);
    assert_eq!(bench.record(&[scanned("a", &ticket)]).await, [NEW]);
    assert_eq!(bench.record(&[scanned("b", "lost")]).await, [NEW]);
    assert_eq!(bench.total(1, 30).await, []);
    assert_eq!(bench.all().await, []);
    let removed = bench.store.events.remove_old_events(end).await.unwrap();
    assert_eq!(removed, 2 + 2, "events and openids");
}

async fn codes_of_bindings_are_not_listed(bench: Bench) {
    bench.binding("b1", DAY).await;
    for scene in ["wxqr.b1", "poster"] {
        let end = (bench.clock.now() + DAY).as_millisecond();
        bench
            .database
            .run(&format!(
                "INSERT INTO code (appid, kind, scene, ticket, url, minted_at, asked, granted, expires_at)
                 VALUES ('{APP_ID}', 'QR_STR_SCENE', '{scene}', 't', 'http://weixin.qq.com/q/1', 0, 60, 60, {end})"
            ))
            .await;
    }
    let listed = bench
        .store
        .channels
        .list(&ChannelFilter::default(), Order::default(), None, 10)
        .await
        .unwrap();
    let scenes: Vec<_> = listed
        .items
        .iter()
        .map(|one| one.scene.value().to_string())
        .collect();
    assert_eq!(scenes, ["poster"]);
    let binding = Scene::Temporary(TemporaryScene::Text(SceneText::reserved("b1")));
    let scene = NumbersFilter {
        scene: Some(SceneFilter::from(&binding)),
        ..filter(1, 3, Granularity::Total)
    };
    assert_eq!(bench.numbers(&scene).await, []);
    let later = bench.clock.now() + DAY * 2;
    assert_eq!(bench.store.bindings.purge_bindings(later).await.unwrap(), 1);
    let listed = bench
        .store
        .channels
        .list(&ChannelFilter::default(), Order::default(), None, 10)
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1, "not even without its binding");
}

async fn a_page_and_its_last_place_are_of_one_moment(bench: Bench) {
    bench.code("1").await;
    bench.record(&[scan(0, "first", "1")]).await;
    let other = bench.replica().await;
    let writing = tokio::spawn(async move {
        for second in 1..200 {
            let event = [scan(second, "a", "1")];
            record(&other, &dated(&event)).await.unwrap();
        }
    });
    let mut pages = 0;
    while !writing.is_finished() {
        let all = EventFilter::default();
        let page = bench
            .store
            .events
            .events(&all, NEWEST_FIRST, 1)
            .await
            .unwrap();
        assert_eq!(page.events[0].seq, page.last_seq);
        pages += 1;
    }
    writing.await.unwrap();
    assert!(pages > 0, "some were read meanwhile");
}

async fn sums_are_those_of_all_codes(bench: Bench) {
    bench.code("1").await;
    assert_eq!(bench.last_seq().await, 0);
    bench
        .record(&[
            follow(1, "a", "1"),
            scan(2, "a", "1"),
            follow(25, "b", "lost"),
            leave(26, "b"),
        ])
        .await;
    let last = bench.all().await[0].seq;
    assert_eq!(bench.last_seq().await, last);
    let sums = |day: Option<i8>, [scans, new_followers, lost]: [u64; 3]| Sums {
        day: day.map(date),
        scans,
        new_followers,
        lost,
    };
    let (first, second) = ([2, 1, 0], [1, 1, 1]);
    let by_day = [(1, first), (2, second), (3, [0; 3])];
    for (granularity, scene, want) in [
        (Granularity::Total, None, vec![sums(None, [3, 2, 1])]),
        (Granularity::Total, Some("id:1"), vec![sums(None, first)]),
        (Granularity::Total, Some("id:9"), vec![sums(None, [0; 3])]),
        (
            Granularity::Day,
            None,
            by_day.map(|(day, of)| sums(Some(day), of)).to_vec(),
        ),
    ] {
        let filter = NumbersFilter {
            scene: scene.map(|scene| scene.parse().unwrap()),
            ..filter(1, 3, granularity)
        };
        assert_eq!(
            bench.store.events.sums(&filter).await.unwrap(),
            want,
            "{filter:?}"
        );
    }
}

/// The tickets of codes that were there before tickets were kept.
async fn an_older_database_brings_its_tickets(bench: Bench) {
    bench.code("1").await;
    let scene = Scene::new(Kind::QrStrScene, "poster").unwrap();
    let code = for_a_while("poster", bench.clock.now(), 60);
    bench.store.codes.save(&scene, &code).await.unwrap();
    let rows = "SELECT MIN(kind) || MIN(kept_until) || MAX(kind) || COUNT(*) FROM ticket";
    let before = bench.one(rows).await.unwrap();
    for table in [
        "ticket",
        "follower",
        "newcomer",
        "event",
        "event_log",
        "last_visit",
        "tally",
        "revisit",
        "binding",
    ] {
        bench.database.run(&format!("DROP TABLE {table}")).await;
    }
    // Replies came later, to one of these tables and to the channels.
    for statement in [
        "ALTER TABLE channel DROP COLUMN reply",
        "DELETE FROM _sqlx_migrations WHERE version IN (3, 8)",
    ] {
        bench.database.run(statement).await;
    }
    let replica = bench.replica().await;
    assert_eq!(bench.one(rows).await.unwrap(), before);
    let scanned = dated(&[scan(1, "a", "1")]);
    record(&replica, &scanned).await.unwrap();
}

contract! { sqlite postgres: {
    an_event_counts_once_however_often_it_comes,
    a_scan_belongs_to_the_code_of_its_ticket,
    a_ticket_is_remembered_sixty_days_past_its_end,
    a_ticket_stays_with_its_first_code_and_is_kept_longer,
    numbers_are_listed_of_every_code_that_matters,
    numbers_by_day_have_every_day,
    events_are_listed_in_either_order_page_by_page,
    an_openid_is_given_only_while_its_owner_follows,
    retention_keeps_the_numbers_and_what_they_need,
    retention_removes_events_batch_by_batch,
    a_scan_of_a_binding_takes_it_once_and_is_no_statistics,
    a_binding_goes_after_its_end_and_its_scans_are_still_none,
    codes_of_bindings_are_not_listed,
    a_page_and_its_last_place_are_of_one_moment,
    sums_are_those_of_all_codes,
    an_older_database_brings_its_tickets,
}}

/// A repeat is known by its name: it stays one.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_from_outside_gives_the_names_of_the_one_before_it() {
    for bench in [Bench::sqlite().await, Bench::postgres().await] {
        let Some(bench) = bench else { continue };
        let events = dated(&[follow(1, "a", "1")]);
        record(&bench.store, &events).await.unwrap();
        let held = "SELECT value FROM about WHERE name = 'person_key'";
        let key: PersonKey = bench.database.text(held).await.unwrap().parse().unwrap();
        let (url, upstream) = (
            bench.database.url.as_str().into(),
            UpstreamIdentity::of_host("test"),
        );
        let open = |key| Stores::open(&url, APP_ID, &upstream, bench.clock.clone(), key);
        let opened = Stores::open_now(&url, APP_ID, &upstream, bench.clock.clone(), Some(&key));
        opened.await.unwrap();
        assert!(
            bench.database.text(held).await.is_some(),
            "opening moves nothing"
        );
        for _ in 0..2 {
            let store = open(Some(&key)).await.unwrap();
            let recorded = record(&store, &events).await.unwrap();
            assert!(matches!(recorded[..], [Recorded::Repeat]), "{recorded:?}");
            assert_eq!(bench.database.text(held).await, None);
        }
        let other = PersonKey::random();
        let refused = open(Some(&other)).await.unwrap_err();
        assert!(matches!(refused, OpenError::Feature { .. }), "{refused:?}");
        let refused = open(None).await.unwrap_err();
        assert!(matches!(refused, OpenError::Feature { .. }), "{refused:?}");
        assert!(refused.is_configuration());
    }
}

/// A new database takes a key from outside as it is, and holds it to that.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_keeps_no_key_that_comes_from_outside() {
    let database = Database::sqlite();
    let (url, upstream) = (
        database.url.as_str().into(),
        UpstreamIdentity::of_host("test"),
    );
    let clock = Arc::new(ManualClock::starting_at(START.parse().unwrap()));
    let (key, other) = (PersonKey::random(), PersonKey::random());
    let open = |key| Stores::open(&url, APP_ID, &upstream, clock.clone(), Some(key));
    open(&key).await.unwrap();
    let held = "SELECT value FROM about WHERE name = 'person_key'";
    assert_eq!(database.text(held).await, None);
    open(&key).await.unwrap();
    let refused = open(&other).await.unwrap_err();
    assert!(matches!(refused, OpenError::Feature { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_database_in_memory_counts_as_others_do() {
    let bench = Bench::on(Database::memory()).await;
    bench.code("1").await;
    bench.record(&[follow(1, "a", "1"), leave(2, "a")]).await;
    assert_eq!(bench.total(1, 1).await, [row("1", [1, 1, 1, 1])]);
    bench.store.database.truncate_wal().await.unwrap();
    assert_eq!(bench.all().await.len(), 2);
}
