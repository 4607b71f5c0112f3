//! What is pushed, and how often.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sha1::{Digest as _, Sha1};
use tokio::sync::Notify;
use wechat_sandbox::{
    DataFormat, DeliveryError, EncodingAesKey, Event, EventKind, FollowSource, Mode, NoCallback,
    ScannedCode, VerificationError,
};

use super::{APP_ID, KEY, OPENID, Phone, TOKEN, callback, event, opened_by_all};
use crate::support::answer::Answer;
use crate::support::owner::{Owner, Reply};
use crate::support::{TIMEOUT, closed_port, eventually};

/// Short enough to be waited for.
const SHORT_DEADLINE: Duration = Duration::from_millis(500);

#[tokio::test]
async fn another_implementation_opens_every_mode_and_format() {
    let owner = Owner::spawn(|_| Reply::success()).await;
    let phone = Phone::spawn().await;
    let key = || KEY.parse::<EncodingAesKey>().unwrap();
    // Of many lengths, so that there is every pad.
    let scenes: Vec<_> = (0..33)
        .map(|length| format!("展会 A+1 <&> ]]> 🎪{}", "x".repeat(length)))
        .collect();
    let mut wanted = Vec::new();
    for (mode, mode_name) in [
        (Mode::Plain, "plain"),
        (Mode::Compatible(key()), "compatible"),
        (Mode::Safe(key()), "safe"),
    ] {
        for (format, format_name) in [(DataFormat::Xml, "xml"), (DataFormat::Json, "json")] {
            phone.set_callback(&owner, mode.clone(), format);
            for scene in &scenes {
                let code = ScannedCode {
                    scene: scene.clone(),
                    ticket: "gQH47joAAA==".to_owned(),
                };
                let scan = event(EventKind::Scan(code));
                let delivery = phone.sandbox.push(APP_ID, &scan).await.unwrap();
                assert_eq!(delivery.answer().unwrap().body, b"success");
                wanted.push((mode_name, format_name, scene));
            }
        }
    }
    let seen = owner.seen();
    assert_eq!(seen.len(), wanted.len());
    for (push, (_, format, _)) in seen.iter().zip(&wanted) {
        assert_eq!(push.method, "POST");
        assert_eq!(push.path, "/wechat");
        assert!(push.query.starts_with("id=1&signature="), "{push:?}");
        let want = if *format == "xml" {
            "text/xml"
        } else {
            "application/json"
        };
        assert_eq!(push.content_type, want);
    }
    let pushes: Vec<_> = seen
        .into_iter()
        .map(|push| (push.query, push.body))
        .collect();
    let Some(opened) = opened_by_all(&pushes) else {
        return;
    };
    assert_eq!(opened.len(), wanted.len());
    for (got, (mode, format, scene)) in opened.iter().zip(wanted) {
        assert_eq!(
            (&got["mode"], &got["format"]),
            (&json!(mode), &json!(format))
        );
        let fields = &got["fields"];
        assert_eq!(fields["EventKey"], **scene, "{mode}, {format}");
        assert_eq!(fields["Event"], "SCAN");
        assert_eq!(fields["MsgType"], "event");
        assert_eq!(fields["CreateTime"], "1795320000");
        assert_eq!(fields["FromUserName"], OPENID);
        assert_eq!(fields["Ticket"], "gQH47joAAA==");
        assert!(fields["ToUserName"].as_str().unwrap().starts_with("gh_"));
    }
}

