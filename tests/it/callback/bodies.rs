//! Bodies that strangers begin and do not finish: what they may hold, and whom they keep out.

use std::net::SocketAddr;

use futures_util::future::join_all;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::app::TestApp;
use crate::support::callback::{post, with_callback};
use crate::support::database::Database;
use crate::support::eventually;
use crate::support::keys;
use crate::support::pushes::{AES_KEY, ALICE, PushedEvent, sealed, signed_query};
use crate::support::raw::RawAnswer;

/// The longest body of a push.
const LONGEST: usize = 64 * 1024;

async fn with_keys() -> TestApp {
    with_callback(&Database::memory())
        .set("ENCODING_AES_KEY", AES_KEY)
        .spawn()
        .await
}

/// A client that sends all of a body but its last byte.
async fn holding(address: SocketAddr, target: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {LONGEST}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // An early refusal may close the connection while the body is still being sent.
    stream.write_all(&vec![b'a'; LONGEST - 1]).await.ok();
    stream
}

/// A query that only the body shows not to be WeChat's.
fn unsigned() -> String {
    let (query, _) = sealed(ALICE, "");
    let pairs = query
        .split('&')
        .filter(|pair| !pair.starts_with("signature="));
    pairs.collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn a_query_that_can_never_be_valid_is_refused_before_the_body_is_there() {
    let app = with_keys().await;
    let mut documents = Vec::new();
    for query in [
        String::new(),
        "x=1".to_owned(),
        signed_query(ALICE),
        format!("{}&msg_signature=00", signed_query(ALICE)),
        unsigned().replace("timestamp=", "timestamp=1"),
        unsigned().replace("nonce=", "number="),
    ] {
        let stream = holding(app.address, &format!("/callback?{query}")).await;
        let answer = RawAnswer::read(stream).await;
        assert_eq!(answer.status, 403, "{query}: {answer:?}");
        let mut document: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        document["request_id"].take();
        documents.push(document);
    }
    assert!(
        documents.windows(2).all(|pair| pair[0] == pair[1]),
        "{documents:#?}"
    );
}

#[tokio::test]
async fn bodies_that_strangers_hold_keep_neither_pushes_nor_keys_out() {
    // More than the budget has room for, which is 256 of them.
    const HELD: usize = 300;
    let app = with_keys().await;
    let target = format!("/callback?{}", unsigned());
    let holding = join_all((0..HELD).map(|_| holding(app.address, &target))).await;
    let mut answered = [false; HELD];
    eventually("the oldest make room", || {
        for (stream, answered) in holding.iter().zip(&mut answered) {
            *answered |= stream.try_read(&mut [0; 9]).is_ok();
        }
        answered.iter().filter(|answered| **answered).count() >= HELD - 256
    })
    .await;
    // Signed as WeChat signs it, and in the other way that is documented. No event, so that it is
    // acknowledged without the database.
    let click = PushedEvent {
        event: "CLICK",
        ..PushedEvent::leave(ALICE)
    };
    for is_signed in [true, false] {
        let (mut query, body) = sealed(ALICE, &click.xml());
        if !is_signed {
            let (_, rest) = query.split_once('&').unwrap();
            query = rest.to_owned();
        }
        let pushed = post(&app, &query, body).await;
        assert_eq!(
            (pushed.status.as_u16(), pushed.text()),
            (200, "success"),
            "{query}"
        );
    }
    // That it is read is all that is asked here: to make a code needs the database and WeChat.
    let body = r#"{"scene_id": 0}"#;
    let read = app.post_as(keys::MINT, "/api/codes", body).await;
    assert_eq!(read.problem(), (400, "invalid_parameter".to_owned()));
}

#[tokio::test]
async fn an_evicted_push_is_answered_503_with_retry_after() {
    let app = with_keys().await;
    let target = format!("/callback?{}", unsigned());
    let oldest = holding(app.address, &target).await;
    let _later = join_all((0..256).map(|_| holding(app.address, &target))).await;
    let answer = RawAnswer::read(oldest).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.headers("retry-after"), ["5"], "{answer:?}");
    assert!(
        answer.text().contains("\"code\":\"overloaded\""),
        "{answer:?}"
    );
}
