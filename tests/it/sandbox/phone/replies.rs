//! What a follower reads, by the answer of a callback: its message, or WeChat's own words for an
//! answer that is none.

use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use wechat_sandbox::{DataFormat, FAULT_SHOWN, Mode};

use super::{APP_ID, KEY, OPENID, Phone};
use crate::support::owner::{Owner, Reply};

/// The account's original id, as the sandbox makes it.
fn account() -> String {
    let digest = Sha256::digest(APP_ID);
    let digits = digest[..6].iter().map(|byte| format!("{byte:02x}"));
    format!("gh_{}", digits.collect::<String>())
}

/// A message from the account to a follower, with what comes after its envelope.
fn message(to: &str, from: &str, content: &str) -> String {
    format!(
        "<xml><ToUserName>{to}</ToUserName><FromUserName>{from}</FromUserName>\
         <CreateTime>1</CreateTime>{content}</xml>"
    )
}

fn text(text: &str) -> String {
    format!("<MsgType>text</MsgType><Content><![CDATA[{text}]]></Content>")
}

/// What a script and a browser get after a follow and a scan that a callback answers like this.
async fn pressed(phone: &Phone, answer: Reply) -> (Value, [String; 2]) {
    let owner = Owner::spawn(move |_| answer.clone()).await;
    phone.set_callback(&owner, Mode::Plain, DataFormat::Xml);
    pressed_with(phone).await
}

async fn pressed_with(phone: &Phone) -> (Value, [String; 2]) {
    let code = phone.code("poster-7").await;
    let report = phone.press(&code, "follow", OPENID).await.json();
    let mut pages = [String::new(), String::new()];
    for (page, lang) in pages.iter_mut().zip(["zh", "en"]) {
        let url = format!("{}?lang={lang}", code.url);
        let shown = phone.press_for_page(&url, "scan", OPENID).await;
        shown.text().clone_into(page);
    }
    phone.press(&code, "unfollow", OPENID).await;
    (report, pages)
}

/// The bubble of the chat, if there is one.
fn bubble(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("class=\"bubble\"")?;
    let (_, rest) = rest.split_once('>')?;
    rest.split_once("</").map(|(shown, _)| shown)
}

#[tokio::test]
async fn a_message_is_a_bubble_and_success_and_an_empty_body_are_none() {
    let phone = Phone::spawn().await;
    for body in ["success", ""] {
        let (report, pages) = pressed(&phone, Reply::Answer(200, body.to_owned())).await;
        let [reply, fault] = ["reply", "reply_fault"].map(|name| report.get(name));
        assert_eq!((reply, fault), (None, None), "{body}: {report}");
        assert_eq!(pages.each_ref().map(|page| bubble(page)), [None, None]);
    }
    let greeting = message(OPENID, &account(), &text("欢迎 <b>"));
    let (report, pages) = pressed(&phone, Reply::Answer(200, greeting)).await;
    assert_eq!(report["reply"], json!({"text": "欢迎 <b>"}), "{report}");
    for page in &pages {
        assert_eq!(bubble(page), Some("欢迎 &#60;b&#62;"), "{page}");
    }
    let card = "<MsgType>news</MsgType><ArticleCount>1</ArticleCount><Articles><item>\
        <Title>Sale</Title><Description>Today</Description><PicUrl>https://example.com/a.png</PicUrl>\
        <Url>https://example.com/</Url></item></Articles>";
    let card = message(OPENID, &account(), card);
    let (report, pages) = pressed(&phone, Reply::Answer(200, card)).await;
    let want = json!({"news": {"title": "Sale", "description": "Today", "image_url": "https://example.com/a.png", "url": "https://example.com/"}});
    assert_eq!(report["reply"], want, "{report}");
    for page in &pages {
        assert_eq!(bubble(page), Some("<strong>Sale"), "{page}");
        assert!(page.contains("href=\"https://example.com/\""), "{page}");
    }
}

