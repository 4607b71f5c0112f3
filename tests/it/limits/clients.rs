//! What clients may cost the real service: silent and dripping ones, too many of them, too large
//! requests.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::keys;
use crate::support::raw::{RawAnswer, send};
use crate::support::served::Served;
use crate::support::{TIMEOUT, client, eventually};

/// A service that has opened what it opens for its first code.
async fn served(variables: &[(&str, &str)]) -> Served {
    let served = Served::with(variables).await;
    served.is_answered(1).await;
    served
}

/// The same under a limit of open files.
async fn served_within(limit: &str, variables: &[(&str, &str)]) -> Served {
    let served = Served::within(limit, variables).await;
    served.is_answered(1).await;
    served
}

impl Served {
    /// A visitor on a new connection, for whom a code is made or known.
    async fn is_answered(&self, scene: u32) {
        let url = format!(
            "http://{}/qrcode.json?scene_id={scene}",
            self.addresses.http
        );
        let answer = Answer::to(client().get(url)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    fn open_files(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.process.id());
        std::fs::read_dir(folder).unwrap().count()
    }

    /// How many files the process may open from now on. Gives how many it was.
    fn set_soft_limit(&self, files: u64) -> u64 {
        let process = Pid::from_raw(self.process.id().try_into().unwrap());
        let limit = Rlimit {
            current: Some(files),
            ..getrlimit(Resource::Nofile)
        };
        let old = prlimit(process, Resource::Nofile, limit).unwrap();
        old.current.unwrap()
    }

    fn log_lines(&self, text: &str) -> usize {
        let log = self.process.stderr();
        log.lines().filter(|line| line.contains(text)).count()
    }
}

async fn silent(address: SocketAddr, clients: usize) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for _ in 0..clients {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    silent
}

/// Ends when the other side has closed.
async fn wait_for_close(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(TIMEOUT, stream.read_to_end(&mut rest)).await;
    read.expect("it is closed").ok();
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
}

/// Sends a byte at a time until the other side has had enough.
async fn drip(mut stream: TcpStream) {
    let dripping = async {
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        while stream.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(TIMEOUT, dripping).await.expect("it is closed");
}

#[tokio::test]
async fn slow_clients_are_closed_and_leave_nothing_behind() {
    const EACH: usize = 200;
    /// Connections to the database and to WeChat that the service may open meanwhile.
    const OWN: usize = 10;
    let served = served(&[("WXQR_HEADER_TIMEOUT", "1s")]).await;
    let before = served.open_files();
    let address = served.addresses.http;
    let closing = silent(address, EACH).await.into_iter().map(wait_for_close);
    let silent_ones = tokio::spawn(join_all(closing));
    let dripping = silent(address, EACH).await.into_iter().map(drip);
    let dripping = tokio::spawn(join_all(dripping));
    while !(silent_ones.is_finished() && dripping.is_finished()) {
        served.is_answered(1).await;
    }
    silent_ones.await.unwrap();
    dripping.await.unwrap();
    eventually("its files are closed", || {
        served.open_files() <= before + OWN
    })
    .await;
}

#[tokio::test]
async fn eviction_keeps_a_slot_for_new_clients() {
    const MOST: usize = 20;
    let served = served(&[
        ("WXQR_MAX_CONNECTIONS", "20"),
        ("WXQR_HEADER_TIMEOUT", "5m"),
    ])
    .await;
    let before = served.open_files();
    let _flood = silent(served.addresses.http, 5 * MOST).await;
    for scene in 1..5 {
        served.is_answered(scene).await;
    }
    // And one that is let in while another is being closed.
    let open = served.open_files();
    assert!(open <= before + MOST + 1, "{before}, then {open}");
    assert_eq!(served.log_lines("all connections are taken"), 1);
}

#[tokio::test]
async fn without_a_file_left_to_open_it_goes_on() {
    let served = served(&[("WXQR_HEADER_TIMEOUT", "5m")]).await;
    let few = served.open_files() + 10;
    let old = served.set_soft_limit(few.try_into().unwrap());
    let _flood = silent(served.addresses.http, 60).await;
    // Known, so that it needs nothing but its connection.
    served.is_answered(1).await;
    assert_eq!(served.log_lines("connections cannot be accepted"), 1);
    served.set_soft_limit(old);
    served.is_answered(2).await;
}

#[tokio::test]
async fn a_machine_that_allows_few_files_bounds_the_connections() {
    let served = served_within("-n 200", &[("WXQR_HEADER_TIMEOUT", "5m")]).await;
    let line = served.process.wait_for_line("limit of open files").await;
    assert!(line.contains("\"connections\":100"), "{line}");
    let before = served.open_files();
    let _flood = silent(served.addresses.http, 300).await;
    // Not known, so that there must be files for the database and the call to WeChat.
    served.is_answered(2).await;
    assert!(served.open_files() <= before + 100 + 1);
    assert_eq!(served.log_lines("connections cannot be accepted"), 0);
}

#[tokio::test]
async fn the_soft_limit_of_open_files_is_raised() {
    let served = served_within("-Sn 256", &[("WXQR_MAX_CONNECTIONS", "300")]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", served.process.id()));
    let limits = limits.unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.unwrap().split_whitespace().nth(3).unwrap();
    assert_eq!(soft, "1068");
    assert_eq!(served.log_lines("limit of open files"), 0);
}

#[tokio::test]
async fn the_metrics_have_the_same_limits() {
    let served = served(&[
        ("WXQR_METRICS_LISTEN", "127.0.0.1:0"),
        ("WXQR_HEADER_TIMEOUT", "500ms"),
    ])
    .await;
    let metrics = served.addresses.metrics.unwrap();
    let _flood = silent(metrics, 200).await;
    let answer = Answer::to(client().get(format!("http://{metrics}/metrics"))).await;
    assert_eq!(answer.status, StatusCode::OK);
    for stream in silent(metrics, 3).await {
        wait_for_close(stream).await;
    }
}

#[tokio::test]
async fn what_is_too_large_is_a_problem_that_says_what_fits() {
    let app = TestApp::spawn().await;
    let long = format!("/qrcode.json?scene_id=1&utm_term={}", "a".repeat(8192));
    let answer = app.get(&long).await;
    assert_eq!(answer.problem(), (414, "uri_too_long".to_owned()));
    assert!(answer.field("detail").contains("8192"), "{answer:?}");
    let cookie = "a".repeat(16 * 1024);
    let answer = app
        .get_with("/qrcode.json?scene_id=1", &[("cookie", &cookie)])
        .await;
    assert_eq!(answer.problem(), (431, "headers_too_large".to_owned()));
    assert!(answer.field("detail").contains("16384"), "{answer:?}");
    let page = app.get_with("/", &[("cookie", &cookie)]).await;
    assert_eq!(page.status.as_u16(), 431);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text().contains("16384"), "{}", page.text());
    assert_eq!(app.creates(), 0);

    let fits = format!("/qrcode.json?scene_id=1&utm_term={}", "a".repeat(8000));
    let cookie = "a".repeat(16_000);
    let answer = app.get_with(&fits, &[("cookie", &cookie)]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

/// What comes back for the beginning of a `POST /api/codes`.
async fn posted(app: &TestApp, rest: &str) -> RawAnswer {
    let key = keys::MINT;
    let head = format!("POST /api/codes HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n");
    send(app.address, format!("{head}{rest}").as_bytes()).await
}

#[tokio::test]
async fn a_response_that_needs_no_body_does_not_wait_for_it() {
    let app = TestApp::spawn().await;
    for (request, key, status) in [
        ("POST /api/codes", "", 401),
        ("POST /api/codes", "unknown-key-of-nobody", 401),
        ("POST /api/bindings", "", 401),
        ("POST /api/bindings", keys::MINT, 403),
        ("POST /api/bindings/a/claim", "", 401),
        ("PUT /api/codes", keys::MINT, 405),
        ("POST /callback", "", 404),
        ("POST /nowhere", "", 404),
        ("POST /qrcode", "", 405),
        ("GET /qrcode.json?scene_id=1", "", 200),
        ("GET /healthz", "", 200),
    ] {
        let authorization = match key {
            "" => String::new(),
            key => format!("Authorization: Bearer {key}\r\n"),
        };
        let head =
            format!("{request} HTTP/1.1\r\nHost: a\r\n{authorization}Content-Length: 2\r\n\r\n{{");
        let answer = send(app.address, head.as_bytes()).await;
        assert_eq!(answer.status, status, "{request} {key}: {answer:?}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_or_broken_is_a_problem() {
    let app = TestApp::spawn().await;
    for (rest, status, code) in [
        // Nothing of it is waited for, nor asked for.
        ("Content-Length: 524289\r\n\r\n", 413, "too_large"),
        (
            "Content-Length: 524289\r\nExpect: 100-continue\r\n\r\n",
            413,
            "too_large",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\nxyz\r\n{}\r\n0\r\n\r\n",
            400,
            "invalid_body",
        ),
        (
            "Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
            400,
            "invalid_body",
        ),
    ] {
        let answer = posted(&app, rest).await;
        assert_eq!(answer.status, status, "{rest:?}: {answer:?}");
        let code = format!("\"code\":\"{code}\"");
        assert!(answer.text().contains(&code), "{rest:?}: {answer:?}");
        assert!(!answer.text().contains("HTTP/1.1 "), "{answer:?}");
    }
    assert_eq!(app.creates(), 0);
    let right = app
        .request(Method::POST, "/api/codes")
        .bearer_auth(keys::MINT);
    let right = Answer::to(right.body("{\"scene_id\": 1}")).await;
    assert_eq!(right.status, StatusCode::CREATED, "{right:?}");
}
