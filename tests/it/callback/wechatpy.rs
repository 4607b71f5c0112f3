//! Replies as wechatpy reads them, an implementation of WeChat's side that is not ours.

use serde_json::{Value, json};
use wechat_sandbox::{DataFormat, EncodingAesKey, EventKind, Mode, ScannedCode};

use super::replies::{connect, event_of};
use crate::support::app::{APP_ID, TestApp};
use crate::support::callback::with_callback;
use crate::support::database::Database;
use crate::support::files::path;
use crate::support::keys::ADMIN;
use crate::support::pushes::{AES_KEY, ALICE, TOKEN};
use crate::support::python::python;
use crate::support::skip::skip;

/// The messages in answers, as wechatpy opens them, and whether they were encrypted; none without
/// it.
pub(super) fn read(answers: &[String]) -> Option<Vec<Value>> {
    let lines = answers.iter().map(|body| {
        let reply =
            json!({"token": TOKEN, "encoding_aes_key": AES_KEY, "app_id": APP_ID, "body": body});
        format!("{reply}\n")
    });
    let lines = lines.collect::<String>();
    let output = python([path("tests/callback/reply.py")], lines.as_bytes())?;
    if output.status.code() == Some(3) {
        skip("python3 has no wechatpy", "REQUIRE_PYTHON");
        return None;
    }
    assert!(output.status.success());
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    Some(
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

/// A code with a reply.
async fn code(app: &TestApp, scene: &str, reply: Value) -> ScannedCode {
    let body = json!({"scene_str": scene, "reply": reply});
    let answer = app.post_as(ADMIN, "/api/codes", body.to_string()).await;
    ScannedCode {
        scene: scene.to_owned(),
        ticket: answer.ticket(),
    }
}

/// The account's original id, as a push names it in every mode.
fn original_id(push: &str) -> &str {
    let start = push.find("gh_").expect("the push names the account");
    &push[start..start + 15]
}

#[tokio::test]
async fn another_implementation_reads_texts_and_cards_in_every_mode_and_format() {
    let words = "欢迎 <b>&amp;</b> ]]> 🎪\n第二行\ttab";
    let card = json!({"title": "周年 & <庆>", "description": "]]>", "image_url": "https://example.com/a.png", "url": "https://example.com/?a=1&b=2"});
    let key = || AES_KEY.parse::<EncodingAesKey>().unwrap();
    let database = Database::sqlite();
    let plain = with_callback(&database).spawn().await;
    let encrypted = with_callback(&database)
        .set("ENCODING_AES_KEY", AES_KEY)
        .spawn()
        .await;
    let (mut answers, mut wanted) = (Vec::new(), Vec::new());
    for (app, mode) in [
        (&plain, Mode::Plain),
        (&encrypted, Mode::Compatible(key())),
        (&encrypted, Mode::Safe(key())),
    ] {
        let codes = [
            code(app, "text", json!({ "text": words })).await,
            code(app, "card", json!({ "news": card })).await,
        ];
        for format in [DataFormat::Xml, DataFormat::Json] {
            connect(app, mode.clone(), format);
            for code in &codes {
                let event = event_of(ALICE, EventKind::Scan(code.clone()));
                let push = app.sandbox.compose(APP_ID, &event).unwrap().body;
                let delivery = app.sandbox.push(APP_ID, &event).await.unwrap();
                answers.push(delivery.answer().unwrap().text());
                let account = original_id(&push).to_owned();
                wanted.push((format!("{mode:?}, {format:?}, {}", code.scene), account));
            }
        }
    }
    let Some(messages) = read(&answers) else {
        return;
    };
    assert_eq!(messages.len(), 12);
    for (n, (message, (what, account))) in messages.iter().zip(wanted).enumerate() {
        assert_eq!(message["encrypted"], n >= 4, "{what}");
        let message = &message["message"];
        // Those of the push, exchanged.
        assert_eq!(message["ToUserName"], ALICE, "{what}");
        assert_eq!(message["FromUserName"], account, "{what}");
        if n % 2 == 0 {
            assert_eq!(message["MsgType"], "text", "{what}");
            assert_eq!(message["Content"], words, "{what}");
            continue;
        }
        assert_eq!(message["MsgType"], "news", "{what}");
        let articles = &message["Articles"];
        let article = articles.get(0).unwrap_or(&articles["item"]);
        let fields = ["Title", "Description", "PicUrl", "Url"].map(|name| &article[name]);
        let want = ["title", "description", "image_url", "url"].map(|name| &card[name]);
        assert_eq!(fields, want, "{what}: {message}");
    }
}
