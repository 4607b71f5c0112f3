//! How fast events are acknowledged, and what holds that up.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use wechat::push::Reply;
use wechat::scene::Scene;
use wechat::ticket::{IssuedCode, Life};
use wxqr::app::Stores;
use wxqr::channels::{Change, ChannelChange};
use wxqr::clock::{Clock as _, SystemClock};

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

/// How many codes they scan.
const CODES: usize = 100;

/// So many followers a second, for so long. What they read has to hold this.
async fn followers_come(
    replica: &Replica,
    per_second: u32,
    time: Duration,
    read: &'static str,
) -> Met {
    let (client, address) = (client(), replica.address);
    let load = Paced::start(per_second, move |n| {
        let client = client.clone();
        async move {
            let (scene, ticket) = (format!("{}", n % CODES), ticket(n % CODES));
            let follow = PushedEvent::follow(&format!("oFollower{n:08}"), &scene, &ticket);
            let url = format!("http://{address}/callback?{}", signed_query(&follow.openid));
            let mut answer = String::new();
            for _ in 0..sized(DELIVERIES, 1) {
                let pushed = client.post(&url).body(follow.xml()).send().await;
                let pushed = pushed.map_err(|error| error.to_string())?;
                answer = format!("{pushed:?}");
                if pushed.status() == 200 {
                    let body = pushed.text().await.map_err(|error| error.to_string())?;
                    return body.contains(read).then_some(()).ok_or(body);
                }
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

/// Keeps codes with replies.
async fn keep_codes(store: &Stores, read: &str) {
    for n in 0..CODES {
        let scene: Scene = format!("QR_SCENE:{}", n + 1).parse().unwrap();
        let code = IssuedCode {
            ticket: ticket(n).parse().unwrap(),
            url: format!("http://weixin.qq.com/q/{n}").parse().unwrap(),
            life: Life::Temporary {
                minted_at: SystemClock.now(),
                asked: 86_400.try_into().unwrap(),
                granted: 86_400.try_into().unwrap(),
            },
        };
        store.codes.save(&scene, &code).await.unwrap();
        let reply = ChannelChange {
            reply: Change::Set(Reply::Text(read.parse().unwrap())),
            ..ChannelChange::default()
        };
        store.channels.change(&scene, &reply).await.unwrap();
    }
}

fn ticket(code: usize) -> String {
    format!("of-code-{code}")
}

async fn events_are_acknowledged(database: Database, engine: &str) {
    pace_of(&database, format!("stored in {engine}"), "success").await;
}

async fn events_are_replied_to(database: Database, engine: &str) {
    let read = "欢迎光临！Welcome to our shop.";
    keep_codes(&database.store().await, read).await;
    pace_of(&database, format!("with replies, stored in {engine}"), read).await;
}

async fn pace_of(database: &Database, how: String, read: &'static str) {
    let seconds = sized(2, 30);
    let upstream = Upstream::spawn().await;
    let settings = [("CALLBACK_TOKEN", TOKEN)];
    let replica = upstream.replica(&database.url, &settings).await;
    let met = followers_come(&replica, 500, Duration::from_secs(seconds), read).await;
    all_are_stored(&database.store().await, &met).await;
    let mut figures = Figures::of(format!("500 events a second for {seconds} s, {how}"));
    let what = format!("of {} events, not acknowledged", grouped(met.asked()));
    figures.exactly(&what, 0, met.failures.len());
    figures.tell(
        "until they were acknowledged, p50",
        millis(met.percentile(50)),
    );
    let most = Duration::from_millis(10);
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
async fn events_are_acknowledged_once_they_are_stored_on_postgresql() {
    if let Some(database) = Database::postgres().await {
        events_are_acknowledged(database, "PostgreSQL").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_hold_up_no_acknowledgement() {
    events_are_replied_to(Database::sqlite(), "SQLite").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_hold_up_no_acknowledgement_on_postgresql() {
    if let Some(database) = Database::postgres().await {
        events_are_replied_to(database, "PostgreSQL").await;
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
    let time = Duration::from_secs(seconds);
    let met = followers_come(&replica, per_second, time, "").await;
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
