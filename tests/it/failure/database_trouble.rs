//! Mints while the database is in trouble: no code that WeChat made is lost or made twice, and
//! nothing is called for that the replicas would have to agree on.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::task::{JoinHandle, block_in_place};
use wxqr::db::{DEADLINE, Damage};

use crate::support::answer::Answer;
use crate::support::database::{Cluster, Database};
use crate::support::figures::in_time;
use crate::support::fleet::{Replica, Upstream, tickets};
use crate::support::keys;
use crate::support::served::Served;
use crate::support::visitors::{HEALED_WITHIN, LONGEST_WAIT, known_codes, readiness, visit};
use crate::support::wire::Wire;
use crate::support::{eventually, eventually_async};

const POSTER: &str = "/qrcode.json?scene_str=poster&permanent=true";

/// Whatever is waited for comes before the caller is sent away.
const PATIENT: (&str, &str) = ("UPSTREAM_TIMEOUT", "30s");

fn unavailable() -> (u16, String) {
    (503, "store_unavailable".to_owned())
}

/// Asks with the key, in a task of its own.
fn asking(replica: &Replica, path: &str) -> JoinHandle<Answer> {
    tokio::spawn(Answer::to(replica.request(path).bearer_auth(keys::ADMIN)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_code_that_came_while_the_database_was_away_is_written_down_when_it_is_back() {
    let Some(cluster) = block_in_place(Cluster::start) else {
        return;
    };
    let (upstream, gate) = Upstream::gated().await;
    let replica = upstream.replica(&cluster.url(), &[PATIENT]).await;
    gate.shut();
    let asked = asking(&replica, POSTER);
    eventually("WeChat made the code", || upstream.creates() == 1).await;
    block_in_place(|| cluster.stop());
    gate.open();
    assert_eq!(asked.await.unwrap().problem(), unavailable());
    let unwritten = "a permanent code could not be saved: retrying";
    let logged = replica.process.wait_for_line(unwritten).await;
    let logged: Value = serde_json::from_str(&logged).unwrap();

    block_in_place(|| cluster.resume());
    let written = "the permanent code is saved";
    replica
        .process
        .wait_for_line(&format!("\"{written}\""))
        .await;
    let other = upstream.replica(&cluster.url(), &[]).await;
    for replica in [&replica, &other] {
        let visitor = replica.get(POSTER).await;
        assert_eq!(visitor.ticket(), ticket_in(&logged), "{visitor:?}");
        assert_eq!(replica.stock().await, (1, 0));
    }
    assert_eq!(upstream.creates(), 1);
}

/// The ticket that a line of the log names.
fn ticket_in(line: &Value) -> &str {
    let ticket = line["ticket"]
        .as_str()
        .or(line["fields"]["ticket"].as_str());
    assert!(ticket.is_some(), "{line}");
    ticket.unwrap()
}

/// A process that knows that its database is away.
struct Alone {
    upstream: Upstream,
    replica: Replica,
    cluster: Cluster,
    scenes: AtomicU32,
}

impl Alone {
    /// None where there is no PostgreSQL.
    async fn with(settings: &[(&str, &str)]) -> Option<Self> {
        let cluster = block_in_place(Cluster::start)?;
        let upstream = Upstream::spawn().await;
        let replica = upstream.replica(&cluster.url(), settings).await;
        let alone = Self {
            upstream,
            replica,
            cluster,
            scenes: AtomicU32::new(1),
        };
        assert_eq!(alone.new_code().await.status, StatusCode::OK);
        block_in_place(|| alone.cluster.stop());
        let account = alone.replica.keyed("/api/account").await;
        assert_eq!(account.problem(), unavailable());
        Some(alone)
    }

    /// Asks for a code that is nowhere yet.
    async fn new_code(&self) -> Answer {
        let id = self.scenes.fetch_add(1, Ordering::Relaxed);
        self.replica
            .keyed(&format!("/qrcode.json?scene_id={id}"))
            .await
    }

    /// Brings the database back and waits for a new code.
    async fn heal(&self) {
        block_in_place(|| self.cluster.resume());
        eventually_async("codes are made again", || async {
            self.new_code().await.status == StatusCode::OK
        })
        .await;
    }

    /// How many refreshes of a token were forced.
    fn forced(&self) -> usize {
        let calls = self.upstream.sandbox.calls();
        let is_forced = |body: &str| body.contains(r#""force_refresh":true"#);
        calls.iter().filter(|call| is_forced(&call.body)).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_classic_token_is_kept_and_no_other_is_fetched_without_the_database() {
    let Some(alone) = Alone::with(&[PATIENT, ("TOKEN_SOURCE", "classic")]).await else {
        return;
    };
    assert_eq!(alone.upstream.tokens(), 1);
    assert_eq!(alone.new_code().await.status, StatusCode::OK, "it is kept");
    alone.upstream.sandbox.kill_tokens();
    for _ in 0..3 {
        assert_eq!(alone.new_code().await.problem(), unavailable());
    }
    assert_eq!(
        alone.upstream.tokens(),
        1,
        "another would kill the one that other replicas may have taken"
    );
    alone.heal().await;
    assert_eq!(alone.upstream.tokens(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_refresh_is_forced_without_the_database() {
    let Some(alone) = Alone::with(&[PATIENT]).await else {
        return;
    };
    alone.upstream.sandbox.kill_tokens();
    for _ in 0..3 {
        assert_eq!(alone.new_code().await.problem(), unavailable());
    }
    assert_eq!(alone.forced(), 0);
    alone.heal().await;
    assert_eq!(alone.forced(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_makes_no_code_without_the_database() {
    let Some(alone) = Alone::with(&[]).await else {
        return;
    };
    let creates = alone.upstream.creates();
    for wanted in [
        json!({"scene_id": 1001}),
        json!({"scene_id": 1002, "label": "front door"}),
        json!({"scene_id": 1003, "permanent": true}),
    ] {
        let answer = alone.replica.post(&wanted).await;
        assert_eq!(answer.problem(), unavailable(), "{wanted}");
        assert!(in_time(answer.took, LONGEST_WAIT), "{:?}", answer.took);
    }
    let many = [json!({"scene_id": 1004}), json!({"scene_str": "door"})];
    let many = alone.replica.post(&many.into()).await;
    if many.status == StatusCode::MULTI_STATUS {
        for item in many.json()["items"].as_array().unwrap() {
            assert_eq!(item["status"], 503, "{item}");
            assert_eq!(item["problem"]["code"], "store_unavailable", "{item}");
        }
    } else {
        assert_eq!(many.problem(), unavailable());
    }
    assert_eq!(alone.upstream.creates(), creates, "WeChat is not called");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_page_is_logged_and_the_service_goes_on() {
    let database = Database::sqlite();
    database.store().await.database.close().await;
    database.fill_with_tickets().await;
    database.damage_a_page_of("ticket").await;
    let served = Served::with(&[
        ("WXQR_DATABASE_URL", &database.url),
        ("WXQR_METRICS_LISTEN", "127.0.0.1:0"),
    ])
    .await;
    let line = served
        .process
        .wait_for_line("the database is damaged")
        .await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["action"], Damage::ACTION);
    let said = line["error"].as_str().unwrap();
    assert!(said.starts_with("the file is damaged: "), "{said}");

    let ready = readiness(&served.get("/readyz").await);
    assert_eq!(ready, (200, "degraded".to_owned()));
    let metrics = format!("http://{}/metrics", served.addresses.metrics.unwrap());
    let metrics = Answer::to(served.client.get(metrics)).await;
    assert!(metrics.text().contains("wxqr_store_damaged 1"));
    let code = served.get("/qrcode.json?scene_id=1").await;
    assert_eq!(code.status, StatusCode::OK, "{code:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_database_does_not_delay_known_codes() {
    let Some((_database, wire, url)) = Wire::to_database(Duration::ZERO).await else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let replica = upstream.replica(&url, &[]).await;
    let known = known_codes(&replica).await;
    let stop = AtomicBool::new(false);
    let trouble = async {
        wire.cut();
        for round in 1..=3 {
            for answer in ask_everything(&replica, round).await {
                assert!(in_time(answer.took, LONGEST_WAIT), "{answer:?}");
            }
        }
        let ready = readiness(&replica.get("/readyz").await);
        assert_eq!(ready, (200, "degraded".to_owned()));
        wire.mend();
        let back = Instant::now();
        let tries = AtomicU32::new(0);
        eventually_async("permanent codes are made again", || async {
            let n = tries.fetch_add(1, Ordering::Relaxed);
            let path = format!("/qrcode.json?scene_str=after-{n}&permanent=true");
            replica.keyed(&path).await.status == StatusCode::OK
        })
        .await;
        eventually_async("it is ready", || async {
            readiness(&replica.get("/readyz").await).1 == "ok"
        })
        .await;
        assert!(
            in_time(back.elapsed(), HEALED_WITHIN),
            "{:?}",
            back.elapsed()
        );
        stop.store(true, Ordering::Relaxed);
    };
    let (answers, ()) = tokio::join!(visit(&replica, &known, &stop), trouble);
    assert_eq!(
        tickets(&answers).len(),
        known.len(),
        "none failed, none changed"
    );
    for answer in answers {
        assert!(
            in_time(answer.took, DEADLINE),
            "it waited for the store: {answer:?}"
        );
    }
}

/// All kinds of requests that need the database, several of each at the same time.
async fn ask_everything(replica: &Replica, round: u32) -> Vec<Answer> {
    let asked = (0..8).flat_map(|n| {
        [
            format!("/qrcode.json?scene_str=new-{round}-{n}"),
            format!("/qrcode.json?scene_str=new-{round}-{n}&permanent=true"),
            "/api/account".to_owned(),
            "/api/codes".to_owned(),
            "/readyz".to_owned(),
        ]
    });
    let asked = asked.map(|path| async move { replica.keyed(&path).await });
    let wanted = json!({"scene_str": format!("posted-{round}")});
    let (mut answers, posted) = tokio::join!(join_all(asked), replica.post(&wanted));
    answers.push(posted);
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_lease_does_not_mint() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (upstream, gate) = Upstream::gated().await;
    let path = "/qrcode.json?scene_str=poster";
    let maker = upstream.replica(&database.url, &[PATIENT]).await;
    let waiting = upstream.replica(&database.url, &[PATIENT]).await;
    gate.shut();
    let made = asking(&maker, path);
    eventually("WeChat made the code", || upstream.creates() == 1).await;
    let theirs = database.lock(&["BEGIN", "LOCK TABLE lease"]).await;
    let waited = asking(&waiting, path);
    waiting.process.wait_for_line("lock timeout").await;
    theirs.close().await.unwrap();
    // The release of the lease fails now, and with it the first write of the code.
    let theirs = database
        .lock(&["BEGIN", "SELECT holder FROM lease FOR UPDATE"])
        .await;
    gate.open();
    let (made, waited) = (made.await.unwrap(), waited.await.unwrap());
    assert_eq!(
        upstream.creates(),
        1,
        "one lease that is locked is not the database"
    );
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    assert_eq!(waited.status, StatusCode::OK, "{waited:?}");
    assert_eq!(waited.ticket(), made.ticket());
    theirs.close().await.unwrap();
    eventually_async("both have the one code", || async {
        let answer = waiting.keyed(path).await;
        answer.status == StatusCode::OK && answer.ticket() == made.ticket()
    })
    .await;
    assert_eq!(upstream.creates(), 1);
}
