//! The access token from outside: how often it is taken, and what happens when it dies early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tokio::sync::{Barrier, Semaphore};
use wechat_sandbox::{Api, Fault, FaultKind, Sandbox, Target};

use crate::support::answer::Answer;
use crate::support::app::{APP_ID, APP_SECRET, Builder, TestApp};
use crate::support::keys;
use crate::support::process::Process;
use crate::support::upstream::{Reply, Seen, Upstream};
use crate::support::{TIMEOUT, client, eventually, eventually_async};

/// A service that calls a scripted WeChat.
async fn on(upstream: &Upstream) -> TestApp {
    TestApp::with()
        .set("API_BASE", upstream.url())
        .spawn()
        .await
}

/// How many of the token calls forced a new one.
fn forced(app: &TestApp) -> usize {
    let is_forced = |body: &str| {
        let body: Value = serde_json::from_str(body).unwrap();
        body["force_refresh"] == true
    };
    let calls = app.calls(Api::Token);
    calls.iter().filter(|call| is_forced(&call.body)).count()
}

#[tokio::test]
async fn the_token_is_taken_before_the_first_visitor_and_once() {
    let app = TestApp::spawn().await;
    eventually("the first token", || app.tokens() == 1).await;
    for id in 1..=20 {
        assert_eq!(app.scene(id).await.status, StatusCode::OK);
    }
    assert_eq!((app.creates(), app.tokens()), (20, 1));
    let call = app.calls(Api::Token).remove(0);
    assert_eq!(
        (call.method.as_str(), call.path.as_str()),
        ("POST", "/cgi-bin/stable_token")
    );
    let body: Value = serde_json::from_str(&call.body).unwrap();
    assert_eq!(body["grant_type"], "client_credential");
    assert_eq!(body["force_refresh"], false);
}

