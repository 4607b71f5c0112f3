//! WeChat fails in every way that the sandbox knows: what visitors are answered, how often WeChat
//! is asked, what still works.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use reqwest::StatusCode;
use wechat_sandbox::{Fault, FaultKind, Target};

use crate::support::answer::Answer;
use crate::support::app::{APP_ID, APP_SECRET, HASTE, TestApp, spawn_sandbox};
use crate::support::closing::ClosingPeer;
use crate::support::figures::{Figures, sized};
use crate::support::keys;
use crate::support::process::Process;
use crate::support::upstream::{Reply, Seen, Upstream};
use crate::support::{client, closed_port, eventually, eventually_async};

/// A fault, and the visitor's answer.
struct Case {
    kind: FaultKind,
    status: u16,
    code: &'static str,
    /// The most seconds of `Retry-After`; none where it has no meaning.
    retry_after: Option<u64>,
}

const fn case(kind: FaultKind, status: u16, code: &'static str, retry_after: Option<u64>) -> Case {
    Case {
        kind,
        status,
        code,
        retry_after,
    }
}

/// What each fault of `api` is for a visitor.
fn cases(api: Target) -> Vec<Case> {
    use FaultKind::{Errcode, Garbage, Half, Hang, Huge, Reset, Status};
    let of_scene = |errcode, status, code| match api {
        // A token call knows no scenes: such a code there is a refusal like any other.
        Target::Token => case(Errcode(errcode), 502, "upstream_refused", None),
        _ => case(Errcode(errcode), status, code, None),
    };
    vec![
        case(Errcode(-1), 503, "upstream_busy", Some(5)),
        case(Errcode(45009), 503, "upstream_quota", Some(60)),
        case(Errcode(45011), 503, "upstream_quota", Some(60)),
        of_scene(40053, 400, "scene_refused"),
        of_scene(40033, 400, "scene_refused"),
        of_scene(45029, 409, "permanent_stock_exhausted"),
        case(Errcode(48001), 502, "upstream_refused", None),
        case(Errcode(40164), 502, "upstream_refused", None),
        case(Errcode(40013), 502, "upstream_refused", None),
        case(Errcode(40125), 502, "upstream_refused", None),
        case(Errcode(123_456), 502, "upstream_refused", None),
        case(Errcode(89501), 503, "account_blocked", None),
        case(Errcode(89503), 503, "account_blocked", None),
        case(Errcode(89507), 503, "account_blocked", None),
        case(Errcode(40002), 500, "internal", None),
        case(Errcode(47001), 500, "internal", None),
        case(
            Status(StatusCode::INTERNAL_SERVER_ERROR),
            502,
            "upstream_invalid",
            None,
        ),
        case(
            Status(StatusCode::BAD_GATEWAY),
            502,
            "upstream_invalid",
            None,
        ),
        case(Status(StatusCode::NOT_FOUND), 502, "upstream_invalid", None),
        case(Status(StatusCode::FOUND), 502, "upstream_invalid", None),
        case(Reset, 502, "upstream_unreachable", None),
        case(Garbage, 502, "upstream_invalid", None),
        case(Half, 502, "upstream_invalid", None),
        case(Huge, 502, "upstream_invalid", None),
        case(Hang, 504, "upstream_timeout", Some(5)),
    ]
}

