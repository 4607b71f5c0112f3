//! `/metrics`: what is there from the start, and the gauges that are read when it is asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::net::TcpStream;
use wechat_sandbox::{Fault, FaultKind, Target};

use crate::support::answer::Answer;
use crate::support::database::Database;
use crate::support::files::read;
use crate::support::fleet::Upstream;
use crate::support::served::Served;
use crate::support::{closed_port, eventually_async};

/// Settings of a service whose metrics are all there; those of webhooks are there where these are
/// switched on.
const WITH_ALL_METRICS: &[(&str, &str)] = &[
    ("WXQR_METRICS_LISTEN", "127.0.0.1:0"),
    ("WXQR_CALLBACK_TOKEN", "Token1"),
    ("WXQR_WEBHOOK_URL", "http://127.0.0.1:9/"),
    (
        "WXQR_WEBHOOK_SECRET",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ),
];

async fn scraped(served: &Served) -> String {
    let metrics = served.addresses.metrics.unwrap();
    let request = served.client.get(format!("http://{metrics}/metrics"));
    Answer::to(request).await.text().to_owned()
}

/// The metrics that the alerts and the dashboard name.
fn named() -> BTreeSet<String> {
    let files = ["deploy/prometheus/alerts.yml", "deploy/grafana/wxqr.json"].map(read);
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    let words = files.iter().flat_map(|text| text.split(|c| !is_part(c)));
    let is_name = |word: &&str| word.starts_with("wxqr_") || word.starts_with("process_");
    let names = words.filter(is_name);
    names
        .map(|name| name.trim_end_matches("_bucket").to_owned())
        .collect()
}

