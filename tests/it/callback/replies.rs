//! What a follower reads after a push: the sandbox decrypts and judges it as WeChat would.

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wechat_sandbox::{
    Callback, CallbackToken, DataFormat, EncodingAesKey, Event, EventKind, FollowSource, Mode,
    Reply, ScannedCode,
};

use crate::support::app::{APP_ID, Builder, TestApp};
use crate::support::callback::{events, with_callback};
use crate::support::database::Database;
use crate::support::eventually_async;
use crate::support::keys::{ADMIN, BIND};
use crate::support::owner::{self, Owner};
use crate::support::pushes::{AES_KEY, ALICE, BOB, TOKEN};
use wxqr::clock::{Clock as _, SystemClock};

/// A code that is not known to the service.
fn unknown_code() -> ScannedCode {
    ScannedCode {
        scene: "poster-7".to_owned(),
        ticket: "gQH47joAAA==".to_owned(),
    }
}

fn follow() -> EventKind {
    EventKind::Subscribe(FollowSource::Code(unknown_code()))
}

/// A code with a reply.
async fn code(app: &TestApp, scene: &str, reply: Value) -> ScannedCode {
    let body = json!({"scene_str": scene, "reply": reply});
    let answer = app.post_as(ADMIN, "/api/codes", body.to_string()).await;
    assert!(answer.status.is_success(), "{answer:?}");
    ScannedCode {
        scene: scene.to_owned(),
        ticket: answer.ticket(),
    }
}

fn follow_by(code: &ScannedCode) -> EventKind {
    EventKind::Subscribe(FollowSource::Code(code.clone()))
}

fn scan_of(code: &ScannedCode) -> EventKind {
    EventKind::Scan(code.clone())
}

/// Sets the sandbox's side of the callback.
pub(super) fn connect(app: &TestApp, mode: Mode, format: DataFormat) {
    let callback = Callback {
        url: app.url("/callback").parse().unwrap(),
        token: TOKEN.parse::<CallbackToken>().unwrap(),
        mode,
        format,
    };
    app.sandbox.set_callback(APP_ID, Some(callback));
}

/// What Alice reads after an event of hers.
async fn read_after(app: &TestApp, kind: EventKind) -> Option<Reply> {
    read_by(app, ALICE, kind).await
}

async fn read_by(app: &TestApp, openid: &str, kind: EventKind) -> Option<Reply> {
    read(app, &event_of(openid, kind)).await
}

/// An event of now.
pub(super) fn event_of(openid: &str, kind: EventKind) -> Event {
    Event {
        openid: openid.to_owned(),
        created_at: SystemClock.now(),
        kind,
    }
}

async fn read(app: &TestApp, event: &Event) -> Option<Reply> {
    let delivery = app.sandbox.push(APP_ID, event).await.unwrap();
    assert!(delivery.is_acknowledged(), "{delivery:?}");
    assert_eq!(delivery.attempts.len(), 1, "{delivery:?}");
    delivery.reply.expect("no fault")
}

fn replying(database: &Database, text: &str) -> Builder {
    with_callback(database).set("DEFAULT_REPLY", text)
}

/// The account's original id, as the sandbox makes it.
fn original_id() -> String {
    let digest = Sha256::digest(APP_ID);
    let digits = digest[..6].iter().map(|byte| format!("{byte:02x}"));
    format!("gh_{}", digits.collect::<String>())
}

fn text(reply: &str) -> Reply {
    Reply::Text(reply.to_owned())
}

#[tokio::test]
async fn a_new_follower_reads_the_default_reply_in_every_mode_and_format() {
    let key = || AES_KEY.parse::<EncodingAesKey>().unwrap();
    let database = Database::sqlite();
    let words = "欢迎 <b>&amp;</b> ]]> 🎪\n第二行\ttab";
    let plain = replying(&database, words).spawn().await;
    let encrypted = replying(&database, words)
        .set("ENCODING_AES_KEY", AES_KEY)
        .spawn()
        .await;
    for (app, mode) in [
        (&plain, Mode::Plain),
        (&encrypted, Mode::Compatible(key())),
        (&encrypted, Mode::Safe(key())),
    ] {
        for format in [DataFormat::Xml, DataFormat::Json] {
            connect(app, mode.clone(), format);
            let got = read_after(app, follow()).await;
            assert_eq!(got, Some(text(words)), "{mode:?} {format:?}");
            let elsewhere = EventKind::Subscribe(FollowSource::Elsewhere);
            assert_eq!(read_after(app, elsewhere).await, Some(text(words)));
            assert_eq!(read_after(app, EventKind::Unsubscribe).await, None);
        }
    }
}

