//! How fast events are acknowledged, and what holds that up.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use serde_json::Value;
use wechat::push::Reply;
use wechat::scene::Scene;
use wechat::ticket::{IssuedCode, Life};
use wxqr::app::Stores;
use wxqr::channels::{Change, ChannelChange};
use wxqr::clock::{Clock as _, SystemClock};

use super::wechatpy;
use crate::support::Server;
use crate::support::callback::events;
use crate::support::client;
use crate::support::database::Database;
use crate::support::figures::{Figures, grouped, millis, sized};
use crate::support::fleet::{Replica, Upstream};
use crate::support::load::{Met, Paced};
use crate::support::pushes::{AES_KEY, PushedEvent, TOKEN, sealed, signed_query};

/// How often WeChat pushes what is not acknowledged. In full size the first time has to do.
const DELIVERIES: usize = 4;

/// How many codes they scan.
const CODES: usize = 100;

/// Whether pushes and their answers are encrypted.
#[derive(Debug, Clone, Copy)]
enum Mode {
    Plain,
    Safe,
}

impl Mode {
    /// The callback's settings.
    fn settings(self) -> Vec<(&'static str, &'static str)> {
        let token = ("CALLBACK_TOKEN", TOKEN);
        match self {
            Self::Plain => vec![token],
            Self::Safe => vec![token, ("ENCODING_AES_KEY", AES_KEY)],
        }
    }

    /// The query and the body of a push.
    fn push(self, event: &PushedEvent) -> (String, String) {
        match self {
            Self::Plain => (signed_query(&event.openid), event.xml()),
            Self::Safe => sealed(&event.openid, &event.xml()),
        }
    }
}

/// The answer to a follower's push.
struct PushAnswer {
    openid: String,
    body: String,
}

/// So many followers a second, for so long, and the answers to their pushes.
async fn followers_come(
    replica: &Replica,
    per_second: u32,
    time: Duration,
    mode: Mode,
) -> (Met, Vec<PushAnswer>) {
    let (client, address) = (client(), replica.address);
    let answers = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&answers);
    let load = Paced::start(per_second, move |n| {
        let (client, kept) = (client.clone(), Arc::clone(&kept));
        async move {
            let (scene, ticket) = (scene(n % CODES), ticket(n % CODES));
            let follow = PushedEvent::follow(&format!("oFollower{n:08}"), &scene, &ticket);
            let (query, push) = mode.push(&follow);
            let url = format!("http://{address}/callback?{query}");
            let mut answer = String::new();
            for _ in 0..sized(DELIVERIES, 1) {
                let pushed = client.post(&url).body(push.clone()).send().await;
                let pushed = pushed.map_err(|error| error.to_string())?;
                answer = format!("{pushed:?}");
                if pushed.status() == 200 {
                    let body = pushed.text().await.map_err(|error| error.to_string())?;
                    let openid = follow.openid;
                    kept.lock().unwrap().push(PushAnswer { openid, body });
                    return Ok(());
                }
            }
            Err(answer)
        }
    });
    tokio::time::sleep(time).await;
    let met = load.finish().await;
    let answers = std::mem::take(&mut *answers.lock().unwrap());
    (met, answers)
}

async fn all_are_stored(store: &Stores, met: &Met) {
    assert!(met.failures.is_empty(), "{}", met.failures[0]);
    assert_eq!(events(store).await.len(), met.asked());
}

/// Keeps codes with replies.
async fn keep_codes(store: &Stores, read: &str) {
    for n in 0..CODES {
        let scene: Scene = format!("QR_SCENE:{}", scene(n)).parse().unwrap();
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

/// The scene number of a code; scenes begin with 1.
fn scene(code: usize) -> String {
    (code + 1).to_string()
}

fn ticket(code: usize) -> String {
    format!("of-code-{code}")
}

async fn events_are_acknowledged(database: Database, engine: &str) {
    let how = format!("stored in {engine}");
    let (_, answers) = pace_of(&database, how, Mode::Plain).await;
    assert!(answers.iter().all(|answer| answer.body == "success"));
}

/// In the safe mode, so that a reply costs what it costs with a real account.
async fn events_are_replied_to(database: Database, engine: &str) {
    let read = "欢迎光临！Welcome to our shop.";
    keep_codes(&database.store().await, read).await;
    let how = format!("with encrypted replies, stored in {engine}");
    let (mut figures, answers) = pace_of(&database, how, Mode::Safe).await;
    let (openids, bodies): (Vec<_>, Vec<_>) = answers
        .into_iter()
        .map(|answer| (answer.openid, answer.body))
        .unzip();
    // Fails if a signature or the AppID is wrong.
    let Some(messages) = wechatpy::read(&bodies) else {
        return;
    };
    assert_eq!(messages.len(), openids.len());
    let is_wrong = |(opened, openid): &(&Value, &String)| {
        let message = &opened["message"];
        opened["encrypted"] != true
            || message["Content"] != read
            || message["ToUserName"] != openid.as_str()
    };
    let wrong = messages.iter().zip(&openids).filter(is_wrong).count();
    let what = format!(
        "of {} replies, decrypted and verified by wechatpy, wrong",
        grouped(messages.len())
    );
    figures.exactly(&what, 0, wrong);
    assert_eq!(wrong, 0);
}

/// The figures of 500 followers a second, and the answers to their pushes.
async fn pace_of(database: &Database, how: String, mode: Mode) -> (Figures, Vec<PushAnswer>) {
    let seconds = sized(2, 30);
    let upstream = Upstream::spawn().await;
    let replica = upstream.replica(&database.url, &mode.settings()).await;
    let time = Duration::from_secs(seconds);
    let (met, answers) = followers_come(&replica, 500, time, mode).await;
    all_are_stored(&database.store().await, &met).await;
    let mut figures = Figures::of(format!("500 events a second for {seconds} s, {how}"));
    let what = format!("of {} events, not acknowledged", grouped(met.asked()));
    figures.exactly(&what, 0, met.failures.len());
    figures.report(
        "until they were acknowledged, p50",
        millis(met.percentile(50)),
    );
    let most = Duration::from_millis(10);
    figures.within(
        "until they were acknowledged, p99",
        most,
        met.percentile(99),
    );
    (figures, answers)
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
    let (met, _) = followers_come(&replica, per_second, time, Mode::Plain).await;
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
