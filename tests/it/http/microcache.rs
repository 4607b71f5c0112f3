//! Responses that are kept for the second in which they were made.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use tokio::runtime::Runtime;
use wxqr::clock::ManualClock;

use crate::support::answer::Answer;
use crate::support::app::{Builder, TestApp};
use crate::support::keys::{self, signed};
use crate::support::served::Served;

/// A request that may carry credentials is always answered anew.
const ANEW: (&str, &str) = ("cookie", "a=b");

/// Which request in a second is the first whose response is kept.
const KEPT_FROM: usize = 2;

async fn spawn(builder: Builder) -> (Arc<ManualClock>, TestApp) {
    // Within a second, so that codes and seconds begin at different instants.
    let start = "2026-11-29T08:00:00.4Z".parse::<Timestamp>().unwrap();
    let clock = Arc::new(ManualClock::starting_at(start));
    let app = builder.spawn_by(Arc::<ManualClock>::clone(&clock)).await;
    (clock, app)
}

/// A request, how long after the one before, and after how long it is repeated.
#[derive(Debug, Clone)]
struct Step {
    wait: Duration,
    again: Duration,
    path: String,
    headers: Vec<(&'static str, &'static str)>,
}

fn steps() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        4 => Just(0),
        4 => 1..1000_u64,
        2 => 1000..40_000_u64,
        1 => Just(7_200_000),
    ];
    let format = select(&["", ".html", ".json", ".png", ".svg", ".jpg"][..]);
    let scene = select(
        &[
            "scene_id=1",
            "scene_str=a%20b",
            "scene_id=2&expire_seconds=60",
            "scene_id=3&permanent=true",
            "scene_id=4&permanent=true",
        ][..],
    );
    let more = select(
        &[
            "",
            "",
            "",
            "&lang=en",
            "&size=300",
            "&fragment=1",
            "&format=json",
            "&fragment=2",
        ][..],
    );
    let header = |name, values: &'static [&'static str]| {
        option::of(select(values).prop_map(move |value| (name, value)))
    };
    let headers = (
        header("accept", &["application/json", "image/png", "text/html"]),
        header("accept-language", &["en", "zh"]),
        header("origin", &["https://a.example"]),
        header("if-none-match", &["*", "\"another\""]),
    );
    let waits = (wait, 0..1100_u64);
    (waits, format, scene, more, headers).prop_map(|(waits, format, scene, more, headers)| {
        let (accept, language, origin, tag) = headers;
        Step {
            wait: Duration::from_millis(waits.0),
            again: Duration::from_millis(waits.1),
            path: format!("/qrcode{format}?{scene}{more}"),
            headers: [accept, language, origin, tag]
                .into_iter()
                .flatten()
                .collect(),
        }
    })
}

/// Status, headers and body, but for what differs from one response to the next.
fn comparable(mut answer: Answer) -> (StatusCode, HeaderMap, Vec<u8>) {
    answer.headers.remove("x-request-id");
    if answer.header("content-type") != "application/json" {
        // By the machine's clock.
        answer.headers.remove("date");
    }
    if answer.status.is_client_error() {
        // An error names the request.
        answer.headers.remove("content-length");
        answer.body.clear();
    }
    (answer.status, answer.headers, answer.body)
}

#[test]
fn a_kept_response_is_what_a_new_one_would_be() {
    let runtime = Runtime::new().unwrap();
    let (clock, app) = runtime.block_on(spawn(TestApp::with()));
    let permanent = "/qrcode.json?scene_id=3&permanent=true";
    runtime.block_on(app.get_as(keys::PERMANENT, permanent));
    let config = Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let ask = async |step: &Step, more: &[(&str, &str)]| {
        let headers = [&step.headers, more].concat();
        comparable(app.get_with(&step.path, &headers).await)
    };
    TestRunner::new(config)
        .run(&prop::collection::vec(steps(), 20), |steps| {
            for step in steps {
                clock.advance(step.wait);
                for _ in 0..KEPT_FROM {
                    runtime.block_on(ask(&step, &[]));
                }
                clock.advance(step.again);
                let (kept, new) =
                    runtime.block_on(async { (ask(&step, &[]).await, ask(&step, &[ANEW]).await) });
                prop_assert_eq!(kept, new, "{:?}", step);
            }
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn a_code_that_was_replaced_is_in_no_response() {
    let open = TestApp::with().set("LINK_KEYS", keys::LINK);
    let (clock, app) = spawn(open).await;
    let [link, ends] = ["scene_id=1", "exp=4102444800&scene_id=1"].map(signed);
    let path = |query: &str| format!("/qrcode.json?{query}");
    let first = app.get(&path("scene_id=1")).await.ticket();
    clock.advance(Duration::from_millis(100));
    for query in ["scene_id=1", &link, &ends] {
        for _ in 0..=KEPT_FROM {
            assert_eq!(app.get(&path(query)).await.ticket(), first, "{query}");
        }
    }
    let longer = path("scene_id=1&expire_seconds=2592000");
    let newer = app.get_as(keys::MINT, &longer).await.ticket();
    assert_ne!(newer, first);
    // Within the second for which the responses of the first one were kept.
    for query in ["scene_id=1", &link, &ends] {
        assert_eq!(app.get(&path(query)).await.ticket(), newer, "{query}");
    }
}

#[tokio::test]
async fn each_request_has_an_id_a_log_line_and_a_count() {
    const REQUESTS: usize = 50;
    let served = Served::with(&[("WXQR_METRICS_LISTEN", "127.0.0.1:0")]).await;
    served.get("/qrcode?scene_id=1").await;
    for _ in 0..REQUESTS {
        let answer = served.get("/qrcode.json?scene_id=1").await;
        let id = answer.header("x-request-id");
        let line = served.process.wait_for_line(&id).await;
        assert!(line.contains(r#""http.status":200"#), "{line}");
    }
    let url = format!("http://{}/metrics", served.addresses.metrics.unwrap());
    let metrics = Answer::to(served.client.get(url)).await;
    for line in [
        format!(
            r#"wxqr_http_requests_total{{route="/qrcode.json",method="GET",status="200"}} {REQUESTS}"#
        ),
        format!(r#"wxqr_http_request_duration_seconds_count{{route="/qrcode.json"}} {REQUESTS}"#),
        format!(r#"wxqr_code_lookups_total{{result="memory"}} {REQUESTS}"#),
    ] {
        assert!(metrics.text().contains(&line), "{line}: {}", metrics.text());
    }
}
