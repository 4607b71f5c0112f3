//! The message server that the account had before: it gets what WeChat pushed, and its answer is
//! WeChat's.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::IntoResponse as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::app::TestApp;
use crate::support::callback::{events, post, push, with_callback};
use crate::support::closing::ClosingPeer;
use crate::support::database::Database;
use crate::support::pushes::{ALICE, PushedEvent, signed_query};
use crate::support::upstream::Reply;
use crate::support::{Server, closed_port};

/// What a server was sent: query, content type, body.
type Got = Arc<Mutex<Vec<(String, String, Vec<u8>)>>>;

/// How a server answers.
#[derive(Debug, Clone)]
enum Behaviour {
    Says(StatusCode, &'static str, Vec<u8>),
    Hangs,
}

async fn old_server(behaviour: Behaviour) -> (Server, String, Got) {
    let got = Got::default();
    let noted = Arc::clone(&got);
    let answer = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let content_type = headers["content-type"].to_str().unwrap().to_owned();
        let query = uri.query().unwrap_or_default().to_owned();
        noted
            .lock()
            .unwrap()
            .push((query, content_type, body.to_vec()));
        match behaviour {
            Behaviour::Says(status, content_type, body) => {
                (status, [("content-type", content_type)], body).into_response()
            }
            Behaviour::Hangs => std::future::pending().await,
        }
    };
    let (server, address) = Server::spawn(|_| Router::new().fallback(answer)).await;
    (server, format!("http://{address}/wx?id=7"), got)
}

async fn service(database: &Database, relay: &str) -> TestApp {
    with_callback(database)
        .set("RELAY_URL", relay)
        .spawn()
        .await
}

#[tokio::test]
async fn a_push_and_its_answer_pass_byte_for_byte() {
    let said =
        b"<xml><Content><![CDATA[\xe4\xbd\xa0\xe5\xa5\xbd \xff]]></Content></xml>\r\n".to_vec();
    let says = Behaviour::Says(StatusCode::OK, "text/xml;charset=GBK", said.clone());
    let (_server, url, got) = old_server(says).await;
    let database = Database::sqlite();
    let app = service(&database, &url).await;
    let query = format!("{}&encrypt_type=raw&x=%2B+a", signed_query(ALICE));
    let body = b"<xml>\n<MsgType>text</MsgType><Content>\xfe \xe4\xbd\xa0</Content></xml>".to_vec();
    let answer = post(&app, &query, body.clone()).await;
    assert_eq!((answer.status.as_u16(), &answer.body), (200, &said));
    assert_eq!(answer.header("content-type"), "text/xml;charset=GBK");
    let sent = (format!("id=7&{query}"), "text/xml".to_owned(), body);
    assert_eq!(*got.lock().unwrap(), [sent]);

    // A repeat is passed on as well, and stored once.
    let leave = PushedEvent::leave(ALICE);
    for _ in 0..2 {
        assert_eq!(push(&app, &leave).await.body, said);
    }
    assert_eq!(got.lock().unwrap().len(), 3);
    assert_eq!(events(&database.store().await).await.len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_no_success_becomes_an_empty_one() {
    for behaviour in [
        Behaviour::Says(
            StatusCode::INTERNAL_SERVER_ERROR,
            "text/plain",
            b"oops".to_vec(),
        ),
        Behaviour::Says(StatusCode::FOUND, "text/plain", b"elsewhere".to_vec()),
        Behaviour::Says(StatusCode::OK, "text/plain", vec![b'a'; 64 * 1024 + 1]),
    ] {
        let (_server, url, got) = old_server(behaviour).await;
        let app = service(&Database::memory(), &url).await;
        let answer = push(&app, &PushedEvent::leave(ALICE)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
        assert_eq!(got.lock().unwrap().len(), 1);
    }
    // The relay is not running.
    let gone = format!("http://{}/wx", closed_port());
    let app = service(&Database::memory(), &gone).await;
    let answer = push(&app, &PushedEvent::leave(ALICE)).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
}

/// A push on a connection that was used before could meet one that the server is just closing.
#[tokio::test]
async fn each_push_has_a_connection_of_its_own() {
    let peer = ClosingPeer::spawn(|_: &str| Reply(200, "old".to_owned())).await;
    let app = service(&Database::memory(), &format!("{}/wx", peer.url())).await;
    for _ in 0..5 {
        let answer = push(&app, &PushedEvent::leave(ALICE)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "old"));
    }
    assert_eq!((peer.answered("/wx"), peer.cut()), (5, 0));
}

/// The server may have acted on the push before its answer failed.
#[tokio::test]
async fn a_push_whose_answer_is_bad_is_not_sent_again() {
    const OK: &str = "HTTP/1.1 200 OK\r\n";
    for (what, said) in [
        ("closed without an answer", String::new()),
        ("garbage", "what is this?\r\n\r\n".to_owned()),
        ("half a status line", "HTTP/1.".to_owned()),
        ("half a head", format!("{OK}content-len")),
        (
            "a head of 600 kB",
            format!("{OK}x: {}\r\n\r\n", "x".repeat(600_000)),
        ),
        ("half a body", format!("{OK}content-length: 9\r\n\r\nold")),
        (
            "a bad chunk",
            format!("{OK}transfer-encoding: chunked\r\n\r\nzz\r\n"),
        ),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/wx", listener.local_addr().unwrap());
        let pushes = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&pushes);
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                read_request(&mut stream).await;
                count.fetch_add(1, Ordering::SeqCst);
                stream.write_all(said.as_bytes()).await.ok();
            }
        });
        let app = service(&Database::memory(), &url).await;
        let answer = push(&app, &PushedEvent::leave(ALICE)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, ""), "{what}");
        assert_eq!(pushes.load(Ordering::SeqCst), 1, "{what}");
        server.abort();
    }
}

