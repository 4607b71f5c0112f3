//! Strangers use up what WeChat lets through in a minute, and the keys' codes go on.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use reqwest::Method;
use serde_json::json;
use wechat_sandbox::{Fault, FaultKind, Sandbox, Target};
use wxqr::clock::{Clock as _, ManualClock, SystemClock};

use crate::support::Server;
use crate::support::answer::Answer;
use crate::support::app::{APP_ID, APP_SECRET, Builder, TestApp, spawn_sandbox};
use crate::support::fleet::created;
use crate::support::keys;
use crate::support::process::Process;
use crate::support::pushes::{AES_KEY, TOKEN};
use crate::support::{client, eventually_async};

/// A WeChat that refuses `qrcode/create` beyond a number of calls in any `window`.
struct Limited {
    sandbox: Sandbox,
    base: String,
    refused: Arc<AtomicUsize>,
    _server: Server,
}

impl Limited {
    async fn spawn(most: usize, window: Duration) -> Self {
        let refused = Arc::<AtomicUsize>::default();
        let (count, calls) = (
            Arc::clone(&refused),
            Arc::<Mutex<VecDeque<Instant>>>::default(),
        );
        let limit = move |request: Request, next: Next| {
            let (count, calls) = (Arc::clone(&count), Arc::clone(&calls));
            async move {
                if !request.uri().path().ends_with("/qrcode/create") || admit(&calls, most, window)
                {
                    return next.run(request).await;
                }
                count.fetch_add(1, Ordering::SeqCst);
                json!({"errcode": 45011, "errmsg": "api minute-quota reached"})
                    .to_string()
                    .into_response()
            }
        };
        let wrap = |router: axum::Router| router.layer(from_fn(limit));
        let (sandbox, address, server) = spawn_sandbox(APP_SECRET, wrap).await;
        Self {
            sandbox,
            base: format!("http://{address}"),
            refused,
            _server: server,
        }
    }

    fn service(&self) -> Builder {
        TestApp::with()
            .set("API_BASE", &self.base)
            .set("TRUSTED_PROXIES", "127.0.0.1")
            .set("VISITOR_RATE", "30/1m")
            .set("CALLBACK_TOKEN", TOKEN)
            .set("ENCODING_AES_KEY", AES_KEY)
    }

    fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }

    /// How many codes were made for strangers.
    fn strangers(&self) -> usize {
        let is_strange = |scene: &serde_json::Value| {
            let text = scene["scene_str"].as_str();
            text.is_some_and(|text| text.starts_with("stranger"))
        };
        let created = created(&self.sandbox);
        created.iter().filter(|scene| is_strange(scene)).count()
    }
}

fn admit(calls: &Mutex<VecDeque<Instant>>, most: usize, window: Duration) -> bool {
    let mut calls = calls.lock().unwrap();
    while calls.front().is_some_and(|call| call.elapsed() > window) {
        calls.pop_front();
    }
    let admitted = calls.len() < most;
    if admitted {
        calls.push_back(Instant::now());
    }
    admitted
}

/// A new scene from an address of its own.
async fn stranger(app: &TestApp, n: usize) -> Answer {
    let request = app.request(Method::GET, &format!("/qrcode.json?scene_str=stranger-{n}"));
    let address = format!("10.0.{}.{}", n / 256, n % 256);
    Answer::to(request.header("x-forwarded-for", address)).await
}

async fn strangers(app: &TestApp, numbers: std::ops::Range<usize>) -> Vec<Answer> {
    let asking = numbers.map(|n| stranger(app, n));
    stream::iter(asking).buffer_unordered(32).collect().await
}

async fn mint(app: &TestApp, n: usize) -> Answer {
    let path = format!("/qrcode.json?scene_str=owner-{n}");
    app.get_as(keys::ADMIN, &path).await
}

