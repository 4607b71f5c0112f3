//! One mint for everybody, and none that is not needed: claims about how often WeChat is called.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use wechat_sandbox::{Api, Fault, FaultKind, Target};

use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::figures::Figures;
use crate::support::keys;
use crate::support::{client, closed_port, eventually, eventually_async};

/// A visitor's time that no machine is too slow for.
const LONG_ENOUGH: &str = "30s";

/// Long enough for a crowd to gather before WeChat answers.
const GATHERING: FaultKind = FaultKind::Slow(Duration::from_secs(2));

/// Asks for one scene from all sides at once.
fn crowd(app: &TestApp, size: usize, path: &str) -> Vec<JoinHandle<Answer>> {
    let client = client();
    let ask = |_| tokio::spawn(Answer::to(client.get(app.url(path))));
    (0..size).map(ask).collect()
}

/// The tickets that a crowd got, each once.
async fn tickets(crowd: Vec<JoinHandle<Answer>>) -> Vec<String> {
    let mut tickets = Vec::new();
    for answer in join_all(crowd).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        tickets.push(answer.ticket());
    }
    tickets.sort_unstable();
    tickets.dedup();
    tickets
}

#[tokio::test(flavor = "multi_thread")]
async fn single_flight_of_a_thousand_requests_costs_one_ticket_and_one_token() {
    let app = TestApp::with()
        .set("UPSTREAM_TIMEOUT", LONG_ENOUGH)
        .failing(Target::Create, GATHERING)
        .spawn()
        .await;
    let crowd = crowd(&app, 1000, "/qrcode.json?scene_id=123");
    assert_eq!(tickets(crowd).await.len(), 1, "all have the same ticket");
    assert_eq!((app.creates(), app.tokens()), (1, 1));
    let mut figures = Figures::of("1,000 visitors ask for the same new scene at once");
    figures.exactly("codes made", 1, app.creates());
    figures.exactly("tokens taken", 1, app.tokens());
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnected_callers_neither_lose_the_ticket_nor_cost_another() {
    let app = TestApp::with()
        .set("UPSTREAM_TIMEOUT", LONG_ENOUGH)
        .failing(Target::Create, GATHERING)
        .spawn()
        .await;
    let path = "/qrcode.json?scene_id=123";

    // Callers that will disconnect come first, so that one of them starts the mint.
    let mut sockets = Vec::new();
    for _ in 0..250 {
        let mut socket = TcpStream::connect(app.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: wxqr\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        sockets.push(socket);
    }
    eventually("the mint has begun", || app.creates() == 1).await;
    let leaving = crowd(&app, 250, path);
    let staying = crowd(&app, 500, path);
    drop(sockets);
    for caller in &leaving {
        caller.abort();
    }

    assert_eq!(tickets(staying).await.len(), 1, "all have the same ticket");
    assert_eq!((app.creates(), app.tokens()), (1, 1));
}

#[tokio::test]
async fn a_ticket_whose_only_caller_left_is_there_for_the_next() {
    let app = TestApp::with()
        .set("UPSTREAM_TIMEOUT", LONG_ENOUGH)
        .failing(Target::Create, GATHERING)
        .spawn()
        .await;
    let path = app.url("/qrcode.json?scene_id=123");
    let only = tokio::spawn(Answer::to(client().get(path)));
    eventually("the mint has begun", || app.creates() == 1).await;
    only.abort();
    assert_eq!(app.scene(123).await.status, StatusCode::OK);
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn each_kind_sends_exactly_the_documented_body() {
    let app = TestApp::spawn().await;
    let authorization = format!("Bearer {}", keys::PERMANENT);
    for (query, want) in [
        (
            "scene_id=4294967295",
            json!({"expire_seconds": 7200, "action_name": "QR_SCENE",
                   "action_info": {"scene": {"scene_id": 4_294_967_295_u32}}}),
        ),
        (
            "scene_str=%E5%B1%95%E4%BC%9A+A%2B1&expire_seconds=2592000",
            json!({"expire_seconds": 2_592_000, "action_name": "QR_STR_SCENE",
                   "action_info": {"scene": {"scene_str": "展会 A+1"}}}),
        ),
        (
            "scene_id=100000&permanent=true",
            json!({"action_name": "QR_LIMIT_SCENE", "action_info": {"scene": {"scene_id": 100_000}}}),
        ),
        (
            "scene_str=123&permanent=true",
            json!({"action_name": "QR_LIMIT_STR_SCENE", "action_info": {"scene": {"scene_str": "123"}}}),
        ),
    ] {
        let path = format!("/qrcode.json?{query}");
        let answer = app
            .get_with(&path, &[("authorization", &authorization)])
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{query}: {answer:?}");
        assert_eq!(answer.json()["action_name"], want["action_name"], "{query}");
        let call = app.calls(Api::Create).pop().unwrap();
        assert_eq!(
            (call.method.as_str(), call.query.as_str()),
            ("POST", "access_token=***")
        );
        let sent: Value = serde_json::from_str(&call.body).unwrap();
        assert_eq!(sent, want, "{query}");
        assert!(
            call.body.is_ascii() || call.body.contains("展会"),
            "raw UTF-8: {}",
            call.body
        );
    }
    assert_eq!((app.creates(), app.tokens()), (4, 1));
}

#[tokio::test]
async fn a_second_request_costs_nothing_in_any_representation() {
    let app = TestApp::spawn().await;
    let first = app.scene(5).await.ticket();
    for extension in [".html", ".json", ".png", ".svg", ".jpg", ""] {
        let path = format!("/qrcode{extension}?scene_id=5");
        for method in [Method::GET, Method::HEAD] {
            let answer = Answer::to(app.request(method, &path)).await;
            assert!(
                answer.status.is_success() || answer.status == StatusCode::FOUND,
                "{path}"
            );
        }
    }
    assert_eq!(app.scene(5).await.ticket(), first);
    assert_eq!((app.creates(), app.tokens()), (1, 1));
}

#[tokio::test]
async fn a_prefetch_creates_nothing_and_gets_what_exists() {
    let app = TestApp::spawn().await;
    let known = app.scene(1).await.ticket();
    let marks: [(Method, &[(&str, &str)]); 4] = [
        (Method::HEAD, &[]),
        (Method::GET, &[("sec-purpose", "prefetch;prerender")]),
        (Method::GET, &[("sec-purpose", "prefetch")]),
        (Method::GET, &[("purpose", "prefetch")]),
    ];
    let send = async |mark: usize, path: &str| {
        let (method, headers) = &marks[mark];
        let mut request = app.request(method.clone(), path).bearer_auth(keys::ADMIN);
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        Answer::to(request).await
    };
    let shown_as = [
        "/qrcode?",
        "/qrcode.json?",
        "/qrcode.png?",
        "/qrcode.svg?",
        "/qrcode.jpg?",
        "/qrcode?fragment=1&",
        "/?",
    ];
    // Seven ways to show a code and four marks: each meets each.
    for scene in 2..1002 {
        let shown_as = shown_as[scene % shown_as.len()];
        let answer = send(scene % marks.len(), &format!("{shown_as}scene_id={scene}")).await;
        // The first page shows the refusal beside its form.
        let status = if shown_as == "/?" { 200 } else { 503 };
        assert_eq!(answer.status.as_u16(), status, "{shown_as}scene_id={scene}");
    }
    let refused = send(1, "/qrcode.json?scene_id=2").await;
    assert_eq!(refused.problem().1, "not_minted_for_prefetch");
    assert_eq!(app.creates(), 1, "the known one only");
    assert_eq!(send(3, "/qrcode.json?scene_id=1").await.ticket(), known);
    let ordinary = app.get_with("/qrcode.json?scene_id=2", &[("sec-purpose", "other")]);
    assert_eq!(ordinary.await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_same_text_as_number_and_as_string_are_two_codes() {
    let app = TestApp::spawn().await;
    let number = app.get("/qrcode.json?scene_id=7").await.ticket();
    let text = app.get("/qrcode.json?scene_str=7").await.ticket();
    assert_ne!(number, text);
    assert_eq!(app.creates(), 2);
}

#[tokio::test]
async fn with_reuse_at_one_each_request_mints_once() {
    let app = TestApp::with().set("REUSE", "1").spawn().await;
    let mut tickets = Vec::new();
    for n in 1..=5 {
        tickets.push(app.scene(9).await.ticket());
        assert_eq!(app.creates(), n);
    }
    tickets.dedup();
    assert_eq!((tickets.len(), app.tokens()), (5, 1));
}

#[tokio::test]
async fn with_reuse_at_one_a_crowd_does_not_mint_for_each_of_its_members() {
    let app = TestApp::with()
        .set("REUSE", "1")
        .set("UPSTREAM_TIMEOUT", LONG_ENOUGH)
        .failing(Target::Create, GATHERING)
        .spawn()
        .await;
    let first = tokio::spawn(Answer::to(client().get(app.url("/qrcode.json?scene_id=9"))));
    eventually("the mint has begun", || app.creates() == 1).await;
    let crowd = crowd(&app, 100, "/qrcode.json?scene_id=9");
    tickets(crowd).await;
    first.await.unwrap();
    // Requests during a mint share it; only a later one may cost another.
    assert!(app.creates() <= 3, "{} creates", app.creates());
}

#[tokio::test]
async fn a_longer_life_is_minted_and_a_shorter_one_served() {
    let app = TestApp::spawn().await;
    let get = |life: u32| {
        let path = format!("/qrcode.json?scene_id=11&expire_seconds={life}");
        let app = &app;
        async move { app.get(&path).await }
    };
    let short = get(600).await;
    let long = get(86_400).await;
    assert_ne!(short.ticket(), long.ticket());
    assert_eq!(app.creates(), 2);
    for life in [600, 7200, 86_400, 100_000] {
        assert_eq!(get(life).await.ticket(), long.ticket(), "life {life}");
    }
    assert_eq!(app.creates(), 2);
    // The life that is left is what is said, whatever was asked.
    let left = get(600).await.json()["expire_seconds"].as_i64().unwrap();
    assert!((86_000..=86_400).contains(&left), "{left}");
}

#[tokio::test]
async fn a_permanent_code_is_made_only_for_a_key_and_then_served_to_anybody() {
    let app = TestApp::spawn().await;
    let query = "scene_id=42&permanent=true";

    for extension in ["", ".html", ".json", ".png", ".svg", ".jpg"] {
        for method in [Method::GET, Method::HEAD, Method::POST] {
            let path = format!("/qrcode{extension}?{query}");
            let answer = Answer::to(app.request(method.clone(), &path)).await;
            let want = if method == Method::POST { 405 } else { 403 };
            assert_eq!(answer.status.as_u16(), want, "{method} {path}");
        }
    }
    let refused = app.get(&format!("/qrcode.json?{query}")).await;
    assert_eq!(refused.problem(), (403, "mint_not_allowed".to_owned()));

    let with_key = async |key: &str| {
        let path = format!("/qrcode.json?{query}");
        app.get_as(key, &path).await
    };
    let unknown = with_key("a-key-that-nobody-gave-out").await;
    assert_eq!(unknown.problem(), (401, "unauthorized".to_owned()));
    assert_eq!(unknown.header("www-authenticate"), "Bearer");
    assert_eq!(with_key(keys::MINT).await.problem().1, "mint_not_allowed");
    assert_eq!(app.creates(), 0, "nothing was minted so far");

    let made = with_key(keys::PERMANENT).await;
    assert_eq!(made.status, StatusCode::OK, "{made:?}");
    let json = made.json();
    assert_eq!(json["permanent"], true);
    assert!(json.get("expire_seconds").is_none() && json.get("expires_at").is_none());
    for _ in 0..3 {
        let served = app.get(&format!("/qrcode.json?{query}")).await;
        assert_eq!(served.ticket(), made.ticket());
    }
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn a_key_without_the_scope_mint_is_charged_to_the_visitors_budget() {
    let app = TestApp::with().set("ANONYMOUS_BUDGET", "1").spawn().await;
    let ask = |key: &str, id: u32| {
        let path = format!("/qrcode.json?scene_id={id}");
        Answer::to(app.request(Method::GET, &path).bearer_auth(key))
    };
    let exhausted = (429, "budget_exhausted".to_owned());
    assert_eq!(ask(keys::PERMANENT, 1).await.status, StatusCode::OK);
    assert_eq!(ask(keys::PERMANENT, 2).await.problem(), exhausted);
    assert_eq!(app.scene(3).await.problem(), exhausted);
    let page = app.get("/qrcode?scene_id=3").await;
    let wait = page.header("retry-after");
    let refresh = format!(
        r#"http-equiv="refresh" content="{}""#,
        wait.parse::<u64>().unwrap().max(30)
    );
    assert!(
        page.text().contains(&refresh),
        "a screen on a wall comes back: {refresh}"
    );
    for id in 4..8 {
        assert_eq!(ask(keys::MINT, id).await.status, StatusCode::OK);
    }
    assert_eq!(app.creates(), 5);
}

#[tokio::test]
async fn budget_is_not_refunded_after_a_request_may_have_left() {
    // The first host takes requests and never answers, the second cannot be reached.
    let dead_end = format!("{{sandbox}},http://{}", closed_port());
    let app = TestApp::with()
        .set("ANONYMOUS_BUDGET", "1")
        .set("API_BASE", dead_end)
        .spawn()
        .await;
    eventually("a token", || app.tokens() == 1).await;
    app.fail(Target::Create, FaultKind::Hang);
    assert_eq!(app.scene(1).await.problem().1, "upstream_timeout");
    app.heal();
    eventually_async("the failure is forgotten", || async {
        app.scene(2).await.problem().1 == "budget_exhausted"
    })
    .await;
}

#[tokio::test]
async fn a_code_expired_on_arrival_is_not_served() {
    let app = TestApp::with()
        .failing(Target::Create, FaultKind::Slow(Duration::from_millis(1500)))
        .spawn()
        .await;
    let short = app.get("/qrcode.json?scene_id=1&expire_seconds=1").await;
    assert_eq!(short.problem(), (504, "upstream_timeout".to_owned()));
}

/// The lifetime that a visitor requests does not become that of a key's code.
#[tokio::test(flavor = "multi_thread")]
async fn a_keys_code_lives_as_the_key_asks_whatever_a_visitor_waits_for() {
    const MONTH: u32 = 2_592_000;
    // One visitor at a time waits for the pace; more would wait for too long.
    let app = TestApp::with()
        .set("UPSTREAM_TIMEOUT", LONG_ENOUGH)
        .set("VISITOR_PACE", "1/14s")
        .spawn()
        .await;
    app.scene(1).await;
    let of = |id: u32, seconds: u32| {
        app.request(
            Method::GET,
            &format!("/qrcode.json?scene_id={id}&expire_seconds={seconds}"),
        )
    };
    let mut two = [2, 3].map(|id| tokio::spawn(Answer::to(of(id, MONTH))));
    let (refused, place, _) = select_all(two.iter_mut()).await;
    let refused = refused.unwrap();
    assert_eq!(refused.problem(), (503, "upstream_busy".to_owned()));
    let waiting = if place == 0 { 3 } else { 2 };
    let own = Answer::to(of(waiting, 60).bearer_auth(keys::MINT)).await;
    assert_eq!(own.json()["expire_seconds"], 60, "{own:?}");
    for visitor in two {
        visitor.abort();
    }
}

#[tokio::test]
async fn budget_is_refunded_if_no_mint_call_left() {
    let sandbox = TestApp::spawn().await;
    let app = TestApp::with()
        .set("ANONYMOUS_BUDGET", "1")
        .set("API_BASE", format!("http://{}", sandbox.sandbox_address))
        .spawn()
        .await;
    sandbox.fail(Target::Token, FaultKind::Errcode(-1));
    assert_eq!(app.scene(1).await.problem().1, "upstream_busy");
    sandbox.heal();
    eventually_async("a token again", || async {
        app.scene(1).await.status == StatusCode::OK
    })
    .await;
    assert_eq!(app.scene(2).await.problem().1, "budget_exhausted");
}

/// Upstream permits for visitors (`codes::admission`).
const VISITORS_PERMITS: u32 = 60;

#[tokio::test]
async fn upstream_permits_reserved_for_keys_serve_a_scene_that_a_visitor_waits_for() {
    let app = TestApp::with().set("UPSTREAM_TIMEOUT", "1s").spawn().await;
    app.scene(1).await;
    let hang = Fault::new(Target::Create, FaultKind::Hang).times(VISITORS_PERMITS);
    app.sandbox.set_faults(vec![hang]);
    let before = app.creates();
    let ask = |n: u32| app.scene(1000 + n);
    let crowd = join_all((0..VISITORS_PERMITS).map(ask));
    let (crowd, ()) = tokio::join!(
        crowd,
        eventually("every permit is taken", || {
            app.creates() == before + VISITORS_PERMITS as usize
        })
    );
    assert!(crowd.iter().all(|answer| answer.status == 504));
    // Its mint goes on waiting for a permit.
    assert_eq!(app.scene(7).await.status, 504);
    // On a busy machine that may take longer than a caller waits.
    eventually_async("the key has its code", || async {
        let keyed = app.get_as(keys::MINT, "/qrcode.json?scene_id=7").await;
        keyed.status == StatusCode::OK
    })
    .await;
    assert_eq!(app.scene(7).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_stored_code_is_found_while_all_permits_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite://{}/wxqr.db", folder.path().display());
    let replica = || TestApp::with().set("DATABASE_URL", &database);
    let full = replica().set("UPSTREAM_TIMEOUT", LONG_ENOUGH).spawn().await;
    let base = format!("http://{}", full.sandbox_address);
    let other = replica().set("API_BASE", base).spawn().await;
    let hang = Fault::new(Target::Create, FaultKind::Hang).times(VISITORS_PERMITS);
    full.sandbox.set_faults(vec![hang]);
    let ask = |n| {
        let path = format!("/qrcode.json?scene_id={}", 1000 + n);
        tokio::spawn(Answer::to(full.request(Method::GET, &path)))
    };
    let crowd: Vec<_> = (0..VISITORS_PERMITS).map(ask).collect();
    let are_taken = || full.creates() == VISITORS_PERMITS as usize;
    eventually("every permit is taken", are_taken).await;
    let made = other.scene(7).await.ticket();
    assert_eq!(full.scene(7).await.ticket(), made);
    for visitor in crowd {
        visitor.abort();
    }
}

#[tokio::test]
async fn a_permanent_code_is_minted_once_for_a_crowd_of_keys() {
    let app = TestApp::with()
        .failing(Target::Create, GATHERING)
        .spawn()
        .await;
    let client = client();
    let ask = |_| {
        let url = app.url("/qrcode.json?scene_str=door&permanent=true");
        tokio::spawn(Answer::to(client.get(url).bearer_auth(keys::PERMANENT)))
    };
    let crowd = (0..200).map(ask).collect();
    assert_eq!(tickets(crowd).await.len(), 1);
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn a_permanent_mint_of_unknown_outcome_is_not_sent_again() {
    for kind in [
        FaultKind::Half,
        FaultKind::Garbage,
        FaultKind::Reset,
        FaultKind::Status(StatusCode::BAD_GATEWAY),
    ] {
        let app = TestApp::spawn().await;
        app.fail(Target::Create, kind);
        let path = "/qrcode.json?scene_id=1&permanent=true";
        let answer = app.get_as(keys::PERMANENT, path).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{kind:?}");
        assert_eq!(app.creates(), 1, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_answers_for_a_second_and_then_it_works() {
    /// As often as one mint sends its call.
    const ATTEMPTS: usize = 6;
    let app = TestApp::with()
        .failing(Target::Create, FaultKind::Errcode(-1))
        .spawn()
        .await;
    let crowd = join_all(crowd(&app, 100, "/qrcode.json?scene_id=13")).await;
    for answer in crowd {
        assert_eq!(answer.unwrap().problem(), (503, "upstream_busy".to_owned()));
    }
    assert_eq!(
        app.creates(),
        ATTEMPTS,
        "the waiters did not try one by one"
    );
    app.scene(13).await;
    // On a machine that takes longer than the memory lasts, the failure is rightly forgotten by
    // then.
    let times: Vec<_> = app.calls(Api::Create).iter().map(|call| call.at).collect();
    let (first, next) = times.split_at(ATTEMPTS);
    let pause = next
        .first()
        .map(|at| first[ATTEMPTS - 1].duration_until(*at));
    assert!(
        pause.is_none_or(|pause| pause >= SignedDuration::from_secs(1)),
        "{pause:?}"
    );
    let before = app.creates();
    app.heal();
    eventually_async("the scene works", || async {
        app.scene(13).await.status == StatusCode::OK
    })
    .await;
    assert_eq!(app.creates(), before + 1);
}

#[tokio::test]
async fn a_failing_scene_leaves_its_neighbours_alone() {
    let app = TestApp::spawn().await;
    app.sandbox.set_faults(vec![
        wechat_sandbox::Fault::new(Target::Create, FaultKind::Errcode(40053)).times(1),
    ]);
    assert_eq!(
        app.scene(1).await.problem(),
        (400, "scene_refused".to_owned())
    );
    assert_eq!(app.scene(2).await.status, StatusCode::OK);
    assert_eq!(app.creates(), 2);
}

/// WeChat takes longer than a lifetime of a second.
const SLOWER_THAN_A_LIFETIME: FaultKind = FaultKind::Slow(Duration::from_millis(1500));

fn short_lived(seconds: u32) -> String {
    format!("/qrcode.json?scene_str=victim&expire_seconds={seconds}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_expired_on_arrival_does_not_fail_longer_requests() {
    let app = TestApp::with()
        .set("UPSTREAM_TIMEOUT", LONG_ENOUGH)
        .failing(Target::Create, SLOWER_THAN_A_LIFETIME)
        .spawn()
        .await;
    let attacker = tokio::spawn(Answer::to(client().get(app.url(&short_lived(1)))));
    eventually("the attacker's mint has begun", || app.creates() == 1).await;
    let joined = crowd(&app, 24, "/qrcode.json?scene_str=victim");
    let attacker = attacker.await.unwrap();
    assert_eq!(attacker.problem(), (504, "upstream_timeout".to_owned()));
    // Within the second for which the failure is remembered.
    let later = crowd(&app, 24, "/qrcode.json?scene_str=victim");
    let mut tickets = [tickets(joined).await, tickets(later).await].concat();
    tickets.dedup();
    assert_eq!(tickets.len(), 1);
    assert_eq!(
        app.creates(),
        2,
        "the attacker's and one for all the others"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_short_lifetimes_delay_no_request() {
    let app = TestApp::with()
        .set("UPSTREAM_TIMEOUT", LONG_ENOUGH)
        .failing(Target::Create, SLOWER_THAN_A_LIFETIME)
        .spawn()
        .await;
    let attack = |n: u32| {
        let url = app.url(&short_lived(1 + n % 4));
        tokio::spawn(async move {
            loop {
                Answer::to(client().get(&url)).await;
            }
        })
    };
    let attackers: Vec<_> = (0..8).map(attack).collect();
    eventually("an attacker's mint has begun", || app.creates() == 1).await;
    let path = "/qrcode.json?scene_str=victim";
    let owner = app.request(Method::GET, path).bearer_auth(keys::MINT);
    let owner = tokio::spawn(Answer::to(owner));
    let victims = tickets(crowd(&app, 24, path)).await;
    assert_eq!(victims, [owner.await.unwrap().ticket()]);
    for attacker in attackers {
        attacker.abort();
    }
    let lives: Vec<_> = app
        .calls(Api::Create)
        .iter()
        .map(|call| serde_json::from_str::<Value>(&call.body).unwrap()["expire_seconds"].clone())
        .collect();
    let ordinary = lives.iter().filter(|life| **life == 7200).count();
    assert_eq!((ordinary, lives.last()), (1, Some(&json!(7200))));
}
