//! What the phone's buttons do, for browsers and for scripts.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::json;
use wechat_sandbox::{EventKind, NoCallback};

use super::{APP_ID, Code, OPENID, Phone, START, event};
use crate::support::answer::Answer;
use crate::support::owner::{Owner, Reply};

/// The event and the key of the last push, which is in plain mode and XML.
fn last_pushed(owner: &Owner) -> (String, String) {
    let body = owner.seen().last().unwrap().body.clone();
    let text = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}><![CDATA[")).unwrap();
        rest.split_once("]]>").unwrap().0.to_owned()
    };
    (text("Event"), text("EventKey"))
}

#[tokio::test]
async fn the_buttons_follow_wechat() {
    let owner = Owner::spawn(|_| Reply::success()).await;
    let phone = Phone::calling(&owner).await;
    let code = phone.code("poster-7").await;
    let mut times = Vec::new();
    for (what, want) in [
        ("scan", None),
        ("unfollow", None),
        ("follow", Some(("subscribe", "qrscene_poster-7"))),
        ("follow", None),
        ("scan", Some(("SCAN", "poster-7"))),
        ("scan", Some(("SCAN", "poster-7"))),
        ("unfollow", Some(("unsubscribe", ""))),
        ("scan", None),
        ("follow", Some(("subscribe", "qrscene_poster-7"))),
    ] {
        let before = owner.seen().len();
        let answer = phone.press(&code, what, OPENID).await;
        let Some((event, key)) = want else {
            assert_eq!(answer.status, StatusCode::CONFLICT, "{what}");
            assert!(
                answer.field("error").contains("follow"),
                "{}",
                answer.text()
            );
            assert_eq!(owner.seen().len(), before, "{what}: nothing is pushed");
            continue;
        };
        assert_eq!(answer.status, StatusCode::OK, "{what}");
        let said = answer.json();
        times.push(said["create_time"].as_i64().unwrap());
        assert_eq!(
            said,
            json!({
                "openid": OPENID, "event": event, "event_key": key,
                "create_time": said["create_time"], "delivered": true, "attempts": 1,
                "status": 200, "body": "success", "error": null,
            })
        );
        let (pushed, pushed_key) = last_pushed(&owner);
        assert_eq!((&*pushed, &*pushed_key), (event, key));
        assert_eq!(owner.seen().len(), before + 1);
        let body = owner.seen().pop().unwrap().body;
        let has_ticket = body.contains(&format!("<Ticket><![CDATA[{}]]>", code.ticket));
        assert_eq!(has_ticket, event != "unsubscribe", "{body}");
    }
    // The clock does not move, yet no two events are equal.
    let start = START.parse::<Timestamp>().unwrap().as_second();
    assert_eq!(times, [0, 1, 2, 3, 4].map(|later| start + later));
}

#[tokio::test]
async fn followers_belong_to_the_account_and_not_to_the_code() {
    let phone = Phone::spawn().await;
    let (one, other) = (phone.code("one").await, phone.code("other").await);
    assert_eq!(
        phone.press(&one, "follow", OPENID).await.status,
        StatusCode::OK
    );
    let answer = phone.press(&other, "scan", OPENID).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.field("event_key"), "other");
    let stranger = phone.press(&other, "scan", "o-somebody-else").await;
    assert_eq!(stranger.status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn without_a_callback_the_phone_says_so() {
    let phone = Phone::spawn().await;
    let code = phone.code("poster-7").await;
    let answer = phone.press(&code, "follow", "").await;
    assert_eq!(answer.status, StatusCode::OK);
    let said = answer.json();
    assert_eq!(said["openid"].as_str().unwrap().len(), 28, "a new person");
    assert_eq!(
        (&said["delivered"], &said["attempts"]),
        (&json!(false), &json!(0))
    );
    assert_eq!(said["error"], "no callback is configured for this account");
    let unsubscribe = event(EventKind::Unsubscribe);
    let pushed = phone.sandbox.push(APP_ID, &unsubscribe).await;
    assert_eq!(pushed, Err(NoCallback));
    let composed = phone.sandbox.compose("wx-nobody", &unsubscribe);
    assert_eq!(composed, Err(NoCallback));
    let page = phone.press_for_page(&code.url, "follow", OPENID).await;
    assert!(page.text().contains("没有配置回调"), "{}", page.text());
}

#[tokio::test]
async fn a_form_that_makes_no_sense_pushes_nothing() {
    let owner = Owner::spawn(|_| Reply::success()).await;
    let phone = Phone::calling(&owner).await;
    let code = phone.code("poster-7").await;
    for (what, openid, want) in [
        ("", OPENID, "do takes follow, scan or unfollow."),
        ("dance", OPENID, "do takes follow, scan or unfollow."),
        ("follow", "<b>", "openid takes 1 to 64 of A-Za-z0-9_-."),
        (
            "follow",
            &"o".repeat(65),
            "openid takes 1 to 64 of A-Za-z0-9_-.",
        ),
    ] {
        let answer = phone.press(&code, what, openid).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what} {openid}");
        assert_eq!(answer.field("error"), want);
        let page = phone.press_for_page(&code.url, what, openid).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(!page.text().contains("<b>"), "{}", page.text());
    }
    phone.clock.advance(Duration::from_mins(1));
    let gone = Code {
        url: format!("{}/q/unknown", phone.base),
        ticket: String::new(),
    };
    for code in [code, gone] {
        let answer = phone.press(&code, "follow", OPENID).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", code.url);
        assert!(answer.field("error").contains("WeChat pushes nothing"));
        let page = phone.press_for_page(&code.url, "follow", OPENID).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND);
        assert!(
            page.text().contains("微信不推送任何事件。"),
            "{}",
            page.text()
        );
    }
    assert!(owner.seen().is_empty());
}

#[tokio::test]
async fn the_page_says_what_the_callback_answered() {
    let owner = Owner::spawn(|nth| match nth {
        0 => Reply::Answer(200, "<b>thanks</b>".to_owned()),
        _ => Reply::Raw(""),
    })
    .await;
    let phone = Phone::calling(&owner).await;
    let code = phone.code("poster-7").await;
    let english = format!("{}?lang=en", code.url);
    let page = phone.press_for_page(&english, "follow", OPENID).await;
    assert_eq!(page.status, StatusCode::OK);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self'"), "{policy}");
    for want in [
        "Followed the account",
        "qrscene_poster-7",
        "Delivered",
        "HTTP 200",
        "&#60;b&#62;thanks&#60;/b&#62;",
        "This person follows the account.",
        &format!("name=\"openid\" value=\"{OPENID}\""),
        &format!("?lang=zh&amp;openid={OPENID}"),
    ] {
        assert!(page.text().contains(want), "{want} in {}", page.text());
    }
    let page = phone.press_for_page(&english, "scan", OPENID).await;
    for want in [
        "Scanned again",
        "Not delivered, attempts: 4",
        "the connection broke",
    ] {
        assert!(page.text().contains(want), "{want} in {}", page.text());
    }
    let page = phone.press_for_page(&code.url, "follow", OPENID).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    for want in ["什么也没有发生", "此人已经关注"] {
        assert!(page.text().contains(want), "{want} in {}", page.text());
    }
    // The page is the same person's when it is opened again.
    let again = format!("{}?openid={OPENID}", code.url);
    let page = Answer::to(phone.client.get(again)).await;
    assert!(page.text().contains("此人已关注公众号"), "{}", page.text());
    let somebody_new = Answer::to(phone.client.get(&code.url)).await;
    assert!(somebody_new.text().contains("此人尚未关注公众号"));
}
