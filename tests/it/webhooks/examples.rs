//! The receivers of `examples/webhooks` take what the service signs, by libraries that are not
//! ours.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::bench::{Bench, SECRET, drain};
use crate::support::database::Database;
use crate::support::files::path;
use crate::support::receiver::{Received, Receiver};
use crate::support::skip::skip;
use crate::support::{TIMEOUT, client, closed_port, eventually_async};

const NEW_SECRET: &str = "whsec_YSBuZXcgc2VjcmV0IG9mIDI0IGJ5dGVz";

/// With this variable set, a missing library fails the tests instead of skipping them.
const REQUIRE: &str = "REQUIRE_WEBHOOK_LIBRARIES";

/// A Python that has `standardwebhooks`, and the folder of Node.js's packages with it.
const PYTHON: &str = "WEBHOOK_PYTHON";
const NODE_PATH: &str = "WEBHOOK_NODE_PATH";

/// A program of the examples, as it is started.
struct Example {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<PathBuf>,
    node_path: Option<PathBuf>,
    _build: Option<TempDir>,
}

/// A program that runs, and what it prints.
struct Running {
    address: SocketAddr,
    printed: Lines<BufReader<ChildStdout>>,
    client: Client,
    _child: Child,
}

fn file(name: &str) -> PathBuf {
    path("examples/webhooks").join(name)
}

fn named(variable: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable);
    if named.is_none() {
        skip(&format!("{variable} is not set"), REQUIRE);
    }
    named.map(PathBuf::from)
}

fn python() -> Option<Example> {
    Some(Example {
        name: "receiver.py",
        program: named(PYTHON)?,
        arguments: vec![file("receiver.py")],
        node_path: None,
        _build: None,
    })
}

fn node() -> Option<Example> {
    Some(Example {
        name: "receiver.js",
        program: "node".into(),
        arguments: vec![file("receiver.js")],
        node_path: Some(named(NODE_PATH)?),
        _build: None,
    })
}

/// Built once; none where Go is not installed, which is said.
fn go() -> Option<Example> {
    let build = tempfile::tempdir().unwrap();
    let program = build.path().join("receiver");
    let output = std::process::Command::new("go")
        .args(["build", "-o"])
        .args([&program, &file("receiver.go")])
        .current_dir(build.path())
        .env("GOCACHE", build.path().join("cache"))
        .env("GOTOOLCHAIN", "local")
        .output();
    let Ok(output) = output else {
        skip("go is not installed", REQUIRE);
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    Some(Example {
        name: "receiver.go",
        program,
        arguments: Vec::new(),
        node_path: None,
        _build: Some(build),
    })
}

impl Example {
    /// Starts it, and waits until it listens.
    async fn start(&self, secret: &str) -> Running {
        let address = closed_port();
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg(address.port().to_string())
            .env("WEBHOOK_SECRET", secret)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(folder) = &self.node_path {
            command.env("NODE_PATH", folder);
        }
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        eventually_async(self.name, || async {
            TcpStream::connect(address).await.is_ok()
        })
        .await;
        Running {
            address,
            printed: BufReader::new(stdout).lines(),
            client: client(),
            _child: child,
        }
    }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends what the service sent.
    async fn send(&self, received: &Received, body: Vec<u8>) -> StatusCode {
        let mut headers = received.headers.clone();
        headers.remove("host");
        headers.remove("content-length");
        let url = format!("http://{}/", self.address);
        let request = self.client.post(url).headers(headers).body(body);
        request.send().await.unwrap().status()
    }

    /// The id of the next event that it prints.
    async fn next_id(&mut self) -> String {
        let line = timeout(TIMEOUT, self.printed.next_line()).await;
        let line = line.unwrap().unwrap().unwrap();
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        event["id"].as_str().unwrap().to_owned()
    }
}

/// What a service with these secrets sends of three events, just now.
async fn sent(secrets: &str) -> (Received, Vec<String>) {
    let bench = Bench::now(Database::sqlite()).await;
    let receiver = Receiver::spawn().await;
    let mut sender = bench.sender_with(&receiver.url(), secrets, true).await;
    bench.record_scene("展会 \"1\" 🎪", 0, 3).await;
    drain(&mut sender).await;
    (receiver.received().remove(0), bench.event_ids().await)
}

async fn takes_only_what_is_signed(example: Example) {
    let both = format!("{NEW_SECRET},{SECRET}");
    for (signed_by, known) in [(SECRET, SECRET), (&both, SECRET), (&both, NEW_SECRET)] {
        let (received, ids) = sent(signed_by).await;
        let mut running = example.start(known).await;
        let mut changed = received.raw.clone();
        let last = changed.len() - 3;
        changed[last] ^= 1;
        let status = running.send(&received, changed).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "one bit is another");
        for _ in 0..2 {
            let status = running.send(&received, received.raw.clone()).await;
            assert_eq!(status, StatusCode::NO_CONTENT, "{} {known}", example.name);
        }
        for id in ids {
            assert_eq!(running.next_id().await, id, "each once, in order");
        }
        let more = timeout(Duration::from_millis(100), running.next_id()).await;
        assert!(more.is_err(), "a repeat is dropped: {more:?}");
    }
    let (received, _) = sent(NEW_SECRET).await;
    let running = example.start(SECRET).await;
    let status = running.send(&received, received.raw.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "of another secret");
}

