//! The callback: which pushes are accepted, and their effects.

use reqwest::Method;
use wechat::event::EventKind;
use wxqr::statistics::Attribution;

use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::callback::{events, numbers, post, push, with_callback};
use crate::support::client;
use crate::support::database::Database;
use crate::support::fleet::Upstream;
use crate::support::pushes::{AES_KEY, ALICE, PushedEvent, TOKEN, sealed, signed_query};

#[tokio::test]
async fn without_a_token_there_is_no_callback() {
    let app = TestApp::spawn().await;
    let path = format!("/callback?{}&echostr=hello", signed_query(ALICE));
    assert_eq!(
        app.get(&path).await.problem(),
        (404, "not_found".to_owned())
    );
    let pushed = push(&app, &PushedEvent::leave(ALICE)).await;
    assert_eq!(pushed.problem(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn url_verification_is_answered_to_wechat_only() {
    let app = with_callback(&Database::memory()).spawn().await;
    let signed = signed_query(ALICE);
    let answer = app
        .get(&format!("/callback?{signed}&echostr=47239481"))
        .await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "47239481"));
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    for query in [
        "echostr=47239481".to_owned(),
        format!("{}&echostr=47239481", signed.replace("nonce=1", "nonce=2")),
        format!("{signed}0&echostr=47239481").replace("timestamp=1", "timestamp=2"),
        signed.clone(),
    ] {
        let answer = app.get(&format!("/callback?{query}")).await;
        assert_eq!(
            answer.problem(),
            (403, "not_from_wechat".to_owned()),
            "{query}"
        );
        assert!(!answer.text().contains("47239481"), "{query}");
    }
}

#[tokio::test]
async fn the_callback_may_be_configured_with_a_trailing_slash() {
    let app = with_callback(&Database::memory())
        .set("PUBLIC_URL", "https://qr.example.com/wx")
        .spawn()
        .await;
    let signed = signed_query(ALICE);
    for path in ["/callback/", "/wx/callback/"] {
        let question = app.get(&format!("{path}?{signed}&echostr=47239481")).await;
        let got = (question.status.as_u16(), question.text());
        assert_eq!(got, (200, "47239481"), "{path}");
        let request = app.request(Method::POST, &format!("{path}?{signed}"));
        let pushed = Answer::to(request.body(PushedEvent::leave(ALICE).xml())).await;
        assert_eq!((pushed.status.as_u16(), pushed.text()), (200, "success"));
        // For programs, whose errors are JSON.
        let forged = app.get(&format!("{path}?echostr=1")).await;
        assert_eq!(forged.problem(), (403, "not_from_wechat".to_owned()));
    }
}

#[tokio::test]
async fn an_event_is_stored_once_under_the_code_of_its_ticket() {
    let database = Database::sqlite();
    let app = with_callback(&database).spawn().await;
    let ticket = app.scene(123).await.field("ticket");
    let follow = PushedEvent::follow(ALICE, "123", &ticket);
    for _ in 0..3 {
        let answer = push(&app, &follow).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "success"));
    }
    let store = database.store().await;
    let stored = events(&store).await;
    assert_eq!(stored.len(), 1, "{stored:?}");
    assert_eq!(stored[0].kind, EventKind::Subscribe);
    assert_eq!(stored[0].openid.as_ref().unwrap().as_str(), ALICE);
    let rows = numbers(&store).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(
        matches!(&rows[0].attribution, Attribution::Code(scene) if scene.to_string() == "QR_SCENE:123")
    );
    let numbers = rows[0].numbers;
    assert_eq!(
        (
            numbers.scans,
            numbers.people,
            numbers.new_followers,
            numbers.lost
        ),
        (1, 1, 1, 0)
    );
}