#[tokio::test]
async fn a_faulty_message_is_named_and_the_follower_reads_wechats_own_words() {
    let phone = Phone::spawn().await;
    let account = account();
    for (what, body, want) in [
        (
            "empty",
            message(OPENID, &account, &text("")),
            "Content is absent or empty",
        ),
        (
            "malformed",
            "<xml><ToUserName>".to_owned(),
            "the answer is neither empty, nor success, nor a message in the format of the push",
        ),
        (
            "a word",
            "ok".to_owned(),
            "the answer is neither empty, nor success, nor a message in the format of the push",
        ),
        (
            "a blank first",
            format!(" {}", message(OPENID, &account, &text("a"))),
            "there is white space before the message",
        ),
        (
            "to another follower",
            message("o-somebody-else", &account, &text("a")),
            "ToUserName is not the openid of the follower",
        ),
        (
            "from the AppID",
            message(OPENID, APP_ID, &text("a")),
            "FromUserName is not the account's original id, which the push has as ToUserName",
        ),
        (
            "not exchanged",
            message(&account, OPENID, &text("a")),
            "ToUserName is not the openid of the follower",
        ),
        (
            "too long",
            message(OPENID, &account, &text(&"x".repeat(2049))),
            "Content has more than 2048 bytes",
        ),
        (
            "a voice",
            message(OPENID, &account, "<MsgType>voice</MsgType>"),
            "MsgType is neither text nor news",
        ),
    ] {
        let (report, [zh, en]) = pressed(&phone, Reply::Answer(200, body)).await;
        assert_eq!(report["delivered"], true, "{what}: {report}");
        assert_eq!(report["reply_fault"], want, "{what}");
        assert_eq!(report.get("reply"), None, "{what}");
        for (page, reason) in [
            (zh, format!("回复有误：{want}")),
            (en, format!("The reply is faulty: {want}")),
        ] {
            assert_eq!(bubble(&page), Some(FAULT_SHOWN), "{what}");
            let reason = reason.replace('\'', "&#39;");
            assert!(page.contains(&reason), "{what}: {reason} in {page}");
        }
    }
}

#[tokio::test]
async fn the_safe_mode_takes_no_message_in_clear() {
    let phone = Phone::spawn().await;
    let clear = message(OPENID, &account(), &text("a"));
    let owner = Owner::spawn(move |_| Reply::Answer(200, clear.clone())).await;
    phone.set_callback(&owner, Mode::Safe(KEY.parse().unwrap()), DataFormat::Xml);
    let (report, pages) = pressed_with(&phone).await;
    let want = "the message is not encrypted, and the mode is the safe one";
    assert_eq!(report["reply_fault"], want, "{report}");
    assert_eq!(bubble(&pages[0]), Some(FAULT_SHOWN));
    phone.set_callback(
        &owner,
        Mode::Compatible(KEY.parse().unwrap()),
        DataFormat::Xml,
    );
    let (report, _) = pressed_with(&phone).await;
    assert_eq!(report["reply"], json!({"text": "a"}), "{report}");
}

#[tokio::test]
async fn an_answer_that_is_late_or_no_2xx_is_asked_for_again_and_excused_by_wechat() {
    let phone = Phone::spawn().await;
    phone.sandbox.set_push_deadline(Duration::from_millis(500));
    for (answer, want) in [
        (Reply::Hang, json!("no answer in time")),
        (Reply::Answer(500, "failed".to_owned()), json!(null)),
    ] {
        let (report, pages) = pressed(&phone, answer).await;
        assert_eq!(report["error"], want, "{report}");
        assert_eq!(
            (&report["delivered"], &report["attempts"]),
            (&json!(false), &json!(4))
        );
        let [reply, fault] = ["reply", "reply_fault"].map(|name| report.get(name));
        assert_eq!((reply, fault), (None, None), "{report}");
        for page in &pages {
            assert_eq!(bubble(page), Some(FAULT_SHOWN), "{page}");
        }
    }
    // Who left has no chat any more.
    let owner = Owner::spawn(|nth| match nth {
        0 => Reply::success(),
        _ => Reply::Answer(500, String::new()),
    })
    .await;
    phone.set_callback(&owner, Mode::Plain, DataFormat::Xml);
    let code = phone.code("poster-7").await;
    phone.press(&code, "follow", OPENID).await;
    let left = phone.press_for_page(&code.url, "unfollow", OPENID).await;
    assert_eq!(bubble(left.text()), None, "{}", left.text());
}