#[tokio::test]
async fn the_longest_texts_arrive_unchanged() {
    let database = Database::sqlite();
    for words in [
        "展".repeat(600),
        "🎪".repeat(512),
        "]]>".repeat(200),
        "\n".repeat(599) + "x",
        " a ".to_owned(),
    ] {
        let app = replying(&database, &words)
            .set("ENCODING_AES_KEY", AES_KEY)
            .spawn()
            .await;
        connect(&app, Mode::Safe(AES_KEY.parse().unwrap()), DataFormat::Xml);
        assert_eq!(read_after(&app, follow()).await, Some(text(&words)));
    }
}

#[tokio::test]
async fn a_message_of_the_relay_wins_and_its_silence_does_not() {
    let database = Database::sqlite();
    for answer in [
        owner::Reply::success(),
        owner::Reply::Answer(200, " success\n".to_owned()),
        owner::Reply::Answer(200, String::new()),
        owner::Reply::Answer(500, "failed".to_owned()),
        owner::Reply::Hang,
    ] {
        let relay = Owner::spawn(move |_| answer.clone()).await;
        let app = replying(&database, "ours")
            .set("RELAY_URL", &relay.url)
            .spawn()
            .await;
        connect(&app, Mode::Plain, DataFormat::Xml);
        let code = code(&app, "poster", json!({"text": "of the code"})).await;
        let both = join(read_after(&app, follow()), read_after(&app, scan_of(&code))).await;
        assert_eq!(both, (Some(text("ours")), Some(text("of the code"))));
        assert_eq!(relay.seen().len(), 2);
    }
    let message = format!(
        "<xml><ToUserName>{ALICE}</ToUserName><FromUserName>{}</FromUserName>\
         <CreateTime>1</CreateTime><MsgType>text</MsgType><Content>theirs</Content></xml>",
        original_id()
    );
    let relay = Owner::spawn(move |_| owner::Reply::Answer(200, message.clone())).await;
    let app = replying(&database, "ours")
        .set("RELAY_URL", &relay.url)
        .spawn()
        .await;
    connect(&app, Mode::Plain, DataFormat::Xml);
    let code = code(&app, "poster", json!({"text": "of the code"})).await;
    for kind in [follow(), follow_by(&code), scan_of(&code)] {
        assert_eq!(read_after(&app, kind).await, Some(text("theirs")));
    }
}

/// Services in each mode, with the sandbox's side of it.
async fn in_every_mode(database: &Database) -> Vec<(TestApp, Mode)> {
    let key = || AES_KEY.parse::<EncodingAesKey>().unwrap();
    let mut all = vec![(replying(database, "default").spawn().await, Mode::Plain)];
    for mode in [Mode::Compatible(key()), Mode::Safe(key())] {
        let encrypted = replying(database, "default").set("ENCODING_AES_KEY", AES_KEY);
        all.push((encrypted.spawn().await, mode));
    }
    all
}

#[tokio::test]
async fn the_reply_of_a_code_is_read_after_a_follow_and_a_scan_in_every_mode_and_format() {
    let database = Database::sqlite();
    let words = "欢迎 <b>&amp;</b> ]]> 🎪\n第二行\ttab";
    let card = json!({"news": {"title": "周年 & <庆>", "description": "]]>", "image_url": "https://example.com/a.png", "url": "https://example.com/?a=1&b=2"}});
    for (app, mode) in &in_every_mode(&database).await {
        let texts = code(app, "texts", json!({"text": words})).await;
        let news = code(app, "news", card.clone()).await;
        let silent = code(app, "silent", json!(null)).await;
        for format in [DataFormat::Xml, DataFormat::Json] {
            connect(app, mode.clone(), format);
            for kind in [follow_by(&texts), scan_of(&texts)] {
                let got = read_after(app, kind).await;
                assert_eq!(got, Some(text(words)), "{mode:?} {format:?}");
            }
            for kind in [follow_by(&news), scan_of(&news)] {
                let Some(Reply::News(article)) = read_after(app, kind).await else {
                    panic!("{mode:?} {format:?}");
                };
                assert_eq!(article.title, "周年 & <庆>");
                assert_eq!(article.description, "]]>");
                assert_eq!(article.url, "https://example.com/?a=1&b=2");
            }
            let default = Some(text("default"));
            assert_eq!(read_after(app, follow_by(&silent)).await, default);
            assert_eq!(read_after(app, follow()).await, default);
            assert_eq!(read_after(app, scan_of(&silent)).await, None);
            assert_eq!(read_after(app, scan_of(&unknown_code())).await, None);
            assert_eq!(read_after(app, EventKind::Unsubscribe).await, None);
        }
    }
}