/// Sends a body of 64 MiB until the receiver closes the connection, and returns what was sent.
async fn sent_of_a_huge_body(running: &Running) -> usize {
    const LENGTH: usize = 64 * 1024 * 1024;
    let mut connection = running.connect().await;
    let head = format!("POST / HTTP/1.1\r\nHost: receiver\r\nContent-Length: {LENGTH}\r\n\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'a'; 64 * 1024];
    let mut sent = 0;
    while sent < LENGTH && connection.write_all(&piece).await.is_ok() {
        sent += piece.len();
    }
    sent
}

/// A body that breaks off, one without an end and a connection that says nothing harm no other
/// request.
async fn outlives_broken_requests(example: Example) {
    let (received, ids) = sent(SECRET).await;
    let mut running = example.start(SECRET).await;
    let sent = sent_of_a_huge_body(&running).await;
    // The buffers of both sockets take some of it.
    assert!(sent < 32 * 1024 * 1024, "{}: {sent} bytes", example.name);
    let _idle = running.connect().await;
    let mut broken = running.connect().await;
    let request = "POST / HTTP/1.1\r\nHost: receiver\r\nContent-Length: 100\r\n\r\nabc";
    broken.write_all(request.as_bytes()).await.unwrap();
    broken.shutdown().await.unwrap();
    // What it answers, if it does, comes when it has read what there was.
    let answer = timeout(TIMEOUT, broken.read_to_end(&mut Vec::new())).await;
    assert!(answer.is_ok(), "{}: the connection ends", example.name);
    let status = running.send(&received, received.raw.clone()).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{}", example.name);
    for id in ids {
        assert_eq!(running.next_id().await, id, "{}", example.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_in_python_takes_only_what_is_signed() {
    if let Some(example) = python() {
        takes_only_what_is_signed(example).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_in_python_outlives_broken_requests() {
    if let Some(example) = python() {
        outlives_broken_requests(example).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_in_javascript_takes_only_what_is_signed() {
    if let Some(example) = node() {
        takes_only_what_is_signed(example).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_in_javascript_outlives_broken_requests() {
    if let Some(example) = node() {
        outlives_broken_requests(example).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_in_go_takes_only_what_is_signed() {
    if let Some(example) = go() {
        takes_only_what_is_signed(example).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receiver_in_go_outlives_broken_requests() {
    if let Some(example) = go() {
        outlives_broken_requests(example).await;
    }
}
