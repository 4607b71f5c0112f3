//! What a request carries and how large its head may be.

use crate::client::status;
use crate::server::{PATIENT, Server};

#[tokio::test]
async fn a_request_carries_the_address_of_its_client() {
    let server = Server::with(PATIENT).await;
    let mut client = server.client("GET /peer HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let own = client.0.local_addr().unwrap().to_string();
    assert!(client.response().await.ends_with(&own));
}

#[tokio::test]
async fn a_head_beyond_its_maximum_is_431() {
    let server = Server::with(PATIENT).await;
    let with_header = |length: usize| {
        let value = "a".repeat(length);
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {value}\r\n\r\n")
    };
    let mut client = server.client(&with_header(24 * 1024)).await;
    assert_eq!(status(&client.response().await), "200");
    client.send(&with_header(26 * 1024)).await;
    assert_eq!(status(&client.read_to_end().await), "431");
    let many = "X: a\r\n".repeat(101);
    let mut client = server
        .client(&format!("GET / HTTP/1.1\r\n{many}\r\n"))
        .await;
    assert_eq!(status(&client.read_to_end().await), "431");
}