async fn sign_in(app: &TestApp) -> Answer {
    let request = app.request(Method::POST, "/api/bindings");
    Answer::to(request.bearer_auth(keys::ADMIN).json(&json!({}))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_visitors_pace_leaves_the_minute_limit_to_keys() {
    const LIMIT: usize = 60;
    const PACE: usize = 20;
    let limited = Limited::spawn(LIMIT, Duration::from_mins(1)).await;
    let pace = format!("{PACE}/1m");
    let app = limited.service().set("VISITOR_PACE", pace).spawn().await;
    let known = mint(&app, 0).await.ticket();
    let started = Instant::now();
    let owner = async {
        for n in 1..=5 {
            assert_eq!(mint(&app, n).await.status, 200);
            assert_eq!(sign_in(&app).await.status, 201);
        }
    };
    let (answers, ()) = tokio::join!(strangers(&app, 0..500), owner);

    let minutes = usize::try_from(started.elapsed().as_secs() / 60).unwrap();
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    let most = PACE * (2 + minutes);
    assert!((PACE..=most).contains(&served), "{served}");
    assert_eq!(limited.strangers(), served);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(refused.problem(), (503, "upstream_busy".to_owned()));
        let retry_after = refused.retry_after();
        assert!(
            retry_after.is_some_and(|seconds| seconds > 0),
            "{refused:?}"
        );
    }
    assert_eq!(limited.refused(), 0, "WeChat's limit was never met");
    let path = "/qrcode.json?scene_str=owner-0";
    let visitor = app.get_with(path, &[("x-forwarded-for", "10.9.9.9")]).await;
    assert_eq!(visitor.ticket(), known, "a known code needs no pace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_by_the_minute_limit_ends_within_seconds_for_keys() {
    const LIMIT: usize = 5;
    let limited = Limited::spawn(LIMIT, Duration::from_secs(2)).await;
    let app = limited.service().spawn().await;
    let quota = (503, "upstream_quota".to_owned());
    let mut asked = 0;
    while limited.refused() == 0 {
        strangers(&app, asked..asked + 2 * LIMIT).await;
        asked += 2 * LIMIT;
    }
    let (served, refused) = (limited.strangers(), limited.refused());

    for answer in strangers(&app, 1000..1100).await {
        assert_eq!(answer.problem(), quota);
    }
    assert_eq!(limited.refused(), refused, "visitors do not probe");
    eventually_async("a key signs somebody in", || async {
        let answer = sign_in(&app).await;
        assert!(
            answer.status == 201 || answer.problem() == quota,
            "{answer:?}"
        );
        answer.status == 201
    })
    .await;
    assert_eq!(mint(&app, 1).await.status, 200);
    assert_eq!(
        stranger(&app, 2000).await.problem(),
        quota,
        "visitors wait for their minute"
    );
    assert_eq!(limited.strangers(), served);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_waits_for_no_minute_limit_and_is_served_its_unexpired_code() {
    for timeout in ["2s", "5s"] {
        let limited = Limited::spawn(1, Duration::from_hours(1)).await;
        let service = limited.service().set("UPSTREAM_TIMEOUT", timeout);
        let app = service.spawn().await;
        let of_life = |n: usize, seconds: u32| {
            let path = format!("/qrcode.json?scene_str=owner-{n}&expire_seconds={seconds}");
            Answer::to(app.request(Method::GET, &path).bearer_auth(keys::ADMIN))
        };
        let short = of_life(0, 120).await.ticket();
        // Too little is left of it for this request, and no new one can be had.
        assert_eq!(of_life(0, 86_400).await.ticket(), short);
        assert_eq!(limited.refused(), 1, "no call is repeated for it");

        eventually_async("the next probe is due and refused", || async {
            let answer = mint(&app, 1).await;
            assert_eq!(answer.problem(), (503, "upstream_quota".to_owned()));
            assert_eq!(answer.json()["errcode"], 45011);
            let wait = answer.retry_after();
            assert!(matches!(wait, Some(1..=2)), "{wait:?}");
            limited.refused() == 2
        })
        .await;
        let bindings = sign_in(&app).await;
        assert_eq!(bindings.problem(), (503, "upstream_quota".to_owned()));
    }
}

/// A service whose visitors have met the minute limit, which WeChat has cleared since.
async fn stopped() -> (Arc<ManualClock>, TestApp) {
    let clock = Arc::new(ManualClock::starting_at(SystemClock.now()));
    let app = TestApp::with()
        .set("CALLBACK_TOKEN", TOKEN)
        .set("ENCODING_AES_KEY", AES_KEY)
        .set("TRUSTED_PROXIES", "127.0.0.1")
        .set("UPSTREAM_TIMEOUT", "30s")
        .failing(Target::Create, FaultKind::Errcode(45011))
        .spawn_by(Arc::<ManualClock>::clone(&clock))
        .await;
    let quota = (503, "upstream_quota".to_owned());
    assert_eq!(stranger(&app, 0).await.problem(), quota);
    app.heal();
    (clock, app)
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_wait_for_the_probe_of_the_first_of_them() {
    let (_clock, app) = stopped().await;
    let slow = FaultKind::Slow(Duration::from_millis(500));
    let only_the_probe = Fault::new(Target::Create, slow).times(1);
    app.sandbox.set_faults(vec![only_the_probe]);
    let answers = join_all((0..20).map(|_| sign_in(&app))).await;
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    assert_eq!(statuses, [201; 20], "{answers:?}");
    assert_eq!(app.creates(), 21);
    let visitor = stranger(&app, 1).await;
    assert_eq!(visitor.problem(), (503, "upstream_quota".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_the_visitors_does_not_stop_keys_that_are_cleared() {
    let (clock, app) = stopped().await;
    assert_eq!(sign_in(&app).await.status, 201, "a key's probe");
    clock.advance(Duration::from_secs(61));
    app.fail(Target::Create, FaultKind::Hang);
    let probe = stranger(&app, 1);
    let keys = async {
        eventually_async("the visitors' probe is under way", || async {
            app.creates() == 3
        })
        .await;
        app.heal();
        join_all((0..10).map(|_| sign_in(&app))).await
    };
    let answers = tokio::select! {
        answer = probe => panic!("the probe has ended: {answer:?}"),
        answers = keys => answers,
    };
    let statuses: Vec<_> = answers
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    assert_eq!(statuses, [201; 10], "{answers:?}");
}

#[tokio::test]
async fn an_exceeded_pace_is_counted_and_said_to_the_operator_once_a_minute() {
    let limited = Limited::spawn(100, Duration::from_mins(1)).await;
    let (process, addresses) = Process::serve(&[
        ("WXQR_APP_ID", APP_ID),
        ("WXQR_APP_SECRET", APP_SECRET),
        ("WXQR_API_BASE", &limited.base),
        ("WXQR_DATABASE_URL", "sqlite::memory:"),
        ("WXQR_VISITOR_PACE", "1/1d"),
        ("WXQR_METRICS_LISTEN", "127.0.0.1:0"),
    ])
    .await;
    let client = client();
    let scene = |id: u32| {
        let url = format!("http://{}/qrcode.json?scene_id={id}", addresses.http);
        Answer::to(client.get(url))
    };
    assert_eq!(scene(1).await.status, 200);
    for id in 2..=4 {
        let refused = scene(id).await;
        assert_eq!(refused.problem(), (503, "upstream_busy".to_owned()));
        let detail = refused.field("detail");
        assert!(
            detail.starts_with("visitors ask for new codes faster"),
            "{detail}"
        );
    }
    assert_eq!(scene(1).await.status, 200, "a known code is served");
    let url = format!("http://{}/metrics", addresses.metrics.unwrap());
    let metrics = Answer::to(client.get(url)).await;
    let counted = "\nwxqr_visitor_pace_exceeded_total 3\n";
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    process.wait_for_line("WXQR_VISITOR_PACE").await;
    process.signal("TERM");
    let log = process.output().await.stderr;
    let lines = log
        .lines()
        .filter(|line| line.contains("WXQR_VISITOR_PACE"));
    let warnings: Vec<&str> = lines.collect();
    assert_eq!(warnings.len(), 1, "{log}");
    assert!(warnings[0].contains("\"level\":\"WARN\""), "{log}");
}