#[tokio::test]
async fn every_event_is_pushed_as_wechat_words_it() {
    let owner = Owner::spawn(|_| Reply::success()).await;
    let phone = Phone::spawn().await;
    phone.set_callback(&owner, Mode::Safe(KEY.parse().unwrap()), DataFormat::Xml);
    let code = ScannedCode {
        scene: "123".to_owned(),
        ticket: "gQH47joAAA==".to_owned(),
    };
    let payment = FollowSource::Payment {
        trade_no: "4200".to_owned(),
    };
    let cases = [
        (
            EventKind::Subscribe(FollowSource::Code(code.clone())),
            ("subscribe", "qrscene_123", true),
        ),
        (EventKind::Scan(code), ("SCAN", "123", true)),
        (EventKind::Unsubscribe, ("unsubscribe", "", false)),
        (
            EventKind::Subscribe(FollowSource::Elsewhere),
            ("subscribe", "", false),
        ),
        (
            EventKind::Subscribe(payment),
            ("subscribe", "last_trade_no_4200", false),
        ),
        (
            EventKind::Other {
                event: "CLICK".to_owned(),
                key: "menu".to_owned(),
            },
            ("CLICK", "menu", false),
        ),
    ];
    let mut late = event(EventKind::Unsubscribe);
    late.created_at = "2026-11-21T04:00:00Z".parse().unwrap();
    let composed = |event: &Event| {
        let push = phone.sandbox.compose(APP_ID, event).unwrap();
        assert!(push.url.as_str().ends_with(&push.query), "{push:?}");
        assert_eq!(push.content_type, "text/xml");
        (push.query, push.body)
    };
    let mut pushes: Vec<_> = cases
        .iter()
        .map(|(kind, _)| composed(&event(kind.clone())))
        .collect();
    pushes.push(composed(&late));
    assert!(owner.seen().is_empty(), "composed, not sent");
    let Some(opened) = opened_by_all(&pushes) else {
        return;
    };
    for (got, (_, (event, key, has_ticket))) in opened.iter().zip(&cases) {
        let fields = &got["fields"];
        assert_eq!(fields["Event"], *event);
        assert_eq!(fields["EventKey"], *key);
        assert_eq!(fields.get("Ticket").is_some(), *has_ticket, "{fields}");
    }
    let fields = &opened.last().unwrap()["fields"];
    assert_eq!(fields["CreateTime"], "1795233600", "a day late");
}

