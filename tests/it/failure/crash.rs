//! Processes that are killed: what was answered is kept, what was counted stays counted, nothing is
//! minted twice.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use wechat_sandbox::{Api, FaultKind, Target};
use wxqr::clock::{Clock as _, SystemClock};

use crate::support::answer::Answer;
use crate::support::database::Database;
use crate::support::figures::{Figures, grouped, report};
use crate::support::fleet::{Replica, Upstream, created, spread, tickets};
use crate::support::keys;
use crate::support::{eventually, eventually_async};

const PERMANENT: &str = "/qrcode.json?scene_str=poster&permanent=true";

/// A moment of a permanent mint at which the process can be caught.
#[derive(Debug, Clone, Copy)]
struct Moment {
    name: &'static str,
    holder: Holder,
    /// How many creates WeChat has seen by then.
    creates: usize,
}

/// What holds a mint at its moment.
#[derive(Debug, Clone, Copy)]
enum Holder {
    WeChat(Target, FaultKind),
    /// The database, which takes intents and no results.
    Ledger,
}

const MOMENTS: [Moment; 4] = [
    Moment {
        name: "before the call",
        holder: Holder::WeChat(Target::Token, FaultKind::Hang),
        creates: 0,
    },
    Moment {
        name: "during the call",
        holder: Holder::WeChat(Target::Create, FaultKind::Hang),
        creates: 1,
    },
    Moment {
        name: "after WeChat did it",
        holder: Holder::WeChat(Target::Create, FaultKind::Slow(Duration::from_mins(1))),
        creates: 1,
    },
    Moment {
        name: "with a result that is not stored",
        holder: Holder::Ledger,
        creates: 1,
    },
];

/// Starts a permanent mint, and kills the process at the moment.
async fn kill_at(moment: Moment, upstream: &Upstream, database: &Database) {
    if let Holder::WeChat(api, kind) = moment.holder {
        upstream.fail(api, kind);
    }
    let replica = upstream.replica(&database.url, &[]).await;
    if let Holder::Ledger = moment.holder {
        refuse_results(database).await;
    }
    let asking = tokio::spawn(Answer::to_willing(
        replica.request(PERMANENT).bearer_auth(keys::ADMIN),
    ));
    eventually_async("the mint is at the moment", || async {
        replica.stock().await == (1, 1) && upstream.creates() == moment.creates
    })
    .await;
    if let Holder::Ledger = moment.holder {
        let unwritten = "a permanent code could not be saved";
        replica.process.wait_for_line(unwritten).await;
    }
    replica.kill().await;
    match (moment.holder, asking.await.unwrap()) {
        (_, Err(_)) => {}
        (Holder::Ledger, Ok(answer)) => {
            assert_eq!(answer.problem(), (503, "store_unavailable".to_owned()));
        }
        (Holder::WeChat(..), Ok(answer)) => unreachable!("nobody was answered: {answer:?}"),
    }
    upstream.heal();
    if let Holder::Ledger = moment.holder {
        take_results(database).await;
    }
}

/// Lets the database take intents and no results.
async fn refuse_results(database: &Database) {
    let refuse = if database.is_postgres() {
        "ALTER TABLE code ADD CONSTRAINT held CHECK (ticket IS NULL)"
    } else {
        "CREATE TRIGGER held BEFORE UPDATE OF ticket ON code BEGIN SELECT RAISE(FAIL, 'held'); END"
    };
    database.run(refuse).await;
}

