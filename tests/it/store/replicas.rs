//! Three processes on one PostgreSQL: what one of them did, none of them does again.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::Executor as _;
use wechat_sandbox::{FaultKind, Target};

use crate::support::answer::Answer;
use crate::support::app::APP_ID;
use crate::support::database::Database;
use crate::support::eventually_async;
use crate::support::figures::report;
use crate::support::fleet::{Replica, Upstream, spread, tickets};

/// Long enough for a crowd to gather at every replica before WeChat answers.
const GATHERING: FaultKind = FaultKind::Slow(Duration::from_millis(1500));

/// A visitor's time that no machine is too slow for.
const LONG_ENOUGH: (&str, &str) = ("UPSTREAM_TIMEOUT", "30s");

struct Fleet {
    upstream: Upstream,
    replicas: Vec<Replica>,
    database: Database,
}

impl Fleet {
    /// Starts so many processes; none where there is no PostgreSQL.
    async fn of(size: usize, settings: &[(&str, &str)]) -> Option<Self> {
        let database = Database::postgres().await?;
        let upstream = Upstream::spawn().await;
        let settings = [&[LONG_ENOUGH], settings].concat();
        let replicas = (0..size).map(|_| upstream.replica(&database.url, &settings));
        let replicas = join_all(replicas).await;
        Some(Self {
            upstream,
            replicas,
            database,
        })
    }

