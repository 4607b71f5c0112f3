//! What a follower reads after a push: the sandbox decrypts and judges it as WeChat would.

use sha2::{Digest as _, Sha256};
use wechat_sandbox::{
    Callback, CallbackToken, DataFormat, EncodingAesKey, Event, EventKind, FollowSource, Mode,
    Reply, ScannedCode,
};

use crate::support::app::{APP_ID, Builder, TestApp};
use crate::support::callback::with_callback;
use crate::support::database::Database;
use crate::support::owner::{self, Owner};
use crate::support::pushes::{AES_KEY, ALICE, TOKEN};
use wxqr::clock::{Clock as _, SystemClock};

fn follow() -> EventKind {
    let code = ScannedCode {
        scene: "poster-7".to_owned(),
        ticket: "gQH47joAAA==".to_owned(),
    };
    EventKind::Subscribe(FollowSource::Code(code))
}

/// Sets the sandbox's side of the callback.
fn connect(app: &TestApp, mode: Mode, format: DataFormat) {
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
    let event = Event {
        openid: ALICE.to_owned(),
        created_at: SystemClock.now(),
        kind,
    };
    let delivery = app.sandbox.push(APP_ID, &event).await.unwrap();
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
        assert_eq!(read_after(&app, follow()).await, Some(text("ours")));
        assert_eq!(relay.seen().len(), 1);
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
    assert_eq!(read_after(&app, follow()).await, Some(text("theirs")));
}

#[tokio::test]
async fn without_a_reply_the_answer_is_success() {
    let database = Database::sqlite();
    let app = with_callback(&database).spawn().await;
    connect(&app, Mode::Plain, DataFormat::Xml);
    assert_eq!(read_after(&app, follow()).await, None);
}
