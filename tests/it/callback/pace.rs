//! How fast events are acknowledged, and what holds that up.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use wxqr::app::Stores;

use crate::support::Server;
use crate::support::callback::events;
use crate::support::client;
use crate::support::database::Database;
use crate::support::figures::{Figures, grouped, millis, sized};
use crate::support::fleet::{Replica, Upstream};
use crate::support::load::{Met, Paced};
use crate::support::pushes::{PushedEvent, TOKEN, signed_query};

/// How often WeChat pushes what is not acknowledged. In full size the first time has to do.
const DELIVERIES: usize = 4;

/// So many followers a second, for so long.
async fn followers_come(replica: &Replica, per_second: u32, time: Duration) -> Met {
    let (client, address) = (client(), replica.address);
    let load = Paced::start(per_second, move |n| {
        let client = client.clone();
        async move {
            let scene = format!("{}", n % 100);
            let follow = PushedEvent::follow(&format!("oFollower{n:08}"), &scene, "unknown");
            let url = format!("http://{address}/callback?{}", signed_query(&follow.openid));
            let mut answer = String::new();
            for _ in 0..sized(DELIVERIES, 1) {
                let pushed = client.post(&url).body(follow.xml()).send().await;
                let pushed = pushed.map_err(|error| error.to_string())?;
                if pushed.status() == 200 {
                    return Ok(());
                }
                answer = format!("{pushed:?}");
            }
            Err(answer)
        }
    });
    tokio::time::sleep(time).await;
    load.finish().await
}

async fn all_are_stored(store: &Stores, met: &Met) {
    assert!(met.failures.is_empty(), "{}", met.failures[0]);
    assert_eq!(events(store).await.len(), met.asked());
}

async fn events_are_acknowledged(database: Database, engine: &str) {
    let seconds = sized(2, 30);
    let upstream = Upstream::spawn().await;
    let settings = [("CALLBACK_TOKEN", TOKEN)];
    let replica = upstream.replica(&database.url, &settings).await;
    let met = followers_come(&replica, 500, Duration::from_secs(seconds)).await;
    all_are_stored(&database.store().await, &met).await;
    let mut figures = Figures::of(format!(
        "500 events a second for {seconds} s, stored in {engine}"
    ));
    let what = format!("of {} events, not acknowledged", grouped(met.asked()));
    figures.exactly(&what, 0, met.failures.len());
    figures.tell(
        "until they were acknowledged, p50",
        millis(met.percentile(50)),
    );
    let most = Duration::from_millis(50);
    figures.within(
        "until they were acknowledged, p99",
        most,
        met.percentile(99),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_acknowledged_once_they_are_stored() {
    events_are_acknowledged(Database::sqlite(), "SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_postgresql() {
    if let Some(database) = Database::postgres().await {
        events_are_acknowledged(database, "PostgreSQL").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_hangs_costs_no_event() {
    let (seconds, per_second) = sized((1, 50), (30, 90));
    let database = Database::sqlite();
    let upstream = Upstream::spawn().await;
    let hang = || async { std::future::pending::<()>().await };
    let (_server, old) = Server::spawn(|_| Router::new().fallback(hang)).await;
    let old = Arc::new(format!("http://{old}/wx"));
    let settings = [("CALLBACK_TOKEN", TOKEN), ("RELAY_URL", &old)];
    let replica = upstream.replica(&database.url, &settings).await;
    let met = followers_come(&replica, per_second, Duration::from_secs(seconds)).await;
    all_are_stored(&database.store().await, &met).await;
    let mut figures = Figures::of(format!(
        "The relay answers nothing, {per_second} events a second for {seconds} s"
    ));
    let what = format!(
        "of {} events, not stored or not acknowledged",
        grouped(met.asked())
    );
    figures.exactly(&what, 0, met.failures.len());
    let most = Duration::from_millis(4900);
    figures.within(
        "until they were acknowledged, p99",
        most,
        met.percentile(99),
    );
}
