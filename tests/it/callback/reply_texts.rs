//! Random texts as replies, read by another implementation of WeChat's side.

use futures_util::{StreamExt as _, stream};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use wechat_sandbox::{DataFormat, EventKind, Mode, Reply, ScannedCode};

use super::replies::{connect, event_of};
use super::wechatpy;
use crate::support::app::{APP_ID, TestApp};
use crate::support::callback::with_callback;
use crate::support::database::Database;
use crate::support::keys::ADMIN;
use crate::support::pushes::{AES_KEY, ALICE};

const TEXTS: usize = 1000;

/// Texts of all that XML, JSON and encryption could change, among them the longest.
fn texts() -> Vec<String> {
    let piece = prop_oneof![
        Just("]]>".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("&lt;".to_owned()),
        Just("\n".to_owned()),
        Just("\t ".to_owned()),
        Just("🎪".to_owned()),
        Just("👨‍👩‍👧".to_owned()),
        Just("展会".to_owned()),
        any::<char>().prop_filter_map("no control", |c| is_plain(c).then(|| c.to_string())),
    ];
    let lengths = prop_oneof![18 => 1..20_usize, 1 => 100..200_usize, 1 => Just(600)];
    let text = lengths.prop_flat_map(move |pieces| prop::collection::vec(piece.clone(), pieces));
    let text = text.prop_map(|pieces| shortened(&pieces.concat()));
    let text = text.prop_filter("a text", |text| !text.trim().is_empty());
    let mut runner = TestRunner::deterministic();
    (0..TEXTS)
        .map(|_| text.new_tree(&mut runner).unwrap().current())
        .collect()
}

fn is_plain(letter: char) -> bool {
    !letter.is_control() && !matches!(letter, '\u{fffe}' | '\u{ffff}')
}

/// 600 characters and 2048 bytes at most.
fn shortened(text: &str) -> String {
    let mut bytes = 0;
    let fits = |letter: &char| {
        bytes += letter.len_utf8();
        bytes <= 2048
    };
    text.chars().take(600).take_while(fits).collect()
}

/// Makes a code with each text, and returns them in their order.
async fn codes(app: &TestApp, texts: &[String]) -> Vec<ScannedCode> {
    let mut codes = Vec::new();
    for (n, some) in texts.chunks(100).enumerate() {
        let orders = some.iter().enumerate();
        let orders =
            orders.map(|(at, text)| json!({"scene_str": format!("{n}-{at}"), "reply": text}));
        let body = orders.collect::<Value>().to_string();
        let made = app.post_as(ADMIN, "/api/codes", body).await.json();
        for (item, text) in made["items"].as_array().unwrap().iter().zip(some) {
            assert_eq!(item["code"]["reply"], json!({"text": text}), "{item}");
            let field = |name: &str| item["code"][name].as_str().unwrap().to_owned();
            codes.push(ScannedCode {
                scene: field("scene_str"),
                ticket: field("ticket"),
            });
        }
    }
    codes
}

/// What a follower reads who scans, by the sandbox, and the answer as it is.
async fn scanned(app: &TestApp, code: ScannedCode) -> (Reply, String) {
    let event = event_of(ALICE, EventKind::Scan(code));
    // On a machine that is too slow for once, an event is refused, and comes again.
    let delivery = loop {
        let delivery = app.sandbox.push(APP_ID, &event).await.unwrap();
        if delivery.is_acknowledged() {
            break delivery;
        }
    };
    let answer = delivery.attempts.last().unwrap().as_ref().unwrap();
    let body = String::from_utf8(answer.body.clone()).unwrap();
    (delivery.reply.unwrap().expect("a reply"), body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_random_texts_arrive_unchanged() {
    let database = Database::sqlite();
    let app = with_callback(&database)
        .set("ENCODING_AES_KEY", AES_KEY)
        .spawn()
        .await;
    connect(&app, Mode::Safe(AES_KEY.parse().unwrap()), DataFormat::Xml);
    let texts = texts();
    assert!(texts.iter().any(|text| text.chars().count() == 600));
    let codes = codes(&app, &texts).await;
    let read = stream::iter(codes).map(|code| scanned(&app, code));
    let read: Vec<_> = read.buffered(16).collect().await;
    for ((reply, _), text) in read.iter().zip(&texts) {
        assert_eq!(*reply, Reply::Text(text.clone()));
    }
    let answers: Vec<_> = read.into_iter().map(|(_, body)| body).collect();
    let Some(messages) = wechatpy::read(&answers) else {
        return;
    };
    assert_eq!(messages.len(), TEXTS);
    for (opened, text) in messages.iter().zip(&texts) {
        let message = &opened["message"];
        assert_eq!(message["Content"], **text, "{message}");
        assert_eq!(message["MsgType"], "text");
        assert_eq!(message["ToUserName"], ALICE);
    }
}