/// Reads a whole push, so that the connection ends without a reset.
async fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).ends_with("</xml>") {
        let more = stream.read_buf(&mut read).await.unwrap();
        assert!(more > 0, "{}", String::from_utf8_lossy(&read));
    }
}

#[tokio::test]
async fn a_forged_push_is_not_passed_on() {
    let says = Behaviour::Says(StatusCode::OK, "text/plain", b"success".to_vec());
    let (_server, url, got) = old_server(says).await;
    let app = service(&Database::memory(), &url).await;
    let forged = signed_query(ALICE).replace("nonce=1", "nonce=2");
    let answer = post(&app, &forged, PushedEvent::leave(ALICE).xml()).await;
    assert_eq!(answer.status.as_u16(), 403);
    assert!(got.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_that_hangs_costs_no_event_and_no_deadline() {
    let (_server, url, got) = old_server(Behaviour::Hangs).await;
    let database = Database::sqlite();
    let app = service(&database, &url).await;
    let answer = push(&app, &PushedEvent::leave(ALICE)).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, ""));
    let deadline_of_wechat = Duration::from_secs(5);
    let until_silence_counts = Duration::from_secs(4);
    assert!(
        (until_silence_counts..deadline_of_wechat).contains(&answer.took),
        "{:?}",
        answer.took
    );
    assert_eq!(got.lock().unwrap().len(), 1);
    assert_eq!(events(&database.store().await).await.len(), 1);
}

#[tokio::test]
async fn without_the_database_messages_are_passed_on_and_events_are_not() {
    let says = Behaviour::Says(StatusCode::OK, "text/plain", b"old".to_vec());
    let (_server, url, got) = old_server(says).await;
    let database = Database::sqlite();
    let app = service(&database, &url).await;
    database.run("ALTER TABLE event RENAME TO hidden").await;
    let refused = push(&app, &PushedEvent::leave(ALICE)).await;
    assert_eq!(refused.problem(), (503, "store_unavailable".to_owned()));
    assert!(got.lock().unwrap().is_empty(), "it comes again");
    let text = "<xml><MsgType>text</MsgType></xml>";
    assert_eq!(post(&app, &signed_query(ALICE), text).await.text(), "old");
    database.run("ALTER TABLE hidden RENAME TO event").await;
    assert_eq!(push(&app, &PushedEvent::leave(ALICE)).await.text(), "old");
}
