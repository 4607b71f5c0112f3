//! Slow-client eviction.

use http_listener::Limits;

use crate::client::{Client, GET, WAIT, status};
use crate::server::{PATIENT, Server};
use crate::waiting::eventually;

#[tokio::test]
async fn the_slowest_client_is_evicted() {
    let server = Server::with(Limits {
        max_connections: 3,
        ..PATIENT
    })
    .await;
    // One response each makes the order of their slots certain.
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = server.connect().await;
        client.gets_a_response().await;
        clients.push(client);
    }
    // Another response makes it the fastest, and the second the slowest.
    clients[0].gets_a_response().await;
    let mut honest = server.connect().await;
    honest.gets_a_response().await;
    assert_eq!(clients[1].read_to_end().await, "");
    for stayed in [0, 2] {
        clients[stayed].gets_a_response().await;
    }
}

#[tokio::test]
async fn a_flood_of_silent_clients_keeps_no_honest_client_out() {
    let server = Server::with(Limits {
        max_connections: 10,
        ..PATIENT
    })
    .await;
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(server.connect().await);
        flood.push(server.client("GET / HTTP/1.1\r\nX: ").await);
        server.connect().await.gets_a_response().await;
    }
    eventually("all but ten connections are closed", || {
        let closed = |client: &&Client| client.0.try_read(&mut [0]).is_ok_and(|length| length == 0);
        flood.iter().filter(closed).count() >= flood.len() - 10
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_being_handled_is_never_evicted() {
    let server = Server::with(Limits {
        max_connections: 2,
        ..PATIENT
    })
    .await;
    let mut first = server.client(WAIT).await;
    let mut second = server.client(WAIT).await;
    server.barrier.arrival().await;
    server.barrier.arrival().await;
    let mut third = server.client(GET).await;
    let third = tokio::spawn(async move { third.response().await });
    // After the responses the connections wait for their clients, and are evictable.
    server.barrier.release(2);
    assert_eq!(status(&first.response().await), "200");
    assert_eq!(status(&second.response().await), "200");
    assert_eq!(status(&third.await.unwrap()), "200");
}

#[tokio::test]
async fn a_panic_frees_the_slot() {
    let server = Server::with(Limits {
        max_connections: 1,
        ..PATIENT
    })
    .await;
    for _ in 0..3 {
        let mut client = server
            .client("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert_eq!(client.read_to_end().await, "");
    }
    server.connect().await.gets_a_response().await;
}
