//! Request smuggling.

use tokio::io::AsyncWriteExt as _;

use crate::client::{DRAINED, status};
use crate::server::{PATIENT, Server};

/// A request where a body may be, which must never be answered.
const SMUGGLED: &str = "GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn an_ambiguous_body_length_is_refused_and_the_connection_closed() {
    for head in [
        "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "Content-Length: 5, 6\r\n\r\nhello",
        "Content-Length: +5\r\n\r\nhello",
        "Content-Length: -5\r\n\r\nhello",
        "Content-Length: 0x5\r\n\r\nhello",
        "Content-Length : 5\r\n\r\nhello",
        "Content-Length: 99999999999999999999\r\n\r\nhello",
        "X: a\r\n Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: identity\r\n\r\n",
        "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloo\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    ] {
        let server = Server::with(PATIENT).await;
        let bytes = format!("POST /length HTTP/1.1\r\nHost: a\r\n{head}{SMUGGLED}");
        let mut client = server.client(&bytes).await;
        client.0.shutdown().await.unwrap();
        let response = client.read_to_end().await;
        assert_eq!(status(&response), "400", "{head:?}: {response}");
        assert_eq!(
            response.matches("HTTP/1.1 ").count(),
            1,
            "{head:?}: {response}"
        );
    }
}

#[tokio::test]
async fn a_chunked_body_is_the_last_of_its_connection() {
    let server = Server::with(PATIENT).await;
    for (chunks, want) in [
        ("2\r\nhe\r\n0\r\n\r\n", "2"),
        ("0\r\n\r\n", "0"),
        ("2;a=b\r\nhe\r\n0\r\nX: a\r\n\r\n", "2"),
        // A proxy may see the end of the trailers, and a request, at the LF.
        ("0\r\nX: a\n\nGET /peer HTTP/1.1\r\nHost: a\r\n\r\n", "0"),
    ] {
        let chunked = format!(
            "POST /length HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}{SMUGGLED}"
        );
        let response = server.client(&chunked).await.read_to_end().await;
        assert_eq!(
            response.matches("HTTP/1.1 ").count(),
            1,
            "{chunks:?}: {response}"
        );
        assert!(
            response.contains("connection: close"),
            "{chunks:?}: {response}"
        );
        assert!(
            response.ends_with(&format!("\r\n\r\n{want}")),
            "{chunks:?}: {response}"
        );
    }
}

#[tokio::test]
async fn an_unread_body_ends_the_connection() {
    let server = Server::with(PATIENT).await;
    for body in DRAINED {
        let bytes = format!("POST /unread HTTP/1.1\r\nHost: a\r\n{body}{SMUGGLED}");
        let mut client = server.client(&bytes).await;
        let response = client.response().await;
        assert_eq!(status(&response), "403", "{response}");
        assert!(response.contains("connection: close"), "{response}");
        assert_eq!(client.read_to_end().await, "");
    }
}

#[tokio::test]
async fn http_2_is_closed_at_once() {
    let server = Server::with(PATIENT).await;
    let mut client = server.client("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    client
        .0
        .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    assert_eq!(client.read_to_end().await, "");
}
