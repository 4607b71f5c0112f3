//! Another program uses the same account, and each token that it takes ends ours.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::StatusCode;
use tokio::time::Instant;
use wechat_sandbox::{FaultKind, Target};

use crate::support::answer::Answer;
use crate::support::database::Database;
use crate::support::eventually;
use crate::support::figures::{Figures, grouped, sized};
use crate::support::fleet::{Replica, Upstream};
use crate::support::keys;
use crate::support::load::Paced;

/// New codes a second.
const PER_SECOND: u32 = 80;

/// What WeChat takes for each, so that several meet the refused token, one after the other.
const CALL: FaultKind = FaultKind::Slow(Duration::from_millis(100));

/// Codes that are made between two thefts, at least: time for the token to be missed and replaced.
const BETWEEN: usize = 20;

/// Has codes made, each of a scene of its own, at the replicas in turn.
fn mints(replicas: &[Replica]) -> Paced {
    let doors: Vec<_> = replicas
        .iter()
        .map(|replica| (replica.client.clone(), replica.address))
        .collect();
    Paced::start(PER_SECOND, move |n| {
        let (client, address) = &doors[n % doors.len()];
        let request = client.get(format!("http://{address}/qrcode.json?scene_str=minted-{n}"));
        mint(request.bearer_auth(keys::ADMIN))
    })
}

async fn mint(request: reqwest::RequestBuilder) -> Result<(), String> {
    let answer = Answer::to_willing(request)
        .await
        .map_err(|error| error.to_string())?;
    if answer.status == StatusCode::OK {
        Ok(())
    } else {
        Err(format!("{answer:?}"))
    }
}

/// Takes the token away so often, at least so long apart.
async fn steal(upstream: &Upstream, thefts: usize, apart: Duration) {
    let mut due = Instant::now();
    for _ in 0..thefts {
        due += apart;
        tokio::time::sleep_until(due).await;
        let (creates, tokens) = (upstream.creates(), upstream.tokens());
        upstream.sandbox.rotate_tokens();
        eventually("the token was missed, and codes are made again", || {
            upstream.tokens() > tokens && upstream.creates() >= creates + BETWEEN
        })
        .await;
    }
}

async fn survive(source: &str, size: usize, thefts: usize, apart: Duration) {
    let database = Database::sqlite();
    let upstream = Upstream::spawn().await;
    // Checked is that no request is refused, not the speed of this machine.
    let settings = [("TOKEN_SOURCE", source), ("UPSTREAM_TIMEOUT", "30s")];
    let replicas = (0..size).map(|_| upstream.replica(&database.url, &settings));
    let replicas = join_all(replicas).await;
    for (n, replica) in replicas.iter().enumerate() {
        let first = replica
            .keyed(&format!("/qrcode.json?scene_id={}", n + 1))
            .await;
        assert_eq!(first.status, StatusCode::OK);
    }
    upstream.fail(Target::Create, CALL);
    let before = upstream.tokens();
    let mints = mints(&replicas);
    steal(&upstream, thefts, apart).await;
    let met = mints.finish().await;
    let taken = upstream.tokens() - before;
    assert!(met.failures.is_empty(), "{source}: {}", met.failures[0]);
    assert!(
        taken <= thefts,
        "{source}: {taken} tokens for {thefts} thefts"
    );

    let processes = if size == 1 {
        "a process".to_owned()
    } else {
        format!("{size} replicas")
    };
    let mut figures = Figures::of(format!(
        "Another holder takes the {source} token away {thefts} times, {} s apart, from {processes}",
        apart.as_secs_f64()
    ));
    figures.exactly(
        &format!("of {} new codes, refused", grouped(met.asked())),
        0,
        met.failures.len(),
    );
    figures.at_most("tokens taken in answer", thefts, taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_stable_token_is_replaced_once_without_an_error() {
    let (thefts, apart) = sized(
        (6, Duration::from_millis(300)),
        (12, Duration::from_secs(5)),
    );
    survive("stable", 1, thefts, apart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_classic_token_is_replaced_once_for_all_replicas() {
    let (thefts, apart) = sized(
        (6, Duration::from_millis(300)),
        (12, Duration::from_secs(5)),
    );
    survive("classic", 2, thefts, apart).await;
}
