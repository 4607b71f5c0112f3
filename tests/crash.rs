//! Processes that are killed: what was answered is kept, what was counted stays counted, nothing is minted twice.
#![expect(clippy::unwrap_used, reason = "a failed set-up step fails the test")]

#[expect(dead_code, reason = "every test program uses a part of it")]
mod support;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use support::database::Database;
use support::eventually_async;
use support::fleet::{KEY, Replica, Upstream, created, spread, tickets};
use wxqr::clock::{Clock as _, SystemClock};
use wxqr::sandbox::{Api, FaultKind, Target};

const PERMANENT: &str = "/qrcode.json?scene_str=poster&permanent=true";

#[expect(
    clippy::print_stdout,
    reason = "the figures are for whoever asks for them"
)]
fn tell(what: &str, figure: impl std::fmt::Debug) {
    println!("{what}: {figure:?}");
}

/// A moment of a permanent mint at which the process can be caught.
#[derive(Debug, Clone, Copy)]
struct Moment {
    name: &'static str,
    /// What holds the mint there.
    api: Target,
    kind: FaultKind,
    /// How many creates WeChat has seen by then.
    creates: usize,
}

const MOMENTS: [Moment; 3] = [
    Moment {
        name: "before the call",
        api: Target::Token,
        kind: FaultKind::Hang,
        creates: 0,
    },
    Moment {
        name: "during the call",
        api: Target::Create,
        kind: FaultKind::Hang,
        creates: 1,
    },
    Moment {
        name: "after WeChat did it",
        api: Target::Create,
        kind: FaultKind::Slow(Duration::from_mins(1)),
        creates: 1,
    },
];

/// Starts a permanent mint, and kills the process at the moment.
async fn kill_at(moment: Moment, upstream: &Upstream, database: &Database) {
    upstream.fail(moment.api, moment.kind);
    let replica = upstream.replica(&database.url, &[]).await;
    let asking = tokio::spawn(replica.request(PERMANENT).bearer_auth(KEY).send());
    eventually_async("the mint is at the moment", || async {
        replica.stock().await == (1, 1) && upstream.creates() == moment.creates
    })
    .await;
    replica.kill().await;
    assert!(asking.await.unwrap().is_err(), "nobody was answered");
    upstream.heal();
}

async fn survives_a_kill(moment: Moment, database: Database) {
    let name = moment.name;
    let upstream = Upstream::spawn().await;
    kill_at(moment, &upstream, &database).await;

    let replica = upstream.replica(&database.url, &[]).await;
    assert_eq!(replica.stock().await, (1, 1), "{name}: the intent counts");
    let visitor = replica.get(PERMANENT).await;
    assert_eq!(
        visitor.problem(),
        (403, "mint_not_allowed".to_owned()),
        "{name}"
    );
    age_intents(&database, 40).await;
    let early = replica.keyed(PERMANENT).await;
    assert_eq!(
        early.problem(),
        (504, "upstream_timeout".to_owned()),
        "{name}"
    );
    assert!(
        (10..=20).contains(&early.retry_after().unwrap()),
        "{name}: {early:?}"
    );
    assert_eq!(
        upstream.creates(),
        moment.creates,
        "{name}: nobody calls before its time"
    );

    age_intents(&database, 20).await;
    eventually_async("the mint is repeated", || async {
        replica.keyed(PERMANENT).await.status == 200
    })
    .await;
    let served = replica.keyed(PERMANENT).await;
    assert_eq!(upstream.creates(), moment.creates + 1, "{name}: one repeat");
    assert_eq!(replica.stock().await, (1, 0), "{name}");
    assert_eq!(replica.listed().await.len(), 1, "{name}: one stored code");
    assert_eq!(
        replica.get(PERMANENT).await.ticket(),
        served.ticket(),
        "{name}"
    );
    replica.kill().await;
    let restarted = upstream.replica(&database.url, &[]).await;
    assert_eq!(
        restarted.get(PERMANENT).await.ticket(),
        served.ticket(),
        "{name}"
    );
}