/// Meets a fresh service with one fault, and ends it again.
async fn meet(api: Target, case: &Case) {
    let what = format!("{:?} on {api:?}", case.kind);
    let app = TestApp::with().failing(api, case.kind).spawn().await;
    let answer = app.scene(1).await;
    let (status, code) = answer.problem();
    assert_eq!((status, code.as_str()), (case.status, case.code), "{what}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    let wait = answer.retry_after();
    assert_eq!(
        wait.is_some(),
        case.retry_after.is_some(),
        "{what}: {wait:?}"
    );
    assert!(wait <= case.retry_after, "{what}: {wait:?}");
    let named = match case.kind {
        FaultKind::Errcode(errcode) => Some(errcode),
        _ => None,
    };
    assert_eq!(answer.json()["errcode"].as_i64(), named, "{what}");
    let healthy = app.get("/healthz").await;
    assert_eq!(healthy.status, StatusCode::OK, "{what}");
    assert_eq!(app.get("/readyz").await.status, StatusCode::OK, "{what}");

    app.heal();
    if code == "upstream_quota" {
        return; // It comes back with the next probe, a minute later.
    }
    // A scene of its own: the hanging mint of the first goes on.
    let mut scene = 1;
    eventually_async(&format!("{what}: it recovers"), || {
        scene += 1;
        let answer = app.scene(scene);
        async { answer.await.status == StatusCode::OK }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_create_call_has_its_answer_and_passes() {
    let cases = cases(Target::Create);
    join_all(cases.iter().map(|case| meet(Target::Create, case))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_token_call_has_its_answer_and_passes() {
    let cases = cases(Target::Token);
    join_all(cases.iter().map(|case| meet(Target::Token, case))).await;
}

#[tokio::test]
async fn a_slow_answer_is_waited_for() {
    let app = TestApp::spawn().await;
    app.fail(Target::Create, FaultKind::Slow(Duration::from_millis(1200)));
    let answer = app.scene(1).await;
    assert_eq!((answer.status, app.creates()), (StatusCode::OK, 1));
    assert!(answer.took >= Duration::from_millis(1200));
}

#[tokio::test]
async fn a_visitor_waits_as_long_as_the_settings_say_and_the_next_one_profits() {
    let app = TestApp::with()
        .set("UPSTREAM_TIMEOUT", "200ms")
        .spawn()
        .await;
    app.fail(Target::Create, FaultKind::Slow(Duration::from_secs(2)));
    let answer = app.scene(1).await;
    // WeChat's answer would be a code.
    assert_eq!(answer.problem(), (504, "upstream_timeout".to_owned()));
    eventually_async("the mint went on", || async {
        app.scene(1).await.status == StatusCode::OK
    })
    .await;
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn an_exhausted_quota_stops_further_calls() {
    for errcode in [45009, 45011] {
        let app = TestApp::spawn().await;
        let known = app.scene(1).await;
        app.fail(Target::Create, FaultKind::Errcode(errcode));
        assert_eq!(
            app.scene(2).await.problem(),
            (503, "upstream_quota".to_owned())
        );
        let (creates, tokens) = (app.creates(), app.tokens());
        for id in 101..=120 {
            let answer = app.scene(id).await;
            assert_eq!(answer.problem(), (503, "upstream_quota".to_owned()));
            assert_eq!(answer.json()["errcode"], errcode);
            assert!(
                answer
                    .retry_after()
                    .is_some_and(|wait| (1..=60).contains(&wait))
            );
        }
        assert_eq!(
            (app.creates(), app.tokens()),
            (creates, tokens),
            "{errcode}"
        );
        let page = app.get("/qrcode?scene_id=101").await;
        assert!(page.headers.contains_key("retry-after"));
        assert_eq!(
            app.scene(1).await.ticket(),
            known.ticket(),
            "a known code is served"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_three_calls_in_ten_failing_nearly_everybody_is_served() {
    const REQUESTS: u32 = 2000;
    // A visitor's own time is measured in full size: here the machine may be busy.
    let app = TestApp::with().set("UPSTREAM_TIMEOUT", sized("30s", "5s"));
    let app = app.spawn().await;
    // A fault sees only the calls that those before it let pass: 10, 9.9 and 9.7 of each hundred.
    let faults = [
        (FaultKind::Errcode(-1), 10),
        (FaultKind::Status(StatusCode::BAD_GATEWAY), 11),
        (FaultKind::Reset, 12),
    ];
    let fault = |(kind, percent)| Fault::new(Target::Any, kind).percent(percent);
    app.sandbox.set_faults(faults.map(fault).to_vec());
    let asked = stream::iter(1..=REQUESTS).map(|id| app.scene(id));
    let answers: Vec<Answer> = asked.buffer_unordered(50).collect().await;
    let served = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::OK);
    let served = served.count();
    assert!(served >= 1990, "{served} of {REQUESTS} were served");
    let creates = app.creates();
    assert!(creates >= 2700, "the faults did happen: {creates} creates");
    let mut figures =
        Figures::of("Three of ten calls to WeChat fail: busy, a gateway's error, no answer");
    let all = usize::try_from(REQUESTS).unwrap();
    let few = "of 2,000 visitors of new codes, turned away";
    figures.at_most(few, all / 200, all - served);
}

#[tokio::test]
async fn a_hang_is_an_answer_in_time_and_known_codes_are_not_slowed_down() {
    let app = TestApp::spawn().await;
    let known = app.scene(1).await.ticket();
    app.fail(Target::Any, FaultKind::Hang);
    let hanging = join_all((101..=120).map(|id| app.scene(id)));
    let meanwhile = async {
        eventually("they wait", || app.creates() == 21).await;
        for _ in 0..50 {
            assert_eq!(app.scene(1).await.ticket(), known);
        }
    };
    let (hung, ()) = tokio::join!(hanging, meanwhile);
    for answer in hung {
        assert_eq!(answer.problem(), (504, "upstream_timeout".to_owned()));
    }
}

#[tokio::test]
async fn an_endless_body_costs_no_memory() {
    const MAX_GROWTH: u64 = 50 * 1024;
    let (sandbox, address, _server) = spawn_sandbox(APP_SECRET, |router| router).await;
    let base = format!("http://{address}");
    let (process, addresses) = Process::serve(&[
        ("WXQR_APP_ID", APP_ID),
        ("WXQR_APP_SECRET", APP_SECRET),
        ("WXQR_API_BASE", &base),
        ("WXQR_VISITOR_RATE", HASTE),
        // 32 such documents may take a busy machine a while.
        ("WXQR_UPSTREAM_TIMEOUT", "25s"),
        ("WXQR_VISITOR_PACE", HASTE),
    ])
    .await;
    let client = client();
    let scene = |id: u32| {
        let url = format!("http://{}/qrcode.json?scene_id={id}", addresses.http);
        Answer::to(client.get(url))
    };
    assert_eq!(scene(1).await.status, StatusCode::OK);
    let Some(before) = resident_kilobytes(process.id()) else {
        return; // No /proc here.
    };
    sandbox.set_faults(vec![Fault::new(Target::Create, FaultKind::Huge)]);
    for answer in join_all((2..=33).map(scene)).await {
        assert_eq!(answer.problem(), (502, "upstream_invalid".to_owned()));
    }
    let growth = resident_kilobytes(process.id())
        .unwrap()
        .saturating_sub(before);
    assert!(growth < MAX_GROWTH, "grew by {growth} kB");
    let mut figures = Figures::of("WeChat answers 32 calls with a document of 1 GiB each");
    let most = format!("under {} MiB", MAX_GROWTH / 1024);
    figures.promise(
        "memory that they took",
        most,
        format!("{} MiB", growth / 1024),
        true,
    );
}

/// The peak memory of a process, if the system reports it.
fn resident_kilobytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[tokio::test]
async fn the_second_host_is_used_while_the_first_refuses_connections() {
    let bases = format!("http://{},{{sandbox}}", closed_port());
    let app = TestApp::with().set("API_BASE", bases).spawn().await;
    for id in 1..=20 {
        let answer = app.scene(id).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    assert_eq!((app.creates(), app.tokens()), (20, 1));
}

#[tokio::test]
async fn the_second_host_is_used_in_time_while_the_first_hangs() {
    let hanging = Upstream::spawn(|_| Box::pin(std::future::pending())).await;
    let bases = format!("{},{{sandbox}}", hanging.url());
    let app = TestApp::with()
        .set("API_BASE", bases)
        .set("UPSTREAM_TIMEOUT", "25s")
        .spawn()
        .await;
    let answer = app.scene(1).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    // From now on the first host rests.
    let before = hanging.seen().len();
    for id in 2..=10 {
        assert_eq!(app.scene(id).await.status, StatusCode::OK);
    }
    assert_eq!(hanging.seen().len(), before);
}

#[tokio::test]
async fn the_second_host_is_used_where_the_first_hangs_with_creating_only() {
    let first = Upstream::spawn(|call: Seen| {
        Box::pin(async move {
            if call.is_token_call() {
                return Reply::token("a-token", 7200);
            }
            std::future::pending().await
        })
    })
    .await;
    let second = Upstream::speaking(|_| Reply::code(7200)).await;
    let bases = format!("{},{}", first.url(), second.url());
    let app = TestApp::with().set("API_BASE", bases).spawn().await;
    let answer = app.scene(1).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!((first.creates(), second.creates()), (1, 1));
}

#[tokio::test]
async fn a_refusal_of_the_first_host_is_not_taken_to_the_second() {
    let first = Upstream::speaking(|call: Seen| {
        if call.is_token_call() {
            Reply::token("a-token", 7200)
        } else {
            Reply::refusal(48001, "api unauthorized")
        }
    })
    .await;
    let bases = format!("{},{{sandbox}}", first.url());
    let app = TestApp::with().set("API_BASE", bases).spawn().await;
    assert_eq!(
        app.scene(1).await.problem(),
        (502, "upstream_refused".to_owned())
    );
    assert_eq!((first.creates(), app.creates()), (1, 0));
}

#[tokio::test]
async fn serve_stale_while_no_new_code_can_be_had() {
    let app = TestApp::with().set("REUSE", "1").spawn().await;
    let first = app.get("/qrcode.json?scene_id=1&expire_seconds=60").await;
    app.fail(Target::Create, FaultKind::Errcode(48001));
    for extension in ["json", "html", "png", "svg", "jpg"] {
        let path = format!("/qrcode.{extension}?scene_id=1&expire_seconds=60");
        let stale = app.get(&path).await;
        assert!(
            stale.status.is_success() || stale.status == StatusCode::FOUND,
            "{stale:?}"
        );
        assert_eq!(stale.header("cache-control"), "no-store", "{path}");
        if extension == "json" {
            assert_eq!(stale.ticket(), first.ticket());
        }
    }
    // A code with less than ten seconds left is not served.
    app.heal();
    assert_eq!(
        app.get("/qrcode.json?scene_id=2&expire_seconds=9")
            .await
            .status,
        StatusCode::OK
    );
    app.fail(Target::Create, FaultKind::Errcode(48001));
    let dying = app.get("/qrcode.json?scene_id=2&expire_seconds=9").await;
    assert_eq!(dying.problem(), (502, "upstream_refused".to_owned()));
}

#[tokio::test]
async fn less_life_than_asked_for_is_said_and_does_not_cost_a_mint_each_time() {
    let upstream = Upstream::speaking(|call: Seen| {
        if call.is_token_call() {
            Reply::token("a-token", 7200)
        } else {
            Reply::code(100)
        }
    })
    .await;
    let app = TestApp::with()
        .set("API_BASE", upstream.url())
        .spawn()
        .await;
    for _ in 0..5 {
        let left = app.scene(1).await.json()["expire_seconds"]
            .as_i64()
            .unwrap();
        assert!((60..=100).contains(&left), "{left}");
    }
    assert_eq!(upstream.creates(), 1);
}

#[tokio::test]
async fn an_answer_that_is_no_code_is_invalid() {
    let ticket = "gQH47joAAAAAAAAAASxodHRw";
    let url = "http://weixin.qq.com/q/kZgfwMTm72WWPkovabbI";
    let bodies = [
        r#"{"errcode":0,"errmsg":"ok"}"#.to_owned(),
        format!(r#"{{"ticket":"","expire_seconds":60,"url":"{url}"}}"#),
        format!(r#"{{"ticket":"{ticket}","expire_seconds":0,"url":"{url}"}}"#),
        format!(r#"{{"ticket":"{ticket}","expire_seconds":60}}"#),
        format!(r#"{{"ticket":"a b\"><script>","expire_seconds":60,"url":"{url}"}}"#),
        format!(r#"{{"ticket":["{ticket}"],"expire_seconds":60,"url":"{url}"}}"#),
        "null".to_owned(),
        "<html>".to_owned(),
        String::new(),
        "[".repeat(60_000),
    ];
    join_all(bodies.into_iter().map(no_code)).await;
}

/// Meets a service with a body that is no answer to `qrcode/create`.
async fn no_code(body: String) {
    let start: String = body.chars().take(80).collect();
    let upstream = Upstream::speaking(move |call: Seen| {
        if call.is_token_call() {
            Reply::token("a-token", 7200)
        } else {
            Reply(200, body.clone())
        }
    })
    .await;
    let app = TestApp::with()
        .set("API_BASE", upstream.url())
        .spawn()
        .await;
    let answer = app.scene(1).await;
    let invalid = (502, "upstream_invalid".to_owned());
    assert_eq!(answer.problem(), invalid, "{start}");
}

/// A WeChat that gives tokens and codes, each on a connection that it closes when it is used again.
async fn closing() -> ClosingPeer {
    ClosingPeer::spawn(|path: &str| {
        if path.ends_with("token") {
            Reply::token("a-token", 7200)
        } else {
            Reply::code(7200)
        }
    })
    .await
}

#[tokio::test]
async fn a_permanent_mint_never_goes_out_on_a_connection_that_was_used_before() {
    let peer = closing().await;
    let app = TestApp::with().set("API_BASE", peer.url()).spawn().await;
    eventually("the first token", || peer.answered("token") == 1).await;
    for id in 1..=5 {
        // Leaves a connection behind that the next call may find.
        assert_eq!(app.scene(id).await.status, StatusCode::OK);
        let cut = peer.cut();
        let path = format!("/qrcode.json?scene_id={id}&permanent=true");
        let answer = app.get_as(keys::ADMIN, &path).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(peer.cut(), cut, "it met a used connection");
    }
    assert_eq!(peer.answered("/qrcode/create"), 10, "one request for each");
}

#[tokio::test]
async fn an_idle_connection_that_wechat_closes_costs_no_visitor_a_code() {
    let peer = closing().await;
    let app = TestApp::with().set("API_BASE", peer.url()).spawn().await;
    for id in 1..=5 {
        assert_eq!(app.scene(id).await.status, StatusCode::OK);
    }
    assert!(peer.cut() > 0, "connections were used again");
    assert_eq!(peer.answered("/qrcode/create"), 5);
}

#[tokio::test]
async fn a_token_call_that_ends_another_token_has_a_connection_of_its_own() {
    let peer = closing().await;
    let app = TestApp::with()
        .set("API_BASE", peer.url())
        .set("TOKEN_SOURCE", "classic")
        .spawn()
        .await;
    assert_eq!(app.scene(1).await.status, StatusCode::OK);
    assert_eq!((peer.answered("/token"), peer.cut()), (1, 0));
}

#[tokio::test]
async fn numbers_in_quotes_are_numbers() {
    let upstream = Upstream::speaking(|call: Seen| {
        if call.is_token_call() {
            return Reply(
                200,
                r#"{"access_token":"a-token","expires_in":"7200"}"#.to_owned(),
            );
        }
        if call.body.contains("refused") {
            let refusal = r#"{"errcode":"40053","errmsg":"invalid action info"}"#;
            return Reply(200, refusal.to_owned());
        }
        let Reply(status, code) = Reply::code(600);
        let quoted = code.replace("600", r#""600""#);
        Reply(status, quoted.replace('{', r#"{"errcode":"0","#))
    })
    .await;
    let app = TestApp::with()
        .set("API_BASE", upstream.url())
        .spawn()
        .await;
    let code = app.scene(1).await;
    let left = code.json()["expire_seconds"].as_u64().unwrap();
    assert!((500..=600).contains(&left), "{left}");
    let refused = app.get("/qrcode.json?scene_str=refused").await;
    assert_eq!(refused.problem(), (400, "scene_refused".to_owned()));
    assert_eq!(refused.json()["errcode"], 40053);
}