async fn take_results(database: &Database) {
    let take = if database.is_postgres() {
        "ALTER TABLE code DROP CONSTRAINT held"
    } else {
        "DROP TRIGGER held"
    };
    database.run(take).await;
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
async fn a_kill_at_each_step_loses_and_doubles_nothing_on_postgresql() {
    for moment in MOMENTS {
        let Some(database) = Database::postgres().await else {
            return;
        };
        survives_a_kill(moment, database).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_after_the_write_repeats_nothing_although_no_answer_came() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let (upstream, gate) = Upstream::gated().await;
    let path = "/qrcode.json?scene_id=1&permanent=true";
    let replica = upstream.replica(&database.url, &[]).await;
    gate.shut();
    let asking = tokio::spawn(Answer::to_willing(
        replica.request(path).bearer_auth(keys::ADMIN),
    ));
    eventually("WeChat made the code", || upstream.creates() == 1).await;
    // The caller is gone before the service has WeChat's answer.
    asking.abort();
    assert!(asking.await.is_err());
    gate.open();
    let stock = (1, 0);
    eventually_async("the code is stored", || async {
        replica.stock().await == stock
    })
    .await;
    replica.kill().await;

    let replica = upstream.replica(&database.url, &[]).await;
    assert_eq!(replica.stock().await, stock);
    let answers = [replica.get(path).await, replica.keyed(path).await];
    assert_eq!(tickets(&answers).len(), 1, "{answers:?}");
    assert_eq!(upstream.creates(), 1, "none is repeated");
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
                .bearer_auth(keys::ADMIN);
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
        // Spread over the first quarter of a second, without a source of chance that cannot be
        // repeated.
        let life = Duration::from_millis(kill * 7919 % 250);
        let asking = join_all((0..CLIENTS).map(|_| load.ask_until_it_dies(&replica)));
        let killing = async {
            tokio::time::sleep(life).await;
            replica.process.signal("KILL");
        };
        tokio::join!(asking, killing);
    }
    report("100 kills", started.elapsed());

    let acknowledged = load.acknowledged.into_inner().unwrap();
    let permanent = acknowledged
        .keys()
        .filter(|scene| scene.starts_with('p'))
        .count();
    report(
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
    let lost = acknowledged
        .values()
        .filter(|(ticket, _)| !kept.contains(ticket));
    let lost = lost.count();
    assert_eq!(lost, 0);
    assert_eq!(upstream.creates(), creates, "none is minted again");
    let listed = replica[0].listed().await;
    let in_ledger = listed
        .iter()
        .filter(|code| code["permanent"] == true)
        .count();
    let (used, unknown) = replica[0].stock().await;
    report(
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
    let mut figures = Figures::of("The process is killed 100 times at random moments, under load");
    let answered = grouped(acknowledged.len());
    let permanent = grouped(permanent);
    let what = format!(
        "of {answered} codes that were answered, {permanent} of them permanent, lost or made again"
    );
    figures.exactly(&what, 0, lost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_makes_nothing_again() {
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let paths = || (1..=1000).map(|id| format!("/qrcode.json?scene_id={id}"));
    let replica = [upstream.replica(&database.url, &[]).await];
    let started = Instant::now();
    let before = tickets(&spread(&replica, 32, paths()).await);
    report("1000 temporary codes minted", started.elapsed());
    assert_eq!((before.len(), upstream.creates()), (1000, 1000));
    let [replica] = replica;
    replica.kill().await;

    let started = Instant::now();
    let replica = [upstream.replica(&database.url, &[]).await];
    report("restarted", started.elapsed());
    let started = Instant::now();
    let after = tickets(&spread(&replica, 32, paths()).await);
    report("1000 temporary codes from the store", started.elapsed());
    assert_eq!(after, before);
    assert_eq!(upstream.creates(), 1000);
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_stale_works_after_a_restart() {
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let path = "/qrcode.json?scene_id=7";
    let replica = upstream.replica(&database.url, &[]).await;
    let ticket = replica.get(path).await.ticket();
    replica.kill().await;
    // An hour and three quarters pass: a quarter of an hour is left, which is below the floor of an
    // hour.
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
async fn durable_mints_are_all_in_the_ledger() {
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
        report(
            &format!("{kind} mint, median and 99th of 100"),
            (took[50], took[98]),
        );
    }
    assert_eq!(replica.stock().await, (100, 0));
}