#[tokio::test]
async fn what_is_no_event_is_acknowledged_and_not_stored() {
    let database = Database::sqlite();
    let app = with_callback(&database).spawn().await;
    let click = PushedEvent {
        event: "CLICK",
        ..PushedEvent::leave(ALICE)
    };
    for body in [
        click.xml(),
        "<xml></xml>".to_owned(),
        "<xml><Event>".to_owned(),
    ] {
        let answer = post(&app, &signed_query(ALICE), body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text()),
            (200, "success"),
            "{body}"
        );
    }
    assert!(events(&database.store().await).await.is_empty());
}

#[tokio::test]
async fn a_forged_push_is_rejected_in_one_way_and_changes_nothing() {
    let database = Database::sqlite();
    let app = with_callback(&database)
        .set(
            "ENCODING_AES_KEY",
            "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG",
        )
        .spawn()
        .await;
    let pushed_event = PushedEvent::follow(ALICE, "1", "ticket");
    let signed = signed_query(ALICE);
    let mut answers = Vec::new();
    for (query, body) in [
        // Rightly signed, and not encrypted.
        (signed.clone(), pushed_event.xml()),
        (
            signed.clone(),
            "<xml><Encrypt>AAAA</Encrypt></xml>".to_owned(),
        ),
        (
            format!("{signed}&msg_signature=0000000000000000000000000000000000000000"),
            "<xml><Encrypt>AAAA</Encrypt></xml>".to_owned(),
        ),
        (String::new(), pushed_event.xml()),
        (signed.clone(), "<!DOCTYPE xml><xml/>".to_owned()),
        (signed, String::new()),
    ] {
        let answer = post(&app, &query, body.clone()).await;
        assert_eq!(
            answer.problem(),
            (403, "not_from_wechat".to_owned()),
            "{query} {body}"
        );
        let mut document = answer.json();
        document["request_id"].take();
        answers.push(document);
    }
    assert!(
        answers.windows(2).all(|pair| pair[0] == pair[1]),
        "{answers:#?}"
    );
    assert!(events(&database.store().await).await.is_empty());
}

#[tokio::test]
async fn too_much_is_refused_before_it_is_read() {
    let upstream = Upstream::spawn().await;
    let settings = [("CALLBACK_TOKEN", TOKEN), ("METRICS_LISTEN", "127.0.0.1:0")];
    let process = upstream.process("sqlite::memory:", &settings);
    let addresses = process.addresses().await;
    let url = format!("http://{}/callback?{}", addresses.http, signed_query(ALICE));
    let too_much = client().post(url).body(vec![b'a'; 64 * 1024 + 1]);
    let answer = Answer::to(too_much).await;
    assert_eq!(answer.problem(), (413, "too_large".to_owned()));
    let metrics = format!("http://{}/metrics", addresses.metrics.unwrap());
    let metrics = Answer::to(client().get(metrics)).await;
    let counted = r#"wxqr_callback_rejected_total{reason="too_large"} 1"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
}

#[tokio::test]
async fn the_log_says_once_that_wechat_still_uses_the_previous_key() {
    let new_key = "bmV3S2V5T2ZUaGVUZXN0c25ld0tleU9mVGhlVGVzdHM";
    let upstream = Upstream::spawn().await;
    for (current, previous, times) in [(new_key, AES_KEY, 1), (AES_KEY, new_key, 0)] {
        let settings = [
            ("CALLBACK_TOKEN", TOKEN),
            ("ENCODING_AES_KEY", current),
            ("ENCODING_AES_KEY_PREVIOUS", previous),
        ];
        let process = upstream.process("sqlite::memory:", &settings);
        let address = process.addresses().await.http;
        for _ in 0..3 {
            let (query, body) = sealed(ALICE, &PushedEvent::leave(ALICE).xml());
            let url = format!("http://{address}/callback?{query}");
            assert_eq!(Answer::to(client().post(url).body(body)).await.status, 200);
        }
        process.signal("TERM");
        let log = process.output().await.stderr;
        let said = log.matches("WXQR_ENCODING_AES_KEY_PREVIOUS").count();
        assert_eq!(said, times, "{log}");
        assert!(!log.contains(AES_KEY) && !log.contains(new_key), "{log}");
    }
}