/// Signs as WeChat's documents say.
fn signature(mut parts: Vec<&str>) -> String {
    parts.sort_unstable();
    let digest = Sha1::digest(parts.concat());
    let digits: Vec<_> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[tokio::test]
async fn a_callback_is_verified_as_the_console_does_it() {
    let owner = Owner::spawn(|nth| match nth {
        0 => Reply::Echo(""),
        1 => Reply::Echo("\n"),
        2 => Reply::Answer(403, String::new()),
        _ => Reply::Raw(""),
    })
    .await;
    let phone = Phone::spawn().await;
    let verify = || phone.sandbox.verify_callback(APP_ID);
    assert_eq!(verify().await, Err(NoCallback.into()));
    phone.set_callback(&owner, Mode::Safe(KEY.parse().unwrap()), DataFormat::Xml);
    assert_eq!(verify().await, Ok(()));
    assert_eq!(
        verify().await,
        Err(VerificationError::Echo),
        "with a line break"
    );
    assert_eq!(verify().await, Err(VerificationError::Status(403)));
    let broken = VerificationError::Unanswered(DeliveryError::BrokenOff);
    assert_eq!(verify().await, Err(broken));
    let asked = &owner.seen()[0];
    assert_eq!((&*asked.method, &*asked.body), ("GET", ""));
    let stamp = ["timestamp", "nonce"].map(|name| asked.parameter(name).unwrap());
    assert_eq!(stamp[0], "1795320000");
    let want = signature(vec![TOKEN, stamp[0], stamp[1]]);
    assert_eq!(asked.parameter("signature"), Some(&*want));
    assert_eq!(asked.parameter("msg_signature"), None);
    let echoes: Vec<_> = owner
        .seen()
        .iter()
        .map(|asked| asked.parameter("echostr").unwrap().to_owned())
        .collect();
    assert_ne!(echoes[0], echoes[1]);

    let control = phone
        .client
        .post(format!("{}/sandbox/verify-callback", phone.base));
    assert_eq!(
        Answer::to(control).await.json(),
        json!([{"appid": APP_ID, "verified": false, "error": "the connection broke"}])
    );
}

#[tokio::test]
async fn a_callback_that_hangs_is_cut_and_asked_four_times() {
    let owner = Owner::spawn(|_| Reply::Hang).await;
    let phone = Phone::calling(&owner).await;
    phone.sandbox.set_push_deadline(SHORT_DEADLINE);
    let delivery = tokio::time::timeout(TIMEOUT, phone.push_unsubscribe()).await;
    let delivery = delivery.expect("a deadline ends each attempt");
    assert_eq!(delivery.attempts, vec![Err(DeliveryError::Late); 4]);
    // On a machine that stood still for the deadline, an attempt may end before it has begun.
    let came = owner.seen().len();
    assert!((1..=4).contains(&came), "{came}");
    eventually("whatever came is cut", || owner.left() == came).await;
}

#[tokio::test]
async fn whatever_is_no_answer_is_asked_four_times() {
    let five_hundred = Reply::Answer(500, "no".to_owned());
    let moved = Reply::Answer(302, String::new());
    let half = Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsuc");
    let text = Reply::Raw("success");
    for (what, reply, want) in [
        ("a status", five_hundred, Ok(500)),
        ("a redirect", moved, Ok(302)),
        ("a reset", Reply::Raw(""), Err(DeliveryError::BrokenOff)),
        ("half a body", half, Err(DeliveryError::BrokenOff)),
        ("no HTTP", text, Err(DeliveryError::BrokenOff)),
        ("too much", Reply::Endless, Err(DeliveryError::TooLong)),
    ] {
        let owner = Owner::spawn(move |_| reply.clone()).await;
        let phone = Phone::calling(&owner).await;
        let delivery = phone.push_unsubscribe().await;
        assert!(!delivery.is_acknowledged(), "{what}: {delivery:?}");
        let got: Vec<_> = delivery
            .attempts
            .into_iter()
            .map(|attempt| attempt.map(|answer| answer.status))
            .collect();
        assert_eq!(got, [want; 4], "{what}");
        assert_eq!(owner.seen().len(), 4, "{what}");
    }
    let phone = Phone::spawn().await;
    let nobody = callback(
        &format!("http://{}/", closed_port()),
        Mode::Plain,
        DataFormat::Xml,
    );
    phone.sandbox.set_callback(APP_ID, Some(nobody));
    let attempts = phone.push_unsubscribe().await.attempts;
    assert_eq!(attempts, vec![Err(DeliveryError::NoConnection); 4]);
}

#[tokio::test]
async fn an_answer_ends_the_repeats_whatever_it_says() {
    for body in ["success", "", "<xml><Content>welcome</Content></xml>", "ok"] {
        let owner = Owner::spawn(move |nth| match nth {
            0 => Reply::Answer(503, String::new()),
            _ => Reply::Answer(200, body.to_owned()),
        })
        .await;
        let phone = Phone::calling(&owner).await;
        let delivery = phone.push_unsubscribe().await;
        assert_eq!(delivery.answer().unwrap().text(), body);
        assert_eq!(delivery.attempts.len(), 2);
        assert_eq!(owner.seen().len(), 2);
    }
}

#[tokio::test]
async fn repeats_come_as_they_were_and_signed_anew() {
    let owner = Owner::spawn(|_| Reply::Answer(500, String::new())).await;
    let phone = Phone::spawn().await;
    phone.set_callback(&owner, Mode::Safe(KEY.parse().unwrap()), DataFormat::Xml);
    phone.push_unsubscribe().await;
    let seen = owner.seen();
    assert_eq!(seen[0], seen[1], "byte for byte");
    for (one, other) in [(1, 2), (2, 3), (1, 3)] {
        assert_ne!(seen[one].query, seen[other].query);
        assert_ne!(seen[one].body, seen[other].body);
    }
    let pushes: Vec<_> = seen
        .into_iter()
        .map(|push| (push.query, push.body))
        .collect();
    if let Some(opened) = opened_by_all(&pushes) {
        assert!(opened.iter().all(|push| *push == opened[0]), "{opened:#?}");
    }
}

#[tokio::test]
async fn who_hangs_up_does_not_stop_the_repeats() {
    let go = Arc::new(Notify::new());
    let held = Arc::clone(&go);
    let owner = Owner::spawn(move |nth| match nth {
        0 => Reply::Held(Arc::clone(&held)),
        1 | 2 => Reply::Answer(500, String::new()),
        _ => Reply::success(),
    })
    .await;
    let phone = Phone::calling(&owner).await;
    let pushing = tokio::spawn({
        let sandbox = phone.sandbox.clone();
        async move {
            let unsubscribe = event(EventKind::Unsubscribe);
            sandbox.push(APP_ID, &unsubscribe).await
        }
    });
    eventually("it has begun", || !owner.seen().is_empty()).await;
    pushing.abort();
    assert!(pushing.await.unwrap_err().is_cancelled());
    go.notify_one();
    eventually("it goes on", || owner.seen().len() == 4).await;
}