/// Lets the intents be older than they are.
async fn age_intents(database: &Database, seconds: u32) {
    let sql = format!("UPDATE code SET minted_at = minted_at - {seconds}000 WHERE ticket IS NULL");
    database.run(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_each_step_of_a_permanent_mint_loses_and_doubles_nothing() {
    join_all(MOMENTS.map(|moment| survives_a_kill(moment, Database::sqlite()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_on_postgresql() {
    for moment in MOMENTS {
        let Some(database) = Database::postgres().await else {
            return;
        };
        survives_a_kill(moment, database).await;
    }
}

/// What was answered: the ticket, and when.
type Acknowledged = BTreeMap<String, (String, Timestamp)>;

/// Clients that ask for ever new scenes, and now and then for one that they got before.
#[derive(Default)]
struct Load {
    next: AtomicUsize,
    acknowledged: Mutex<Acknowledged>,
}

impl Load {
    async fn ask_until_it_dies(&self, replica: &Replica) {
        loop {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            // Every fourth is an old one.
            let scene = match (n % 4, self.an_old_one(n)) {
                (0, Some(old)) => old,
                (1, _) => format!("p{n}&permanent=true"),
                _ => format!("t{n}"),
            };
            let request = replica
                .request(&format!("/qrcode.json?scene_str={scene}"))
                .bearer_auth(KEY);
            let Ok(answer) = request.send().await else {
                return;
            };
            let status = answer.status();
            let Ok(body) = answer.json::<Value>().await else {
                return;
            };
            assert_eq!(status, 200, "{scene}: {body}");
            self.acknowledge(&scene, body["ticket"].as_str().unwrap());
        }
    }

    fn an_old_one(&self, n: usize) -> Option<String> {
        let acknowledged = self.acknowledged.lock().unwrap();
        acknowledged
            .keys()
            .nth(n * 7919 % acknowledged.len().max(1))
            .cloned()
    }

    fn acknowledge(&self, scene: &str, ticket: &str) {
        let now = (ticket.to_owned(), SystemClock.now());
        let mut acknowledged = self.acknowledged.lock().unwrap();
        let first = acknowledged.entry(scene.to_owned()).or_insert(now);
        assert_eq!(first.0, ticket, "{scene} has another ticket now");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_at_random_moments_lose_nothing_that_was_acknowledged() {
    const KILLS: u64 = 100;
    const CLIENTS: usize = 6;
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let load = Load::default();
    let started = Instant::now();
    for kill in 0..KILLS {
        let replica = upstream.replica(&database.url, &[]).await;
        // Spread over the first quarter of a second, without a source of chance that cannot be repeated.
        let life = Duration::from_millis(kill * 7919 % 250);
        let asking = join_all((0..CLIENTS).map(|_| load.ask_until_it_dies(&replica)));
        let killing = async {
            tokio::time::sleep(life).await;
            replica.process.signal("KILL");
        };
        tokio::join!(asking, killing);
    }
    tell("100 kills", started.elapsed());

    let acknowledged = load.acknowledged.into_inner().unwrap();
    let permanent = acknowledged
        .keys()
        .filter(|scene| scene.starts_with('p'))
        .count();
    tell(
        "acknowledged, and permanent among them",
        (acknowledged.len(), permanent),
    );
    assert!(permanent > 20, "there was a load");
    for call in upstream
        .sandbox
        .calls()
        .iter()
        .filter(|call| call.api == Api::Create)
    {
        let body: Value = serde_json::from_str(&call.body).unwrap();
        let scene = body["action_info"]["scene"]["scene_str"].as_str().unwrap();
        let key = if scene.starts_with('p') {
            format!("{scene}&permanent=true")
        } else {
            scene.to_owned()
        };
        if let Some((_, at)) = acknowledged.get(&key) {
            assert!(
                call.at <= *at,
                "{scene} was minted again after it was acknowledged"
            );
        }
    }

    let replica = [upstream.replica(&database.url, &[]).await];
    let creates = upstream.creates();
    let paths = acknowledged
        .keys()
        .map(|scene| format!("/qrcode.json?scene_str={scene}"));
    let answers = spread(&replica, 16, paths).await;
    let kept = tickets(&answers);
    assert!(
        acknowledged
            .values()
            .all(|(ticket, _)| kept.contains(ticket)),
        "none is lost"
    );
    assert_eq!(upstream.creates(), creates, "none is minted again");
    let listed = replica[0].listed().await;
    let in_ledger = listed
        .iter()
        .filter(|code| code["permanent"] == true)
        .count();
    let (used, unknown) = replica[0].stock().await;
    tell(
        "permanent codes used, and unknown among them",
        (used, unknown),
    );
    assert_eq!(used, in_ledger as u64, "the count is the ledger's");
    let minted = created(&upstream.sandbox);
    let minted = minted
        .iter()
        .filter(|scene| scene["scene_str"].as_str().unwrap().starts_with('p'));
    assert!(
        used >= minted.count() as u64,
        "whatever WeChat made is counted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_makes_nothing_again() {
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let paths = || (1..=1000).map(|id| format!("/qrcode.json?scene_id={id}"));
    let replica = [upstream.replica(&database.url, &[]).await];
    let started = Instant::now();
    let before = tickets(&spread(&replica, 32, paths()).await);
    tell("1000 temporary codes minted", started.elapsed());
    assert_eq!((before.len(), upstream.creates()), (1000, 1000));
    let [replica] = replica;
    replica.kill().await;

    let started = Instant::now();
    let replica = [upstream.replica(&database.url, &[]).await];
    tell("restarted", started.elapsed());
    let started = Instant::now();
    let after = tickets(&spread(&replica, 32, paths()).await);
    tell("1000 temporary codes from the store", started.elapsed());
    assert_eq!(after, before);
    assert_eq!(upstream.creates(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_wechats_silence_is_no_fault_for_a_code_that_lives() {
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let path = "/qrcode.json?scene_id=7";
    let replica = upstream.replica(&database.url, &[]).await;
    let ticket = replica.get(path).await.ticket();
    replica.kill().await;
    // An hour and three quarters pass: a quarter of an hour is left, which is below the floor of an hour.
    database
        .run("UPDATE code SET minted_at = minted_at - 6300000, expires_at = expires_at - 6300000")
        .await;
    upstream.fail(Target::Any, FaultKind::Reset);
    let replica = upstream.replica(&database.url, &[]).await;
    let answer = replica.get(path).await;
    assert_eq!(answer.ticket(), ticket, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_mint_costs_milliseconds() {
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let replica = upstream.replica(&database.url, &[]).await;
    for (kind, query) in [("permanent", "&permanent=true"), ("temporary", "")] {
        let mut took = Vec::new();
        for id in 1..=100 {
            let answer = replica
                .keyed(&format!("/qrcode.json?scene_id={id}{query}"))
                .await;
            assert_eq!(answer.status, 200, "{answer:?}");
            took.push(answer.took);
        }
        took.sort();
        tell(
            &format!("{kind} mint, median and 99th of 100"),
            (took[50], took[98]),
        );
        assert!(took[50] < Duration::from_millis(500), "{kind}: {took:?}");
    }
    assert_eq!(replica.stock().await, (100, 0));
}
