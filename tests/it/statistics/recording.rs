//! How events get into the store together, and what becomes of them when that does not go well.

use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use jiff::tz::Offset;
use wechat::event::{Event, EventKind, Scan};
use wxqr::app::Stores;
use wxqr::bindings::NewBinding;
use wxqr::db;
use wxqr::statistics::Recorded;
use wxqr::statistics::{NotRecorded, Scans};

use crate::support::app::APP_ID;
use crate::support::callback::{events, numbers};
use crate::support::database::Database;
use crate::support::eventually_async;

const NEW: Recorded = Recorded::New { binding: None };

fn scans(store: &Stores) -> Scans {
    Scans::new(store.events.clone(), Offset::UTC)
}

/// A scan by the follower of that number.
fn scan(follower: usize, ticket: &str) -> Event {
    Event {
        kind: EventKind::Scan,
        openid: format!("oFollower{follower:08}").parse().unwrap(),
        created_at: "2026-11-22T10:00:00Z".parse().unwrap(),
        key: "poster".to_owned(),
        scan: Some(Scan {
            scene: "poster".to_owned(),
            ticket: Some(ticket.parse().unwrap()),
        }),
    }
}

async fn only_the_event_that_meets_a_bad_row_is_refused(database: Database) {
    let store = database.store().await;
    database
        .run(&format!(
            "INSERT INTO ticket (appid, ticket, kind, scene) VALUES ('{APP_ID}', 'bad', 'NO_KIND', 'poster')"
        ))
        .await;
    let scans = scans(&store);
    // One task asks for all of them before the one that writes gets its turn, so that they are
    // written together.
    let tickets = ["good", "good", "bad", "good", "good"];
    let asked = tickets.iter().enumerate();
    let results = join_all(asked.map(|(n, ticket)| scans.record(scan(n, ticket)))).await;
    for (result, ticket) in results.iter().zip(tickets) {
        match result {
            Ok(recorded) => assert_eq!((recorded, ticket), (&NEW, "good")),
            Err(NotRecorded::Store(error)) => {
                assert!(matches!(error, db::Error::BadRow(_)), "{error}");
                assert_eq!(ticket, "bad");
            }
            Err(error) => unreachable!("{error}"),
        }
    }
    assert_eq!(events(&store).await.len(), 4);
    let rows = numbers(&store).await;
    assert_eq!((rows.len(), rows[0].numbers.scans), (1, 4), "{rows:?}");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_costs_no_neighbour() {
    only_the_event_that_meets_a_bad_row_is_refused(Database::sqlite()).await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_costs_no_neighbour_on_postgresql() {
    if let Some(database) = Database::postgres().await {
        only_the_event_that_meets_a_bad_row_is_refused(database).await;
    }
}

#[tokio::test]
async fn a_full_queue_of_events_refuses_at_once() {
    let store = Database::memory().store().await;
    let scans = scans(&store);
    // A dropped caller takes no event along; the writing task does not run meanwhile.
    let refused_at_once = |n: &usize| {
        let answer = scans.record(scan(*n, "unknown")).now_or_never();
        assert!(matches!(answer, None | Some(Err(NotRecorded::Crowded))));
        answer.is_some()
    };
    let waiting = (0..10_000).find(refused_at_once).unwrap();
    assert!(
        waiting >= 2 * wxqr::statistics::EventStore::MAX_EVENTS,
        "{waiting} may wait"
    );
    assert!(refused_at_once(&waiting), "as long as nothing is written");
    eventually_async("those who waited are stored", || async {
        events(&store).await.len() == waiting
    })
    .await;
    for n in 0..=waiting {
        let want = if n < waiting { Recorded::Repeat } else { NEW };
        assert_eq!(scans.record(scan(n, "unknown")).await.unwrap(), want);
    }
    let stored = u64::try_from(waiting + 1).unwrap();
    assert_eq!(numbers(&store).await[0].numbers.scans, stored);
}

/// So many events at once, and of how many the callers heard that the store refused them, or
/// nothing in time. The hands of the clock are moved by hand.
async fn refused_and_late(scans: &Scans, crowd: usize) -> (usize, usize) {
    let asked = (0..crowd).map(|n| scans.record(scan(n, "unknown")));
    tokio::time::pause();
    let three_seconds_pass = async {
        for _ in 0..60 {
            tokio::time::advance(Duration::from_millis(50)).await;
            // Lets the woken tasks run.
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    };
    let (results, ()) = tokio::join!(join_all(asked), three_seconds_pass);
    tokio::time::resume();
    let mut counts = (0, 0);
    for result in results {
        match result {
            Err(NotRecorded::Store(_)) => counts.0 += 1,
            Err(NotRecorded::Late) => counts.1 += 1,
            other => unreachable!("{other:?}"),
        }
    }
    counts
}

#[tokio::test]
async fn a_database_that_is_too_slow_gets_half_as_many_until_it_keeps_up() {
    let database = Database::sqlite();
    let store = database.store().await;
    let scans = scans(&store);
    for _ in 0..2 {
        let lock = database.lock(&["BEGIN IMMEDIATE"]).await;
        // Each write takes the second that it has, and callers wait for two and a half.
        let counts = refused_and_late(&scans, 200).await;
        assert_eq!(counts, (100 + 50, 50));
        drop(lock);
        eventually_async("the database is there again", || async {
            store.database.ping().await.is_ok()
        })
        .await;
        // With every write that succeeds the next one may be larger again.
        let asked = (0..200).map(|n| scans.record(scan(n, "unknown")));
        for result in join_all(asked).await {
            result.unwrap();
        }
    }
    assert_eq!(events(&store).await.len(), 200);
}

#[tokio::test]
async fn the_scan_of_a_binding_notifies_once() {
    let database = Database::sqlite();
    let store = database.store().await;
    let new = NewBinding {
        id: "binding".to_owned(),
        scene: "its scene".to_owned(),
        context: None,
        created_at: "2026-11-22T09:59:00Z".parse().unwrap(),
        expires_at: "2026-11-22T10:01:00Z".parse().unwrap(),
    };
    store.bindings.add_binding(&new).await.unwrap();
    database
        .run(&format!(
            "INSERT INTO ticket (appid, ticket, kind, scene) VALUES ('{APP_ID}', 'its', 'QR_STR_SCENE', 'its scene')"
        ))
        .await;
    let scans = scans(&store);
    let mut heard = scans.scanned_bindings();
    let told = Recorded::New {
        binding: Some("binding".to_owned()),
    };
    for want in [told, Recorded::Repeat] {
        assert_eq!(scans.record(scan(1, "its")).await.unwrap(), want);
    }
    assert_eq!(scans.record(scan(2, "unknown")).await.unwrap(), NEW);
    assert_eq!(heard.try_recv().unwrap(), "binding");
    assert!(heard.try_recv().is_err(), "a repeat, and another code");
}
