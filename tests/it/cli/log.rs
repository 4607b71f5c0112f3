//! The log of the real binary: who waits for it, and what is lost of it.

use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::Value;

use crate::support::answer::Answer;
use crate::support::process::Process;
use crate::support::served::Served;
use crate::support::{closed_port, eventually};

/// Lines that the metrics count as lost.
async fn lost(served: &Served) -> usize {
    let url = format!("http://{}/metrics", served.addresses.metrics.unwrap());
    let answer = Answer::to(served.client.get(url)).await;
    let lines = answer.text().lines();
    let mut counts = lines.filter_map(|line| line.strip_prefix("wxqr_log_lines_lost_total "));
    counts.next().map_or(0, |count| count.parse().unwrap())
}

/// Sends requests with log lines of the largest kind, and returns their number.
async fn visit(served: &Served) -> usize {
    const VISITORS: usize = 8;
    const REQUESTS: usize = 50;
    let url = format!("http://{}/{}", served.addresses.http, "a".repeat(250));
    let visitor = async || {
        for _ in 0..REQUESTS {
            let request = served.client.get(&url).header("accept", "application/json");
            let request = request.header("x-request-id", "b".repeat(64));
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        }
    };
    join_all((0..VISITORS).map(|_| visitor())).await;
    VISITORS * REQUESTS
}

#[tokio::test]
async fn a_log_that_is_not_read_stops_no_visitor_and_lost_lines_are_counted() {
    let (served, read) = Served::with_unread_log().await;
    let mut visits = 0;
    while lost(&served).await == 0 {
        visits += visit(&served).await;
        assert!(visits < 100_000, "the buffer is bounded");
    }
    visits += visit(&served).await;
    let lost = lost(&served).await;
    assert!(lost > 0 && lost < visits, "{lost} of {visits}");

    drop(read);
    let line = served.process.wait_for_line("log lines were lost").await;
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["lines"], lost);
    let kept = || {
        let log = served.process.stderr();
        log.lines()
            .filter(|line| line.contains(r#""message":"request""#))
            .count()
    };
    eventually("each line is kept or lost", || kept() + lost == visits).await;
}

#[tokio::test]
async fn a_log_that_is_not_read_does_not_keep_the_process_from_ending() {
    let (mut served, _read) = Served::with_unread_log().await;
    // More than a pipe holds.
    visit(&served).await;
    served.process.signal("TERM");
    eventually("it ends", || !served.process.is_running()).await;

    let (mut served, _read) = Served::with_unread_log().await;
    visit(&served).await;
    served.process.signal("TERM");
    served.process.signal("TERM");
    eventually("it ends", || !served.process.is_running()).await;
}

#[tokio::test]
async fn the_last_lines_before_the_end_are_written() {
    for _ in 0..10 {
        let served = Served::with(&[]).await;
        served.process.signal("TERM");
        let output = served.process.output().await;
        let last = output.stderr.lines().last().unwrap();
        assert!(last.contains(r#""message":"stopped""#), "{}", output.stderr);
    }
}

#[tokio::test]
async fn a_fatal_error_is_written_behind_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/absent/wxqr.db", folder.path().display());
    let address = closed_port().to_string();
    let variables = [
        ("WXQR_APP_ID", "wx0123456789abcdef"),
        ("WXQR_APP_SECRET", "0123456789abcdef0123456789abcdef"),
        ("WXQR_DATABASE_URL", &url),
        ("WXQR_LISTEN", &address),
    ];
    // So few files that a warning is logged before.
    let process = Process::start_within("-n 900", &["serve"], &variables);
    let output = process.output().await;
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert_ne!(output.status, 0, "{output:?}");
    assert!(lines.len() > 1 && lines[0].starts_with('{'), "{output:?}");
    assert!(lines.last().unwrap().starts_with("wxqr: "), "{output:?}");
}
