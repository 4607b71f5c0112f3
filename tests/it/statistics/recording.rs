//! How events get into the database together, and what becomes of them when that does not go well.

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use jiff::tz::Offset;
use wechat::event::{Event, EventKind, Scan};
use wxqr::app::Stores;
use wxqr::bindings::NewBinding;
use wxqr::db;
use wxqr::statistics::Recorded;
use wxqr::statistics::{EventRecorder, NotRecorded};

use crate::support::app::APP_ID;
use crate::support::callback::{events, numbers};
use crate::support::database::Database;
use crate::support::eventually_async;

const NEW: Recorded = Recorded::New { binding: None };

fn recorder(store: &Stores) -> EventRecorder {
    EventRecorder::new(store.events.clone(), Offset::UTC)
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
    let recorder = recorder(&store);
    // They come at once, so that most of them are written together.
    let tickets = ["good", "good", "bad", "good", "good"];
    let asked = tickets.iter().enumerate();
    let results = join_all(asked.map(|(n, ticket)| recorder.record(scan(n, ticket)))).await;
    for (result, ticket) in results.iter().zip(tickets) {
        match result {
            Ok(receipt) => assert_eq!((&receipt.recorded, ticket), (&NEW, "good")),
            Err(NotRecorded::Database(error)) => {
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
async fn an_event_that_comes_twice_in_a_transaction_is_stored_once() {
    let database = Database::sqlite();
    let store = database.store().await;
    let recorder = recorder(&store);
    let record_all = |followers: Vec<usize>| {
        let scans = followers.into_iter().map(|n| scan(n, "unknown"));
        join_all(scans.map(|scan| recorder.record(scan)))
    };
    // After it a transaction may have 32 events.
    record_all((0..16).collect()).await;
    let results = record_all((16..46).chain([16]).collect()).await;
    let repeats = results.into_iter().map(|result| {
        let receipt = result.unwrap();
        receipt.recorded == Recorded::Repeat
    });
    let repeats: Vec<_> = repeats.collect();
    assert_eq!(repeats, [vec![false; 30], vec![true]].concat());
    assert_eq!(events(&store).await.len(), 46);
    let numbers = numbers(&store).await;
    assert_eq!((numbers.len(), numbers[0].numbers.scans), (1, 46));
}

#[tokio::test]
async fn an_event_whose_caller_leaves_is_stored_all_the_same() {
    let store = Database::memory().store().await;
    let recorder = recorder(&store);
    for n in 0..300 {
        let left = recorder.record(scan(n, "unknown")).now_or_never();
        assert!(left.is_none(), "nothing is stored yet");
    }
    eventually_async("they are stored", || async {
        events(&store).await.len() == 300
    })
    .await;
    let again = recorder.record(scan(0, "unknown")).await.unwrap();
    assert_eq!(again.recorded, Recorded::Repeat);
    assert_eq!(numbers(&store).await[0].numbers.scans, 300);
}

#[tokio::test]
async fn events_that_the_database_refuses_are_stored_when_they_come_again() {
    let database = Database::sqlite();
    let store = database.store().await;
    let recorder = recorder(&store);
    let crowd = || join_all((0..200).map(|n| recorder.record(scan(n, "unknown"))));
    let lock = database.lock(&["BEGIN IMMEDIATE"]).await;
    for result in crowd().await {
        let refusal = result.unwrap_err();
        assert!(matches!(
            refusal,
            NotRecorded::Database(_) | NotRecorded::Late
        ));
    }
    drop(lock);
    eventually_async("the database is there again", || async {
        store.database.ping().await.is_ok()
    })
    .await;
    for result in crowd().await {
        result.unwrap();
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
        reply: None,
        created_at: "2026-11-22T09:59:00Z".parse().unwrap(),
        expires_at: "2026-11-22T10:01:00Z".parse().unwrap(),
    };
    store.bindings.add_binding(&new).await.unwrap();
    database
        .run(&format!(
            "INSERT INTO ticket (appid, ticket, kind, scene) VALUES ('{APP_ID}', 'its', 'QR_STR_SCENE', 'its scene')"
        ))
        .await;
    let recorder = recorder(&store);
    let mut heard = recorder.scanned_bindings();
    let new = Recorded::New {
        binding: Some("binding".to_owned()),
    };
    for want in [new, Recorded::Repeat] {
        let receipt = recorder.record(scan(1, "its")).await.unwrap();
        assert_eq!(receipt.recorded, want);
    }
    let receipt = recorder.record(scan(2, "unknown")).await.unwrap();
    assert_eq!(receipt.recorded, NEW);
    assert_eq!(heard.try_recv().unwrap(), "binding");
    assert!(heard.try_recv().is_err(), "a repeat, and another code");
}