#[tokio::test]
async fn a_repeat_reads_the_same_and_is_counted_once() {
    let database = Database::sqlite();
    let app = with_callback(&database).spawn().await;
    connect(&app, Mode::Plain, DataFormat::Xml);
    let code = code(&app, "poster", json!({"text": "ours"})).await;
    let event = event_of(ALICE, scan_of(&code));
    for _ in 0..3 {
        assert_eq!(read(&app, &event).await, Some(text("ours")));
    }
    let all = join_all((0..20).map(|_| read(&app, &event))).await;
    assert!(all.iter().all(|got| *got == Some(text("ours"))), "{all:?}");
    assert_eq!(events(&database.store().await).await.len(), 1);
}

#[tokio::test]
async fn only_the_one_who_signs_in_reads_the_reply_of_a_binding() {
    let database = Database::sqlite();
    let app = replying(&database, "default")
        .set("ENCODING_AES_KEY", AES_KEY)
        .spawn()
        .await;
    connect(&app, Mode::Safe(AES_KEY.parse().unwrap()), DataFormat::Xml);
    let body = json!({"reply": "signed in"}).to_string();
    let made = app.post_as(BIND, "/api/bindings", body).await.json();
    let field = |name: &str| made["code"][name].as_str().unwrap().to_owned();
    let code = ScannedCode {
        scene: field("scene_str"),
        ticket: field("ticket"),
    };
    let signed_in = Some(text("signed in"));
    let by_alice = event_of(ALICE, scan_of(&code));
    for _ in 0..2 {
        assert_eq!(read(&app, &by_alice).await, signed_in);
        assert_eq!(read_by(&app, BOB, scan_of(&code)).await, None);
    }
    let default = Some(text("default"));
    assert_eq!(read_by(&app, BOB, follow_by(&code)).await, default);
    assert_eq!(read_after(&app, follow_by(&code)).await, signed_in);
    for (body, parameter) in [
        (json!({"reply": ""}), "reply"),
        (json!({"reply": {"text": "x".repeat(601)}}), "reply.text"),
        (json!({"reply": 7}), "reply"),
    ] {
        let answer = app.post_as(BIND, "/api/bindings", body.to_string()).await;
        assert_eq!(answer.problem(), (400, "invalid_parameter".to_owned()));
        assert_eq!(answer.field("parameter"), parameter, "{body}");
    }
}

#[tokio::test]
async fn a_changed_reply_is_read_at_the_next_scan() {
    let database = Database::sqlite();
    let app = with_callback(&database).spawn().await;
    let other = with_callback(&database).spawn().await;
    connect(&app, Mode::Plain, DataFormat::Xml);
    for (reply, want) in [
        (json!({"text": "first"}), Some(text("first"))),
        (json!({"text": "second"}), Some(text("second"))),
        (json!(null), None),
    ] {
        // By another replica.
        let code = code(&other, "poster", reply).await;
        assert_eq!(read_after(&app, scan_of(&code)).await, want);
    }
}

#[tokio::test]
async fn what_a_busy_database_holds_up_is_replied_to_when_it_comes_again() {
    let database = Database::sqlite();
    let app = with_callback(&database).spawn().await;
    connect(&app, Mode::Plain, DataFormat::Xml);
    let code = code(&app, "poster", json!({"text": "ours"})).await;
    let lock = database.lock(&["BEGIN IMMEDIATE"]).await;
    let event = event_of(ALICE, scan_of(&code));
    let refused = app.sandbox.push(APP_ID, &event).await.unwrap();
    assert!(!refused.is_acknowledged(), "it is not stored: {refused:?}");
    assert_eq!(refused.reply, Ok(None));
    drop(lock);
    let store = database.store().await;
    eventually_async("the database is there again", || async {
        app.get("/readyz").await.field("status") == "ok"
    })
    .await;
    assert_eq!(read(&app, &event).await, Some(text("ours")));
    assert_eq!(events(&store).await.len(), 1);
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_costs_neither_the_event_nor_its_acknowledgement() {
    let database = Database::sqlite();
    let app = with_callback(&database).spawn().await;
    connect(&app, Mode::Plain, DataFormat::Xml);
    let code = code(&app, "poster", json!({"text": "ours"})).await;
    database
        .run("UPDATE channel SET reply = '{\"image\":\"a\"}'")
        .await;
    assert_eq!(read_after(&app, scan_of(&code)).await, None);
    assert_eq!(events(&database.store().await).await.len(), 1);
}

#[tokio::test]
async fn without_a_reply_the_answer_is_success() {
    let database = Database::sqlite();
    let app = with_callback(&database).spawn().await;
    connect(&app, Mode::Plain, DataFormat::Xml);
    assert_eq!(read_after(&app, follow()).await, None);
}
