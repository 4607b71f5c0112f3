//! The database while another client holds locks, and while it does not answer: what fails,
//! and what goes on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{Connection as _, Row as _};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use wechat::ticket::IssuedCode;
use wxqr::app::Stores;
use wxqr::channels::ChannelChange;
use wxqr::clock::{Clock as _, SystemClock};
use wxqr::codes::{Intent, ReserveOutcome};
use wxqr::db::{Error, OpenError, UpstreamIdentity};

use super::contract::{self, APP_ID, for_a_while, for_ever, permanent, temporary};
use crate::support::database::Database;
use crate::support::eventually_async;
use crate::support::wire::Wire;

async fn open(url: &str) -> Stores {
    let opened = contract::open(url, APP_ID, "test", Arc::new(SystemClock));
    opened.await.unwrap()
}

fn short_lived() -> IssuedCode {
    for_a_while("ticket", SystemClock.now(), 60)
}

async fn granted(store: &Stores, scene: &str) -> Intent {
    match reserved(store, scene).await {
        ReserveOutcome::Granted(intent, _) => intent,
        other => unreachable!("{other:?}"),
    }
}

/// Reserves a scene, however busy the machine is. A refusal of the database fails the test.
async fn reserved(store: &Stores, scene: &str) -> ReserveOutcome {
    loop {
        match store.codes.reserve(&permanent(scene), 10_000, None).await {
            Ok(reservation) => return reservation,
            Err(Error::Timeout | Error::Busy) => store.database.ping().await.ok(),
            Err(error) => unreachable!("{error:?}"),
        };
    }
}

/// Waits until the database refuses a call, and nothing worse. A busy machine may be too slow for
/// that at first.
async fn fails_alone<T, F>(store: &Stores, call: impl Fn() -> F)
where
    F: Future<Output = Result<T, Error>>,
{
    eventually_async("the call fails, and the store is up", || async {
        store.database.ping().await.ok();
        let result = call().await;
        assert!(result.is_err(), "it needs the lock");
        matches!(result, Err(Error::Failed(_))) && store.database.is_up()
    })
    .await;
}

#[tokio::test]
async fn a_locked_row_fails_the_call_that_needs_it_and_nothing_else() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let [store, replica] = [open(&database.url).await, open(&database.url).await];
    let intent = granted(&store, "first").await;
    let theirs = database
        .lock(&["BEGIN", "SELECT used FROM stock FOR UPDATE"])
        .await;
    for store in [&store, &replica] {
        fails_alone(store, || async {
            store.codes.reserve(&permanent("second"), 100, None).await
        })
        .await;
    }
    store
        .codes
        .confirm(&intent, &for_ever("ticket"))
        .await
        .unwrap();
    store
        .codes
        .save(&temporary(1), &short_lived())
        .await
        .unwrap();
    assert!(replica.codes.find(&temporary(1)).await.unwrap().is_some());
    theirs.close().await.unwrap();
    granted(&store, "second").await;
}

#[tokio::test]
async fn a_result_is_written_while_many_commands_wait_for_a_lock() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = open(&database.url).await;
    let intent = granted(&store, "first").await;
    let theirs = database
        .lock(&["BEGIN", "LOCK TABLE channel IN EXCLUSIVE MODE"])
        .await;
    let named = ChannelChange::naming(Some("shop"), None);
    let scene = temporary(1);
    let crowd = (0..100).map(|_| store.channels.change(&scene, &named));
    let confirm = async {
        // They came first.
        tokio::task::yield_now().await;
        store.codes.confirm(&intent, &for_ever("ticket")).await
    };
    let (crowd, confirmed) = tokio::join!(join_all(crowd), confirm);
    confirmed.unwrap();
    assert!(crowd.iter().all(Result::is_err));
    assert!(crowd.iter().any(|one| matches!(one, Err(Error::Busy))));
    theirs.close().await.unwrap();
    store.channels.find(&scene).await.unwrap();
}

/// More than one process has turns for, for longer than one waits for another's lock.
#[tokio::test(flavor = "multi_thread")]
async fn writers_of_one_process_do_not_fail_each_other() {
    let database = Database::sqlite();
    let store = open(&database.url).await;
    let writers = (0..32).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            for round in 0..40 {
                reserved(&store, &format!("{n} {round}")).await;
            }
        })
    });
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    assert_eq!(store.codes.stock().await.unwrap().used, 32 * 40);
}

#[tokio::test]
async fn a_writer_of_another_process_fails_writes_and_not_the_database() {
    let database = Database::sqlite();
    let store = open(&database.url).await;
    store
        .codes
        .save(&temporary(1), &short_lived())
        .await
        .unwrap();
    let theirs = database.lock(&["BEGIN IMMEDIATE"]).await;
    fails_alone(&store, || async {
        store.codes.save(&temporary(2), &short_lived()).await
    })
    .await;
    fails_alone(&store, || async {
        store.codes.reserve(&permanent("second"), 100, None).await
    })
    .await;
    assert!(store.codes.find(&temporary(1)).await.unwrap().is_some());
    theirs.close().await.unwrap();
    store
        .codes
        .save(&temporary(2), &short_lived())
        .await
        .unwrap();
    granted(&store, "second").await;
}

#[tokio::test]
async fn a_database_that_is_far_away_is_opened_all_the_same() {
    let Some((_database, _wire, url)) = Wire::to_database(Duration::from_millis(20)).await else {
        return;
    };
    let upstream = UpstreamIdentity::of_host("test");
    let store = Stores::open_now(&url.into(), APP_ID, &upstream, Arc::new(SystemClock), None).await;
    granted(&store.unwrap(), "poster").await;
}

/// The figure is in `docs/operating.md`.
#[tokio::test]
async fn a_replica_keeps_eight_connections() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let _store = open(&database.url).await;
    let looking = Mutex::new(database.lock(&[]).await);
    eventually_async("there are eight", || async {
        let count = "SELECT COUNT(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let mut looking = looking.lock().await;
        let counted = sqlx::query(count).fetch_one(&mut *looking).await.unwrap();
        counted.get::<i64, _>(0) == 8
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://{}/x", silent.local_addr().unwrap());
    let url = url.as_str().into();
    let upstream = UpstreamIdentity::of_host("test");
    let open = Stores::open_now(&url, APP_ID, &upstream, Arc::new(SystemClock), None);
    let opened = tokio::time::timeout(Duration::from_mins(1), open).await;
    let refused = opened.expect("it ends by itself").unwrap_err();
    assert!(matches!(refused, OpenError::Unreachable(_)), "{refused:?}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_down_until_it_does() {
    let Some((_database, wire, url)) = Wire::to_database(Duration::ZERO).await else {
        return;
    };
    let store = open(&url).await;
    wire.cut();
    let unanswered = store.codes.find(&temporary(1)).await;
    assert!(unanswered.is_err(), "{unanswered:?}");
    assert!(!store.database.is_up());
    wire.mend();
    eventually_async("it is up", || async { store.database.ping().await.is_ok() }).await;
    assert!(store.database.is_up());
    store.codes.find(&temporary(1)).await.unwrap();
}

#[tokio::test]
async fn a_database_that_may_only_be_read_is_down_until_it_may_be_written_to() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let store = open(&database.url).await;
    for (is_read_only, is_up) in [(true, false), (false, true)] {
        database.make_read_only(is_read_only).await;
        eventually_async("the store is as its database", || async {
            store.codes.save(&temporary(1), &short_lived()).await.ok();
            store.database.ping().await.ok();
            store.database.is_up() == is_up
        })
        .await;
    }
}