    async fn ask_all(
        &self,
        at_a_time: usize,
        paths: impl IntoIterator<Item = String>,
    ) -> Vec<Answer> {
        spread(&self.replicas, at_a_time, paths).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scene_is_minted_once_however_many_ask_at_all_replicas() {
    let Some(fleet) = Fleet::of(3, &[]).await else {
        return;
    };
    for (kind, path) in [
        ("permanent", "/qrcode.json?scene_str=poster&permanent=true"),
        ("temporary", "/qrcode.json?scene_str=poster"),
    ] {
        fleet.upstream.fail(Target::Create, GATHERING);
        fleet.upstream.sandbox.forget_calls();
        let started = Instant::now();
        let answers = fleet.ask_all(100, (0..100).map(|_| path.to_owned())).await;
        report(&format!("100 x one {kind} scene"), started.elapsed());
        assert_eq!(
            tickets(&answers).len(),
            1,
            "{kind}: all have the same ticket"
        );
        assert_eq!(fleet.upstream.creates(), 1, "{kind}");
    }
    assert_eq!(fleet.replicas[1].stock().await, (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_scenes_are_three_hundred_mints() {
    let Some(fleet) = Fleet::of(3, &[]).await else {
        return;
    };
    for (kind, query) in [("permanent", "&permanent=true"), ("temporary", "")] {
        fleet.upstream.sandbox.forget_calls();
        let scenes = || (1..=300).map(|id| format!("/qrcode.json?scene_id={id}{query}"));
        let started = Instant::now();
        // Each scene at each replica.
        let paths = scenes().flat_map(|path| [path.clone(), path.clone(), path]);
        let answers = fleet.ask_all(150, paths).await;
        report(&format!("3 x 300 {kind} scenes"), started.elapsed());
        assert_eq!(tickets(&answers).len(), 300, "{kind}");
        assert_eq!(fleet.upstream.creates(), 300, "{kind}");
        let again = fleet.ask_all(50, scenes()).await;
        assert_eq!(tickets(&again), tickets(&answers), "{kind}");
        assert_eq!(fleet.upstream.creates(), 300, "{kind}: known to all");
    }
    assert_eq!(fleet.replicas[0].stock().await, (300, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_take_one_classic_token() {
    let Some(fleet) = Fleet::of(3, &[("TOKEN_SOURCE", "classic")]).await else {
        return;
    };
    let path = |id: usize| format!("/qrcode.json?scene_id={}", id + 1);
    tickets(&fleet.ask_all(30, (0..30).map(path)).await);
    assert_eq!(fleet.upstream.tokens(), 1);
    fleet.upstream.sandbox.rotate_tokens();
    tickets(&fleet.ask_all(30, (100..130).map(path)).await);
    assert_eq!(
        fleet.upstream.tokens(),
        2,
        "one takes the next token for all"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_force_one_refresh() {
    let Some(fleet) = Fleet::of(3, &[]).await else {
        return;
    };
    let path = |id: usize| format!("/qrcode.json?scene_id={}", id + 1);
    tickets(&fleet.ask_all(3, (0..3).map(path)).await);
    fleet.upstream.sandbox.kill_tokens();
    let met = fleet.ask_all(30, (10..40).map(path)).await;
    tickets(&met); // A replica that may not force a refresh waits for the one that did.
    let forced = || {
        let calls = fleet.upstream.sandbox.calls();
        calls
            .iter()
            .filter(|call| call.body.contains(r#""force_refresh":true"#))
            .count()
    };
    assert_eq!(forced(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_one_replica_meets_stops_all() {
    let Some(fleet) = Fleet::of(3, &[]).await else {
        return;
    };
    let known = fleet.replicas[1].keyed("/qrcode.json?scene_id=1").await;
    fleet
        .upstream
        .fail(Target::Create, FaultKind::Errcode(45009));
    let met = fleet.replicas[0].keyed("/qrcode.json?scene_id=2").await;
    assert_eq!(met.problem(), (503, "upstream_quota".to_owned()));
    let creates = fleet.upstream.creates();
    let path = |id: usize| format!("/qrcode.json?scene_id={id}");
    for answer in fleet.ask_all(30, (10..70).map(path)).await {
        assert_eq!(answer.problem(), (503, "upstream_quota".to_owned()));
        assert!(
            (1..=60).contains(&answer.retry_after().unwrap()),
            "{answer:?}"
        );
    }
    assert_eq!(fleet.upstream.creates(), creates, "no call is made");
    let again = fleet.replicas[2].get("/qrcode.json?scene_id=1").await;
    assert_eq!(again.ticket(), known.ticket(), "a known code is served");

    // A minute later, as the database sees it.
    fleet.database.run("UPDATE stop SET next_probe = 0").await;
    fleet.ask_all(30, (100..130).map(path)).await;
    assert_eq!(
        fleet.upstream.creates(),
        creates + 1,
        "one probe of all replicas"
    );
    fleet.upstream.heal();
    fleet.database.run("UPDATE stop SET next_probe = 0").await;
    // Only the probe and later requests.
    eventually_async("calls go on", || async {
        let answers = fleet.ask_all(3, (200..203).map(path)).await;
        answers.iter().all(|answer| answer.status == 200)
    })
    .await;
}

/// A permanent mint reserves its scene before it waits for its turn to call.
#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_mint_that_waited_for_a_permit_makes_no_call_after_a_stop() {
    let database = Database::sqlite();
    let (upstream, gate) = Upstream::gated().await;
    let replica = upstream.replica(&database.url, &[LONG_ENOUGH]).await;
    gate.shut();
    let crowd =
        join_all((1..=64).map(|id| replica.keyed_owned(&format!("/qrcode.json?scene_id={id}"))));
    let crowd = tokio::spawn(crowd);
    eventually_async("all permits are taken", || async {
        upstream.creates() == 64
    })
    .await;
    let waiting = replica.keyed_owned("/qrcode.json?scene_str=poster&permanent=true");
    let waiting = tokio::spawn(waiting);
    eventually_async("it is reserved", || async {
        replica.stock().await == (1, 1)
    })
    .await;
    let stop = format!(
        "INSERT INTO stop (appid, api, errcode, next_probe) VALUES ('{APP_ID}', 'create', 45009, {})",
        i64::MAX / 1_000_000
    );
    database.run(&stop).await;
    gate.open();
    crowd.await.unwrap();
    let refused = waiting.await.unwrap();
    assert_eq!(refused.problem(), (503, "upstream_quota".to_owned()));
    assert_eq!(upstream.creates(), 64, "no call is made");
    assert_eq!(replica.stock().await, (0, 0), "and the stock is free");
}

/// `kill -STOP`, as a machine that hangs.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_freezes_inside_a_transaction_does_not_block_the_other_for_ever() {
    let Some(fleet) = Fleet::of(2, &[]).await else {
        return;
    };
    let [frozen, other] = &fleet.replicas[..] else {
        unreachable!("there are two")
    };
    let mut looking = fleet.database.lock(&[]).await;
    let mut scenes = 1..;
    let mut is_caught = false;
    while !is_caught {
        let crowd = scenes.by_ref().take(50);
        let crowd = crowd.map(|id| frozen.keyed_owned(&format!("/qrcode.json?scene_id={id}")));
        let crowd = tokio::spawn(join_all(crowd.collect::<Vec<_>>()));
        while !is_caught && !crowd.is_finished() {
            frozen.process.signal("STOP");
            let held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
            is_caught = !looking.fetch_all(held).await.unwrap().is_empty();
            if !is_caught {
                frozen.process.signal("CONT");
                tokio::task::yield_now().await;
            }
        }
    }
    eventually_async("the other writes", || async {
        other
            .keyed("/qrcode.json?scene_str=poster&permanent=true")
            .await
            .status
            == 200
    })
    .await;
    frozen.process.signal("CONT");
    eventually_async("it goes on", || async {
        frozen
            .keyed("/qrcode.json?scene_str=later&permanent=true")
            .await
            .status
            == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_share_one_budget() {
    // No machine is too slow for this wait.
    let settings = [("ANONYMOUS_BUDGET", "50"), ("UPSTREAM_TIMEOUT", "30s")];
    let Some(fleet) = Fleet::of(2, &settings).await else {
        return;
    };
    let asking = (1..=120).map(|id| {
        let replica = &fleet.replicas[id % 2];
        async move { replica.get(&format!("/qrcode.json?scene_id={id}")).await }
    });
    let answers = join_all(asking).await;
    let (good, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in refused {
        assert_eq!(answer.problem(), (429, "budget_exhausted".to_owned()));
        assert!(
            (1..=86_400).contains(&answer.retry_after().unwrap()),
            "{answer:?}"
        );
    }
    assert_eq!((good.len(), fleet.upstream.creates()), (50, 50));
    let keyed = fleet.replicas[0].keyed("/qrcode.json?scene_id=1000").await;
    assert_eq!(keyed.status, 200, "a key does not pay");
}
