//! Two processes on one PostgreSQL behind PgBouncer, which lends them its few connections for one
//! transaction each.

use futures_util::future::join_all;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::fleet::{Replica, Upstream, spread, tickets};
use crate::support::keys;
use crate::support::pooler::Pooler;
use crate::support::pushes::{AES_KEY, ALICE, PushedEvent, TOKEN, sealed};

const CALLBACK: [(&str, &str); 2] = [("CALLBACK_TOKEN", TOKEN), ("ENCODING_AES_KEY", AES_KEY)];

/// Does what the service does, at two replicas that were started together on an empty database.
#[tokio::test(flavor = "multi_thread")]
async fn behind_a_pooler_everything_works() {
    let Some(pooler) = Pooler::start(Pooler::TAKES_THE_DRIVER).await else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let replicas = (0..2).map(|_| upstream.replica(&pooler.url, &CALLBACK));
    let replicas = join_all(replicas).await;

    for (kind, query) in [("permanent", "&permanent=true"), ("temporary", "")] {
        upstream.sandbox.forget_calls();
        // Each scene at each replica, so that they have to agree.
        let paths = (1..=60).flat_map(|id| {
            let path = format!("/qrcode.json?scene_id={id}{query}");
            [path.clone(), path]
        });
        let answers = spread(&replicas, 40, paths).await;
        assert_eq!(tickets(&answers).len(), 60, "{kind}");
        assert_eq!(upstream.creates(), 60, "{kind}: each is made once");
    }
    for replica in &replicas {
        assert_eq!(replica.stock().await, (60, 0));
    }
    scans_are_counted(&replicas).await;
    a_visitor_signs_in(&replicas).await;
    assert_eq!(replicas[0].listed().await.len(), 120);
    assert_eq!(pooler.kept_statements().await, 0);
    for replica in &replicas {
        let log = replica.process.stderr();
        for trouble in ["a database call failed", "the database cannot be used"] {
            assert!(!log.contains(trouble), "{log}");
        }
    }
}

async fn scans_are_counted(replicas: &[Replica]) {
    let named = json!({"scene_id": 7, "permanent": true, "label": "Poster 7"});
    let ticket = replicas[0].post(&named).await.ticket();
    let pushes = (0..100).map(|n| {
        let openid = format!("o{:027}", n % 50);
        let pushed_event = if n < 50 {
            PushedEvent::follow(&openid, "7", &ticket)
        } else {
            PushedEvent::scan(&openid, "7", &ticket)
        };
        push(&replicas[n % 2], pushed_event)
    });
    let answers: Vec<_> = stream::iter(pushes).buffer_unordered(20).collect().await;
    for answer in answers {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let rows = replicas[1].keyed("/api/stats?scene=id:7").await.json();
    let rows = rows["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row["permanent"] == true).unwrap();
    let numbers = ["scans", "people", "new_followers"].map(|name| row[name].clone());
    assert_eq!(numbers, [100, 50, 50].map(Value::from), "{row}");
    let events = replicas[0].keyed("/api/scans?limit=1000").await.json();
    assert_eq!(events["items"].as_array().unwrap().len(), 100);
}

async fn a_visitor_signs_in(replicas: &[Replica]) {
    let bindings = |path: &str| format!("http://{}/api/bindings{path}", replicas[0].address);
    let post = |path: &str| {
        let request = replicas[0]
            .client
            .post(bindings(path))
            .bearer_auth(keys::ADMIN);
        Answer::to(request.json(&json!({"context": "session 7"})))
    };
    let made = post("").await.json();
    let [id, scene, ticket] = [
        &made["id"],
        &made["code"]["scene_str"],
        &made["code"]["ticket"],
    ]
    .map(|text| text.as_str().unwrap());
    let scanned = push(&replicas[1], PushedEvent::scan(ALICE, scene, ticket)).await;
    assert_eq!(scanned.status, 200, "{scanned:?}");
    let claimed = post(&format!("/{id}/claim")).await.json();
    assert_eq!(claimed["openid"], ALICE, "{claimed}");
}

/// In safe mode, as bindings demand it.
async fn push(replica: &Replica, pushed_event: PushedEvent) -> Answer {
    let (query, body) = sealed(&pushed_event.openid, &pushed_event.xml());
    let url = format!("http://{}/callback?{query}", replica.address);
    let request = replica.client.post(url).header("content-type", "text/xml");
    Answer::to(request.body(body)).await
}

/// What the pooler says in its own words or passes on from the server, all under one code.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_refuses_for_good_ends_the_start_at_once() {
    let databases = "
absent = {server} user=postgres dbname=nosuch
stranger = {server} user=nosuchrole dbname=postgres
statements = {server} user=postgres dbname=postgres pool_mode=statement";
    let settings = Pooler::TAKES_THE_DRIVER;
    let Some(pooler) = Pooler::start_with(databases, settings).await else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let (server, _) = pooler.url.rsplit_once('/').unwrap();
    for (name, says) in [
        ("absent", "; create the database"),
        ("stranger", "; check user and password"),
        ("statements", "; set pool_mode = transaction"),
        ("unknown", "; check that the [databases]"),
    ] {
        let url = format!("{server}/{name}");
        let output = upstream.process(&url, &[]).output().await;
        assert_eq!(output.status, 78, "{name}: {}", output.stderr);
        let waits = output.stderr.contains("the database is not ready yet");
        assert!(!waits, "{name}: {}", output.stderr);
        assert!(output.stderr.contains(says), "{name}: {}", output.stderr);
    }
}

/// PgBouncer's default: the service cannot change it, so it says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_that_does_not_take_the_driver_ends_the_start_with_the_setting_to_change() {
    let Some(pooler) = Pooler::start("").await else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let output = upstream.process(&pooler.url, &[]).output().await;
    assert_eq!(output.status, 78, "{}", output.stderr);
    let says = Pooler::TAKES_THE_DRIVER;
    assert!(output.stderr.contains(says), "{}", output.stderr);
}
