//! Deadlines of the phases, against slow clients.

use std::time::Duration;

use http_listener::Limits;
use tokio::io::AsyncReadExt as _;

use crate::client::{DRIP, GET, WAIT, status};
use crate::server::{LARGE, PATIENT, SOON, Server};

#[tokio::test]
async fn a_silent_client_misses_the_header_timeout() {
    let server = Server::with(Limits {
        header_timeout: SOON,
        ..PATIENT
    })
    .await;
    assert_eq!(server.connect().await.read_to_end().await, "");
}

#[tokio::test]
async fn a_dripping_head_misses_the_header_timeout() {
    let server = Server::with(Limits {
        header_timeout: SOON,
        ..PATIENT
    })
    .await;
    server.client("GET / HTTP/1.1\r\nX: ").await.drip().await;
}

#[tokio::test]
async fn header_timeout_of_a_further_request_starts_with_its_first_byte() {
    let server = Server::with(Limits {
        header_timeout: SOON,
        ..PATIENT
    })
    .await;
    let mut client = server.connect().await;
    client.gets_a_response().await;
    // When the silent client is closed, the same time has passed for the idle one.
    server.connect().await.read_to_end().await;
    client.gets_a_response().await;
    client.send("GET / HTTP/1.1\r\nX: ").await;
    client.drip().await;
}

#[tokio::test]
async fn an_idle_connection_misses_the_idle_timeout() {
    let server = Server::with(Limits {
        idle_timeout: SOON,
        ..PATIENT
    })
    .await;
    let mut client = server.connect().await;
    client.gets_a_response().await;
    assert_eq!(client.read_to_end().await, "");
}

#[tokio::test]
async fn a_dripping_body_misses_the_body_timeout() {
    let limits = Limits {
        body_timeout: SOON,
        ..PATIENT
    };
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let server = Server::with(limits).await;
        let head = format!("POST /length HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\nfffff\r\n");
        server.client(&head).await.drip().await;
    }
}

#[tokio::test]
async fn a_stalled_body_falls_below_the_minimum_rate() {
    let server = Server::with(Limits {
        body_grace: SOON,
        min_body_rate: 100,
        ..PATIENT
    })
    .await;
    let head = "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n";
    // A hundred bytes move the deadline by a second.
    let mut stalled = server.client(head).await;
    assert_eq!(stalled.read_to_end().await, "");
    let mut fast = server.client(head).await;
    fast.send(&"a".repeat(999_999)).await;
    assert_eq!(server.client(head).await.read_to_end().await, "");
    // Its deadline is nearly three hours away.
    fast.send("a").await;
    assert!(fast.response().await.ends_with("\r\n\r\n1000000"));
}

#[tokio::test]
async fn a_response_that_is_not_taken_misses_the_write_timeout() {
    let server = Server::with(Limits {
        write_timeout: SOON,
        ..PATIENT
    })
    .await;
    let mut client = server
        .client("GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let taking = async {
        let mut taken = 0;
        while let Ok(length @ 1..) = client.0.read(&mut [0; 1000]).await {
            taken += length;
            tokio::time::sleep(DRIP).await;
        }
        taken
    };
    tokio::select! {
        taken = taking => assert!(taken < LARGE),
        // The rest of the response was dropped.
        () = server.barrier.arrival() => {}
    }
    assert!(client.read_to_end().await.len() < LARGE);
}

#[tokio::test]
async fn a_response_that_is_taken_at_the_minimum_rate_outlives_the_write_timeout() {
    const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
    let server = Server::with(Limits {
        header_timeout: WRITE_TIMEOUT,
        write_timeout: WRITE_TIMEOUT,
        // What a client takes at its first read earns enough for the whole response.
        min_write_rate: 100,
        ..PATIENT
    })
    .await;
    let mut client = server
        .client("GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .await;
    let taking = async {
        loop {
            let mut piece = vec![0; 256 * 1024];
            client.0.read_exact(&mut piece).await.unwrap();
            tokio::time::sleep(DRIP).await;
        }
    };
    // A silent client's time passes meanwhile, and a little more.
    let silent = async {
        server.connect().await.read_to_end().await;
        tokio::time::sleep(SOON).await;
    };
    tokio::select! {
        () = taking => {}
        () = silent => {}
    }
    let rest = client.read_to_end().await;
    assert!(rest.ends_with("0\r\n\r\n"), "{} bytes left", rest.len());
}

#[tokio::test]
async fn a_pipelined_head_has_the_header_timeout() {
    let server = Server::with(Limits {
        header_timeout: SOON,
        ..PATIENT
    })
    .await;
    let started = "GET / HTTP/1.1\r\nX: ";
    // In one piece with the request before, or while that is being handled.
    let mut at_once = server.client(&[GET, started].concat()).await;
    let mut meanwhile = server.client(WAIT).await;
    server.barrier.arrival().await;
    meanwhile.send(started).await;
    server.connect().await.gets_a_response().await;
    server.barrier.release(1);
    for client in [&mut at_once, &mut meanwhile] {
        assert_eq!(status(&client.response().await), "200");
        assert_eq!(client.read_to_end().await, "");
    }
}

#[tokio::test]
async fn a_request_that_is_being_handled_has_no_deadline() {
    let server = Server::with(Limits {
        header_timeout: SOON,
        body_timeout: SOON,
        write_timeout: SOON,
        idle_timeout: SOON,
        ..PATIENT
    })
    .await;
    let mut waiting = server.client(WAIT).await;
    server.barrier.arrival().await;
    // One after the other, so that twice the time has passed.
    for _ in 0..2 {
        server.connect().await.read_to_end().await;
    }
    server.barrier.release(1);
    assert_eq!(status(&waiting.response().await), "200");
}