#[tokio::test]
async fn a_token_that_is_revoked_early_is_renewed_once_and_the_visitor_served() {
    type TokenRefusal<'a> = &'a dyn Fn(&Sandbox);
    let errcode = |errcode| {
        move |sandbox: &Sandbox| {
            let fault = Fault::new(Target::Create, FaultKind::Errcode(errcode)).times(1);
            // The same death in other words.
            sandbox.rotate_tokens();
            sandbox.set_faults(vec![fault]);
        }
    };
    let (by_40001, by_40014, by_42001) = (errcode(40001), errcode(40014), errcode(42001));
    let deaths: [(&str, TokenRefusal<'_>); 5] = [
        ("expired", &Sandbox::expire_tokens),
        ("rotated", &Sandbox::rotate_tokens),
        ("40001", &by_40001),
        ("40014", &by_40014),
        ("42001", &by_42001),
    ];
    for (how, kill) in deaths {
        let app = TestApp::spawn().await;
        assert_eq!(app.scene(1).await.status, StatusCode::OK);
        kill(&app.sandbox);
        let answer = app.scene(2).await;
        assert_eq!(answer.status, StatusCode::OK, "{how}: {answer:?}");
        assert_eq!((app.creates(), app.tokens()), (3, 2), "{how}");
        assert_eq!(forced(&app), 0, "{how}");
        assert_eq!(app.scene(3).await.status, StatusCode::OK);
        assert_eq!((app.creates(), app.tokens()), (4, 2), "{how}");
    }
}

#[tokio::test]
async fn single_flight_renews_a_revoked_token_once_for_a_hundred_scenes() {
    let app = TestApp::spawn().await;
    assert_eq!(app.scene(1).await.status, StatusCode::OK);
    app.sandbox.rotate_tokens();
    let answers = join_all((101..=200).map(|id| app.scene(id))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(app.tokens(), 2);
    assert!((101..=201).contains(&app.creates()), "{}", app.creates());
}

#[tokio::test]
async fn a_revoked_token_that_is_given_again_is_replaced_by_force_once() {
    let app = TestApp::spawn().await;
    assert_eq!(app.scene(1).await.status, StatusCode::OK);
    app.sandbox.kill_tokens();
    let answers = join_all((101..=120).map(|id| app.scene(id))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(
        (app.tokens(), forced(&app)),
        (3, 1),
        "first, the same again, forced"
    );

    // WeChat would refuse a second one within 30 s.
    app.sandbox.kill_tokens();
    let before = app.creates();
    for id in 201..=210 {
        let answer = app.scene(id).await;
        assert_eq!(answer.problem(), (503, "upstream_busy".to_owned()));
        assert_eq!(answer.retry_after(), Some(30));
    }
    assert_eq!(forced(&app), 1);
    assert!(app.tokens() <= 14, "no loop: {} token calls", app.tokens());
    assert!(
        app.creates() - before <= 10,
        "no loop: {} creates",
        app.creates()
    );
    let known = app.scene(1).await;
    assert_eq!(
        known.status,
        StatusCode::OK,
        "a known code is served all the same"
    );
}

#[tokio::test]
async fn a_token_call_that_says_40001_is_not_repeated() {
    for source in ["stable", "classic"] {
        let app = TestApp::with()
            .set("TOKEN_SOURCE", source)
            .failing(Target::Token, FaultKind::Errcode(40001))
            .spawn()
            .await;
        eventually("the first token call", || app.tokens() == 1).await;
        let answers = join_all((1..=20).map(|id| app.scene(id))).await;
        for answer in answers {
            assert_eq!(
                answer.problem(),
                (502, "upstream_refused".to_owned()),
                "{source}"
            );
            assert_eq!(answer.json()["errcode"], 40001);
        }
        // The one at the start and, if its failure was forgotten by then, one for the visitors.
        assert!(app.tokens() <= 2, "{source}: {} token calls", app.tokens());
        let is_forced = |call: &wechat_sandbox::Call| call.body.contains("\"force_refresh\":true");
        assert!(!app.calls(Api::Token).iter().any(is_forced), "{source}");
        assert_eq!(app.creates(), 0);
        let ready = app.get("/readyz").await;
        assert_eq!(
            (ready.status, ready.field("status")),
            (StatusCode::OK, "degraded".to_owned())
        );

        app.heal();
        eventually_async("it works again", || async {
            app.scene(1).await.status == StatusCode::OK
        })
        .await;
        assert_eq!(app.get("/readyz").await.field("status"), "ok");
    }
}

#[tokio::test]
async fn a_wrong_secret_costs_fewer_and_fewer_token_calls() {
    let app = TestApp::with()
        .failing(Target::Token, FaultKind::Errcode(40125))
        .spawn()
        .await;
    let started = Instant::now();
    eventually_async("four refusals", || async {
        let answer = app.scene(1).await;
        assert_eq!(answer.problem(), (502, "upstream_refused".to_owned()));
        assert_eq!(answer.json()["errcode"], 40125);
        app.tokens() >= 4
    })
    .await;
    let least = Duration::from_secs(1 + 2 + 4);
    assert!(started.elapsed() >= least, "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_classic_token_works_and_is_renewed_after_it_is_revoked() {
    let app = TestApp::with().set("TOKEN_SOURCE", "classic").spawn().await;
    assert_eq!(app.scene(1).await.status, StatusCode::OK);
    app.sandbox.kill_tokens();
    assert_eq!(app.scene(2).await.status, StatusCode::OK);
    assert_eq!((app.creates(), app.tokens()), (3, 2));
    for call in app.calls(Api::Token) {
        assert_eq!(
            (call.method.as_str(), call.path.as_str()),
            ("GET", "/cgi-bin/token")
        );
        let start = "grant_type=client_credential&appid=wx0123456789abcdef&secret=";
        assert!(call.query.starts_with(start), "{}", call.query);
    }
}

#[tokio::test]
async fn a_token_near_its_end_is_renewed_in_the_background() {
    /// Long enough for a tenth of it to be a second or so.
    const LIFE: u64 = 12;
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    let upstream = Upstream::spawn(move |call: Seen| {
        let gate = Arc::clone(&held);
        Box::pin(async move {
            if !call.is_token_call() {
                return Reply::code(7200);
            }
            if call.nth == 1 {
                let _opened = gate.acquire().await;
            }
            Reply::token(&format!("token-number-{}", call.nth), LIFE)
        })
    })
    .await;
    let started = Instant::now();
    let app = on(&upstream).await;
    eventually("the first token", || upstream.tokens() == 1).await;

    eventually("a renewal without any visitor", || upstream.tokens() == 2).await;
    assert!(
        started.elapsed() > Duration::from_secs(LIFE * 9 / 10 - 1),
        "not much too early"
    );
    // WeChat takes its time over the second one; the first still lives.
    let answer = app.scene(1).await;
    if started.elapsed() < Duration::from_secs(LIFE) {
        assert_eq!(answer.status, StatusCode::OK);
        let create = upstream
            .seen()
            .into_iter()
            .find(|call| !call.is_token_call())
            .unwrap();
        assert_eq!(create.query, "access_token=token-number-0");
    }
    assert_eq!(upstream.tokens(), 2, "the visitor did not ask for another");
    gate.add_permits(1);
    let created_with = |token: &str| {
        upstream
            .seen()
            .iter()
            .any(|call| call.query.ends_with(token))
    };
    let mut scene = 1;
    while !created_with("token-number-1") {
        scene += 1;
        assert!(started.elapsed() < TIMEOUT, "the new token is used");
        assert_eq!(app.scene(scene).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_token_that_is_refused_again_and_again_does_not_loop() {
    let upstream = Upstream::speaking(|call: Seen| {
        if call.is_token_call() {
            Reply::token(&format!("token-number-{}", call.nth), 7200)
        } else {
            Reply::refusal(40001, "invalid credential")
        }
    })
    .await;
    let app = on(&upstream).await;
    for id in 1..=5 {
        let answer = app.scene(id).await;
        assert_eq!(answer.problem(), (502, "upstream_refused".to_owned()));
        assert_eq!(answer.json()["errcode"], 40001);
    }
    assert!(upstream.creates() <= 10, "{} creates", upstream.creates());
    assert!(upstream.tokens() <= 11, "{} token calls", upstream.tokens());
}

#[tokio::test]
async fn a_caller_that_may_not_force_a_refresh_waits_for_the_one_that_does() {
    let gate = Arc::new(Semaphore::new(0));
    let forced = Arc::new(AtomicBool::new(false));
    let (held, done) = (Arc::clone(&gate), Arc::clone(&forced));
    let upstream = Upstream::spawn(move |call: Seen| {
        let (gate, done) = (Arc::clone(&held), Arc::clone(&done));
        Box::pin(async move {
            if call.is_forced() {
                gate.acquire().await.unwrap().forget();
                done.store(true, Ordering::SeqCst);
            }
            let token = if done.load(Ordering::SeqCst) {
                "token-new"
            } else {
                "token-old"
            };
            match (call.is_token_call(), call.query.ends_with("token-old")) {
                (true, _) => Reply::token(token, 7200),
                (false, true) => Reply::refusal(40001, "invalid credential"),
                (false, false) => Reply::code(7200),
            }
        })
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/wxqr.db", folder.path().display());
    let replica = || {
        TestApp::with()
            .set("API_BASE", upstream.url())
            .set("DATABASE_URL", &database)
            .spawn()
    };
    let replicas = [replica().await, replica().await];
    let forced_calls = || {
        upstream
            .seen()
            .iter()
            .filter(|call| call.is_forced())
            .count()
    };
    let release = async {
        // Each asked at the start and after its token died, one forced, and the other asks once
        // more.
        eventually("the other one waits", || upstream.tokens() >= 6).await;
        gate.add_permits(1);
    };
    let (first, second, ()) = tokio::join!(replicas[0].scene(1), replicas[1].scene(2), release);
    assert_eq!(
        (first.status, second.status),
        (StatusCode::OK, StatusCode::OK)
    );
    assert_eq!(forced_calls(), 1);
}

#[tokio::test]
async fn what_is_no_token_is_an_invalid_answer() {
    for body in [
        r#"{"access_token":"","expires_in":7200}"#,
        r#"{"access_token":"a token","expires_in":7200}"#,
        r#"{"access_token":"abc","expires_in":0}"#,
        r#"{"access_token":"abc"}"#,
        r#"{"expires_in":7200}"#,
        "[]",
        "",
    ] {
        let upstream = Upstream::speaking(move |_| Reply(200, body.to_owned())).await;
        let app = on(&upstream).await;
        let answer = app.scene(1).await;
        assert_eq!(
            answer.problem(),
            (502, "upstream_invalid".to_owned()),
            "{body}"
        );
    }
}

/// A WeChat of which one token at a time is good, until another program fetches a new one.
struct Contested {
    upstream: Upstream,
    newest: Arc<AtomicUsize>,
    gate: Arc<Semaphore>,
}

impl Contested {
    /// Codes for the scene `slow` wait at the gate before WeChat looks at their token.
    async fn spawn() -> Self {
        let newest = Arc::<AtomicUsize>::default();
        let gate = Arc::new(Semaphore::new(0));
        let (good, held) = (Arc::clone(&newest), Arc::clone(&gate));
        let upstream = Upstream::spawn(move |call: Seen| {
            let (good, gate) = (Arc::clone(&good), Arc::clone(&held));
            Box::pin(async move {
                if is_slow(&call) {
                    gate.acquire().await.unwrap().forget();
                }
                let token = format!("token-number-{}", good.load(Ordering::SeqCst));
                match (call.is_token_call(), call.query.ends_with(&token)) {
                    (true, _) => Reply::token(&token, 7200),
                    (false, true) => Reply::code(7200),
                    (false, false) => Reply::refusal(40001, "invalid credential"),
                }
            })
        })
        .await;
        Self {
            upstream,
            newest,
            gate,
        }
    }

    fn steal(&self) {
        self.newest.fetch_add(1, Ordering::SeqCst);
    }

    fn slow_calls(&self) -> usize {
        self.upstream
            .seen()
            .iter()
            .filter(|call| is_slow(call))
            .count()
    }

    /// Until the slow request has called so often.
    async fn called(&self, times: usize) {
        eventually("the slow request calls", || self.slow_calls() == times).await;
    }

    /// Lets the call through that waits.
    fn release(&self) {
        self.gate.add_permits(1);
    }
}

fn is_slow(call: &Seen) -> bool {
    call.body.contains("slow")
}

/// A request that shall not be cut by the visitor's time.
fn patient(upstream: &Upstream) -> Builder {
    TestApp::with()
        .set("API_BASE", upstream.url())
        .set("UPSTREAM_TIMEOUT", "30s")
}

fn slow_request(app: &TestApp, query: &str) -> tokio::task::JoinHandle<Answer> {
    let request = app.request(Method::GET, &format!("/qrcode.json?scene_str=slow{query}"));
    tokio::spawn(Answer::to(request.bearer_auth(keys::ADMIN)))
}

#[tokio::test]
async fn a_refusal_of_a_superseded_token_is_no_second_refusal() {
    for query in ["", "&permanent=true"] {
        let contested = Contested::spawn().await;
        let app = patient(&contested.upstream).spawn().await;
        assert_eq!(app.scene(1).await.status, StatusCode::OK);
        let slow = slow_request(&app, query);
        for round in 1..=2 {
            contested.called(usize::try_from(round).unwrap()).await;
            contested.steal();
            // Another request meets the theft first, and renews.
            assert_eq!(app.scene(1 + round).await.status, StatusCode::OK);
            contested.release();
        }
        contested.called(3).await;
        contested.release();
        let answer = slow.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{query}: {answer:?}");
        assert_eq!(
            (contested.slow_calls(), contested.upstream.tokens()),
            (3, 3)
        );
    }
}

#[tokio::test]
async fn a_token_that_worked_and_is_taken_away_twice_costs_no_visitor_a_code() {
    let contested = Contested::spawn().await;
    let app = patient(&contested.upstream).spawn().await;
    assert_eq!(app.scene(1).await.status, StatusCode::OK);
    let slow = slow_request(&app, "");
    for round in 1..=2 {
        contested.called(usize::try_from(round).unwrap()).await;
        // It works for another request, and then it is the slow one that meets the theft first.
        assert_eq!(app.scene(1 + round).await.status, StatusCode::OK);
        contested.steal();
        contested.release();
    }
    contested.called(3).await;
    contested.release();
    assert_eq!(slow.await.unwrap().status, StatusCode::OK);
    assert_eq!(
        (contested.slow_calls(), contested.upstream.tokens()),
        (3, 3)
    );
}

#[tokio::test]
async fn a_token_that_another_replica_superseded_is_no_second_refusal() {
    let contested = Contested::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/wxqr.db", folder.path().display());
    let replica = || {
        patient(&contested.upstream)
            .set("TOKEN_SOURCE", "classic")
            .set("DATABASE_URL", &database)
            .spawn()
    };
    let (first, second) = (replica().await, replica().await);
    let slow = slow_request(&first, "");
    for round in 1..=2 {
        contested.called(usize::try_from(round).unwrap()).await;
        contested.steal();
        assert_eq!(second.scene(round).await.status, StatusCode::OK);
        contested.release();
    }
    contested.called(3).await;
    contested.release();
    assert_eq!(slow.await.unwrap().status, StatusCode::OK);
    assert_eq!(contested.slow_calls(), 3);
}

#[tokio::test]
async fn a_request_that_meets_one_theft_after_the_other_ends() {
    const CALLS: u32 = 5;
    let contested = Contested::spawn().await;
    let app = patient(&contested.upstream).spawn().await;
    assert_eq!(app.scene(1).await.status, StatusCode::OK);
    let slow = slow_request(&app, "");
    for round in 1..=CALLS {
        contested.called(usize::try_from(round).unwrap()).await;
        contested.steal();
        assert_eq!(app.scene(1 + round).await.status, StatusCode::OK);
        contested.release();
    }
    let answer = slow.await.unwrap();
    assert_eq!(answer.problem(), (502, "upstream_refused".to_owned()));
    assert_eq!(answer.json()["errcode"], 40001);
    assert_eq!(contested.slow_calls(), CALLS as usize);
}

/// The operator sees how often calls go on with a newer token, and why.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_go_on_with_a_newer_token_are_counted() {
    let both = Arc::new(Barrier::new(2));
    let upstream = Upstream::spawn(move |call: Seen| {
        let both = Arc::clone(&both);
        Box::pin(async move {
            let first_token = call.query.contains("access_token=first");
            match call.nth {
                0 if call.is_token_call() => Reply::token("first", 7200),
                _ if call.is_token_call() => Reply::token("second", 7200),
                0 => Reply::code(7200),
                _ if first_token => {
                    both.wait().await;
                    Reply::refusal(40001, "invalid credential")
                }
                _ => Reply::code(7200),
            }
        })
    })
    .await;
    let (_process, addresses) = Process::serve(&[
        ("WXQR_APP_ID", APP_ID),
        ("WXQR_APP_SECRET", APP_SECRET),
        ("WXQR_API_BASE", &upstream.url()),
        ("WXQR_DATABASE_URL", "sqlite::memory:"),
        ("WXQR_UPSTREAM_TIMEOUT", "30s"),
        ("WXQR_METRICS_LISTEN", "127.0.0.1:0"),
    ])
    .await;
    let client = client();
    let scene = |id: u32| {
        let url = format!("http://{}/qrcode.json?scene_id={id}", addresses.http);
        Answer::to(client.get(url))
    };
    assert_eq!(scene(1).await.status, StatusCode::OK);
    for answer in join_all([scene(2), scene(3)]).await {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    let url = format!("http://{}/metrics", addresses.metrics.unwrap());
    let metrics = Answer::to(client.get(url)).await;
    for reason in ["revoked", "superseded"] {
        let line = format!("wxqr_token_retries_total{{reason=\"{reason}\"}} 1\n");
        assert!(metrics.text().contains(&line), "{line}: {}", metrics.text());
    }
}