/// The value of a metric without labels.
fn value(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

#[tokio::test]
async fn a_fresh_process_shows_every_metric_that_alerts_and_dashboard_name() {
    let named = named();
    assert!(named.len() > 15, "{named:?}");
    let served = Served::with(WITH_ALL_METRICS).await;
    // The token and the supplies are fetched beside the start.
    eventually_async("every metric is there", || async {
        let text = scraped(&served).await;
        let is_there = |name: &String| text.lines().any(|line| line.starts_with(name.as_str()));
        named.iter().all(is_there)
    })
    .await;
}

#[tokio::test]
async fn counters_begin_at_0_with_the_labels_that_the_guide_names() {
    let served = Served::with(WITH_ALL_METRICS).await;
    // Those of webhooks are there once the database is open.
    eventually_async("webhooks are counted", || async {
        scraped(&served)
            .await
            .contains("wxqr_webhook_attempts_total{")
    })
    .await;
    let text = scraped(&served).await;
    let guide = read("docs/operating.md");
    let mut compared = 0;
    for line in guide.lines().filter(|line| line.starts_with("| `wxqr_")) {
        let quoted = |cell: &str| {
            let words = cell.split('`').skip(1).step_by(2);
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let cells: Vec<_> = line.split('|').map(quoted).collect();
        let (names, labels, values) = (&cells[1], &cells[2], &cells[3]);
        let ([name], [label]) = (&names[..], &labels[..]) else {
            continue;
        };
        for value in values {
            let start = format!("{name}{{{label}=\"{value}\"}} ");
            let is_there = text.lines().any(|line| line.starts_with(&start));
            assert!(is_there, "{start}:\n{text}");
            compared += 1;
        }
    }
    assert!(compared > 20, "{compared}");
    for start in [
        "wxqr_callback_rejected_total{reason=\"signature\"} 0",
        "wxqr_upstream_requests_total{api=\"create\",outcome=\"timeout\"} 0",
        "wxqr_upstream_requests_total{api=\"create\",outcome=\"45029\"} 0",
        "wxqr_calls_stopped{api=\"token\",errcode=\"45009\"} 0",
        "wxqr_calls_stopped{api=\"create\",errcode=\"45009\"} 0",
        "wxqr_http_requests_total{route=\"/qrcode\",method=\"GET\",status=\"502\"} 0",
        "wxqr_http_request_duration_seconds_count{route=\"/qrcode\"} 0",
        "wxqr_last_push_timestamp_seconds 0",
        "wxqr_visitor_pace_exceeded_total 0",
        "wxqr_log_lines_lost_total 0",
    ] {
        assert!(text.contains(start), "{start}:\n{text}");
    }
}

/// A stop is shared, so each replica shows it, also one that was idle, and until it ends.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_a_quota_stops_are_a_gauge_of_all_replicas() {
    let database = Database::sqlite();
    let upstream = Upstream::spawn().await;
    let metrics = closed_port();
    let address = metrics.to_string();
    let idle = [("METRICS_LISTEN", address.as_str())];
    let idle = upstream.replica(&database.url, &idle).await;
    let shows = async |gauge: &str| {
        eventually_async(gauge, || async {
            let request = idle.client.get(format!("http://{metrics}/metrics"));
            let text = Answer::to(request).await.text().to_owned();
            text.lines().any(|line| line == gauge)
        })
        .await;
    };
    shows("wxqr_calls_stopped{api=\"create\",errcode=\"45009\"} 0").await;

    let busy = upstream.replica(&database.url, &[]).await;
    upstream.fail(Target::Create, FaultKind::Errcode(45009));
    busy.get("/qrcode.json?scene_id=7").await;
    shows("wxqr_calls_stopped{api=\"create\",errcode=\"45009\"} 1").await;
    shows("wxqr_calls_stopped{api=\"create\",errcode=\"45011\"} 0").await;
    shows("wxqr_calls_stopped{api=\"token\",errcode=\"45009\"} 0").await;
    // As a replica whose probe succeeded does.
    database.run("DELETE FROM stop").await;
    shows("wxqr_calls_stopped{api=\"create\",errcode=\"45009\"} 0").await;
}

#[tokio::test]
async fn connections_mints_and_the_process_are_gauges() {
    let served = Served::with(&[("WXQR_METRICS_LISTEN", "127.0.0.1:0")]).await;
    let connect = || TcpStream::connect(served.addresses.http);
    let held = [connect().await.unwrap(), connect().await.unwrap()];
    let shows = async |name: &str, want: f64| {
        let what = format!("{name} is {want}");
        eventually_async(&what, || async {
            value(&scraped(&served).await, name).is_some_and(|is| (is - want).abs() < 0.5)
        })
        .await;
    };
    shows("wxqr_http_connections", 2.0).await;
    drop(held);
    shows("wxqr_http_connections", 0.0).await;

    shows("wxqr_mints_in_flight", 0.0).await;
    let slow = FaultKind::Slow(Duration::from_mins(1));
    served
        .sandbox
        .set_faults(vec![Fault::new(Target::Create, slow)]);
    let (client, address) = (served.client.clone(), served.addresses.http);
    let request = client.get(format!("http://{address}/qrcode.json?scene_id=7"));
    let waiting = tokio::spawn(request.send());
    shows("wxqr_mints_in_flight", 1.0).await;
    waiting.abort();

    let text = scraped(&served).await;
    let positive = |name: &str| value(&text, name).is_some_and(|value| value > 0.0);
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_max_fds",
        "process_start_time_seconds",
        "process_threads",
    ] {
        assert!(positive(name), "{name}:\n{text}");
    }
    assert!(
        value(&text, "process_cpu_seconds_total").is_some(),
        "{text}"
    );
}

#[tokio::test]
async fn a_slash_at_the_end_is_no_404_and_a_404_of_the_metrics_listener_names_its_path() {
    let served = Served::with(&[("WXQR_METRICS_LISTEN", "127.0.0.1:0")]).await;
    let metrics = served.addresses.metrics.unwrap();
    let get = |path: &str| Answer::to(served.client.get(format!("http://{metrics}{path}")));
    let slashed = get("/metrics/").await;
    assert_eq!(slashed.status, 200, "{slashed:?}");
    assert!(slashed.text().contains("wxqr_"), "{slashed:?}");
    let missing = get("/metrix/?key=0123456789").await;
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("/metrics"), "{missing:?}");
    let line = served.process.wait_for_line("metrix").await;
    assert!(line.contains("\"http.path\":\"/metrix/\""), "{line}");
    assert!(!line.contains("0123456789"), "{line}");
    assert!(!served.process.stderr().contains("\"/metrics/\""));
}
