//! Pipelined requests.

use http_listener::Limits;
use tokio::time::timeout;

use crate::client::{Client, DRAINED, GET};
use crate::server::{PATIENT, SOON, Server};
use crate::waiting::TIMEOUT;

/// Connects a client that pipelines a request behind a response that it does not take.
async fn pipelined_behind_a_response(server: &Server, drained: &str) -> Client {
    let bytes = format!("GET /whole HTTP/1.1\r\nHost: a\r\n{drained}{GET}");
    let client = server.client(&bytes).await;
    let started = timeout(TIMEOUT, client.0.readable()).await;
    started.expect("a response").unwrap();
    client
}

#[tokio::test]
async fn a_pipelined_request_does_not_reset_the_write_timeout() {
    for drained in DRAINED {
        let server = Server::with(Limits {
            write_timeout: SOON,
            ..PATIENT
        })
        .await;
        let _silent = pipelined_behind_a_response(&server, drained).await;
        server.barrier.arrival().await;
    }
}

#[tokio::test]
async fn pipelined_requests_do_not_prevent_eviction() {
    for drained in DRAINED {
        let server = Server::with(Limits {
            max_connections: 3,
            ..PATIENT
        })
        .await;
        let mut silent = Vec::new();
        for _ in 0..3 {
            silent.push(pipelined_behind_a_response(&server, drained).await);
        }
        server.connect().await.gets_a_response().await;
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::with(PATIENT).await;
    let length = "POST /length HTTP/1.1\r\nHost: a\r\n";
    let known = format!("{length}Content-Length: 5\r\n\r\nhello");
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send(&[GET, &known, GET, GET].concat()).await;
        for want in ["hello", "5", "hello", "hello"] {
            let response = client.response().await;
            assert!(response.ends_with(&format!("\r\n\r\n{want}")), "{response}");
            assert!(!response.contains("connection: close"), "{response}");
        }
    }
}
