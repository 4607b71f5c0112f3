//! Lingering close and graceful shutdown.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::client::{GET, WAIT, status};
use crate::server::{PATIENT, Server};
use crate::waiting::{TIMEOUT, eventually_async};

#[tokio::test]
async fn lingering_close_lets_a_sending_client_read_the_refusal() {
    let server = Server::with(PATIENT).await;
    // More than the sockets hold: without lingering, sending fails before the response is read.
    let plenty = "a".repeat(12 * 1024 * 1024);
    for (bytes, want) in [
        (format!("GET / HTTP/1.1\r\nX: {plenty}\r\n\r\n"), "431"),
        (format!("GET /{plenty} HTTP/1.1\r\n\r\n"), "431"),
        (
            format!("POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 16777216\r\n\r\n{plenty}"),
            "403",
        ),
        (
            format!("POST /length HTTP/1.1\r\nContent-Length: 16777216\r\n\r\n{plenty}"),
            "400",
        ),
    ] {
        let mut client = server.client(&bytes).await;
        client.0.shutdown().await.unwrap();
        let response = client.read_to_end().await;
        assert_eq!(status(&response), want, "{response}");
    }
}

#[tokio::test]
async fn lingering_close_has_a_timeout() {
    let server = Server::with(PATIENT).await;
    let mut client = server.client("GET / HTTP/1.1\r\n X: a\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(status(&response), "400", "{response}");
    client.drip().await;
}

#[tokio::test]
async fn graceful_shutdown_closes_idle_connections_and_answers_requests() {
    let mut server = Server::with(PATIENT).await;
    let mut silent = server.connect().await;
    let mut idle = server.connect().await;
    idle.gets_a_response().await;
    let mut waiting = server.client(WAIT).await;
    server.barrier.arrival().await;

    server.stop.cancel();
    assert_eq!(silent.read_to_end().await, "");
    assert_eq!(idle.read_to_end().await, "");
    eventually_async("the listener is closed", || async {
        TcpStream::connect(server.address).await.is_err()
    })
    .await;
    assert!(!server.task.is_finished(), "a request is in flight");
    server.barrier.release(1);
    let response = waiting.read_to_end().await;
    assert_eq!(status(&response), "200");
    assert!(response.contains("connection: close"), "{response}");
    let ended = timeout(TIMEOUT, &mut server.task).await;
    ended.expect("the server ends").unwrap();
}

#[tokio::test]
async fn graceful_shutdown_answers_a_client_that_has_just_connected() {
    let server = Server::with(PATIENT).await;
    let mut new = server.connect().await;
    // Connections are accepted in order, so the one before is accepted too.
    server.connect().await.gets_a_response().await;

    server.stop.cancel();
    // There is one thread: each task that the stop wakes runs now.
    for _ in 0..100 {
        yield_now().await;
    }
    new.send(GET).await;
    let response = new.read_to_end().await;
    assert_eq!(status(&response), "200", "{response}");
    assert!(response.contains("connection: close"), "{response}");
}

#[tokio::test]
async fn dropping_the_server_aborts_connections() {
    let server = Server::with(PATIENT).await;
    let mut waiting = server.client(WAIT).await;
    server.barrier.arrival().await;
    drop(server);
    assert_eq!(waiting.read_to_end().await, "");
}
