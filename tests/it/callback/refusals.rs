//! Pushes of a console and a service that do not agree: what the operator learns of it, and
//! strangers do not.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};
use wxqr::clock::{Clock as _, SystemClock};

use crate::support::answer::Answer;
use crate::support::client;
use crate::support::database::Database;
use crate::support::fleet::{Replica, Upstream};
use crate::support::pushes::{AES_KEY, ALICE, PushedEvent, TOKEN, sealed, signed_by, signed_query};

const OTHER_KEY: &str = "bmV3S2V5T2ZUaGVUZXN0c25ld0tleU9mVGhlVGVzdHM";

const SAFE_MODE: [(&str, &str); 2] = [("CALLBACK_TOKEN", TOKEN), ("ENCODING_AES_KEY", AES_KEY)];

async fn post(service: &Replica, query: &str, body: &str) -> Answer {
    let url = format!("http://{}/callback?{query}", service.address);
    Answer::to(client().post(url).body(body.to_owned())).await
}

async fn callback(service: &Replica) -> Value {
    service.keyed("/api/account").await.json()["callback"].take()
}

/// The log lines about what was not counted.
fn warnings(log: &str) -> Vec<Value> {
    log.lines()
        .filter(|line| line.contains("a request to the callback was rejected"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn each_disagreement_is_named_with_what_to_change() {
    let xml = PushedEvent::leave(ALICE).xml();
    let (plain, (query, body)) = (signed_query(ALICE), sealed(ALICE, &xml));
    let ago = |minutes| SystemClock.now() - SignedDuration::from_mins(minutes);
    let foreign = signed_by("anotherToken", ALICE, SystemClock.now());
    let slow = signed_by(TOKEN, ALICE, ago(42));
    let fast = signed_by(TOKEN, ALICE, ago(-42));
    let upstream = Upstream::spawn().await;
    for (settings, (query, body), code, reason, action) in [
        (
            &SAFE_MODE[..],
            (&plain, &xml),
            "not_encrypted",
            "although WXQR_ENCODING_AES_KEY is set",
            "safe mode",
        ),
        (
            &SAFE_MODE[..1],
            (&query, &body),
            "no_key",
            "WXQR_ENCODING_AES_KEY is not set",
            "set WXQR_ENCODING_AES_KEY",
        ),
        (
            &[SAFE_MODE[0], ("ENCODING_AES_KEY", OTHER_KEY)],
            (&query, &body),
            "other_key",
            "cannot be decrypted",
            "set WXQR_ENCODING_AES_KEY to",
        ),
        (
            &[SAFE_MODE[0], SAFE_MODE[1], ("APP_ID", "wxanother")],
            (&query, &body),
            "other_account",
            "AppID inside",
            "set WXQR_APP_ID",
        ),
        (
            &SAFE_MODE[..1],
            (&slow, &xml),
            "clock",
            "clock is ahead by 4",
            "NTP",
        ),
        (
            &SAFE_MODE[..1],
            (&fast, &xml),
            "clock",
            "clock is behind by 4",
            "NTP",
        ),
        (
            &SAFE_MODE,
            (&query.replace("msg_signature", "x"), &body),
            "altered",
            "signed with the Token",
            "proxy",
        ),
        (
            &SAFE_MODE[..1],
            (&foreign, &xml),
            "other_token",
            "WeChat did not send it, or the Token",
            "WXQR_CALLBACK_TOKEN",
        ),
        (
            &SAFE_MODE,
            (&String::new(), &body),
            "unsigned",
            "drops or changes the query",
            "proxy",
        ),
    ] {
        let status = if code == "no_key" { 200 } else { 403 };
        let proven = !["other_token", "unsigned"].contains(&code);
        let (last, log) = refused_three_times(&upstream, settings, query, body, status).await;
        assert_eq!(
            (&last["code"], &last["proven"]),
            (&code.into(), &proven.into()),
            "{last}"
        );
        assert!(last["reason"].as_str().unwrap().contains(reason), "{last}");
        assert!(last["action"].as_str().unwrap().contains(action), "{last}");
        assert!(last["at"].as_str().unwrap().ends_with('Z'), "{last}");
        let lines = warnings(&log);
        assert_eq!(lines.len(), 1, "one line a minute: {log}");
        assert_eq!(lines[0]["level"], "WARN", "{lines:?}");
        for field in ["code", "reason", "action", "proven"] {
            assert_eq!(lines[0][field], last[field], "{lines:?}");
        }
        for secret in [TOKEN, AES_KEY, OTHER_KEY, ALICE] {
            assert!(!log.contains(secret), "{log}");
        }
    }
}

#[tokio::test]
async fn a_signed_push_without_a_readable_body_is_named_though_it_is_acknowledged() {
    let upstream = Upstream::spawn().await;
    let query = signed_query(ALICE);
    for body in [
        "",
        "scene=print1",
        "<xml><MsgType>event</MsgType><Event>SCAN</Event></xml>",
    ] {
        // Not acknowledged, it would come again and again.
        let (last, log) = refused_three_times(&upstream, &SAFE_MODE[..1], &query, body, 200).await;
        assert_eq!(
            (&last["code"], &last["proven"]),
            (&"unreadable".into(), &true.into()),
            "{body}: {last}"
        );
        let reason = last["reason"].as_str().unwrap();
        assert!(reason.contains("body is empty or cannot be read"), "{last}");
        assert_eq!(warnings(&log).len(), 1, "{log}");
    }
}

/// Sends the same three times to a new service. What the account says of it, and the log.
async fn refused_three_times(
    upstream: &Upstream,
    settings: &[(&str, &str)],
    query: &str,
    body: &str,
    status: u16,
) -> (Value, String) {
    let service = upstream.replica("sqlite::memory:", settings).await;
    assert_eq!(
        callback(&service).await,
        json!({"accepted": 0, "refused": 0, "refused_since_accepted": 0})
    );
    for _ in 0..3 {
        assert_eq!(post(&service, query, body).await.status, status);
    }
    let mut got = callback(&service).await;
    let last = got["last_refusal"].take();
    assert_eq!((&got["accepted"], &got["refused"]), (&0.into(), &3.into()));
    service.process.signal("TERM");
    (last, service.process.output().await.stderr)
}

#[tokio::test]
async fn strangers_neither_flood_the_log_nor_hide_what_is_wrong() {
    let upstream = Upstream::spawn().await;
    let service = upstream.replica("sqlite::memory:", &SAFE_MODE).await;
    let xml = PushedEvent::leave(ALICE).xml();
    post(&service, &signed_query(ALICE), &xml).await;
    let foreign = signed_by("anotherToken", ALICE, SystemClock.now());
    let mut answers = Vec::new();
    for _ in 0..50 {
        for (query, body) in [(foreign.as_str(), xml.as_str()), ("", ""), ("a=b", "<xml>")] {
            answers.push(post(&service, query, body).await.problem());
        }
    }
    assert!(
        answers
            .iter()
            .all(|it| *it == (403, "not_from_wechat".to_owned()))
    );
    let got = callback(&service).await;
    assert_eq!(got["refused"], 151);
    assert_eq!(got["last_refusal"]["code"], "not_encrypted");
    // An accepted push shows that what was wrong is mended.
    let (query, body) = sealed(ALICE, &xml);
    assert_eq!(post(&service, &query, &body).await.status, 200);
    post(&service, &foreign, &xml).await;
    let got = callback(&service).await;
    assert_eq!(got["accepted"], 1);
    assert!(
        got["last_push_at"].as_str().unwrap().ends_with('Z'),
        "{got}"
    );
    assert_eq!(got["last_refusal"]["code"], "other_token");
    service.process.signal("TERM");
    let log = service.process.output().await.stderr;
    let warnings = warnings(&log);
    let codes: BTreeSet<_> = warnings
        .iter()
        .filter_map(|line| line["code"].as_str())
        .collect();
    let want = BTreeSet::from(["not_encrypted", "other_token", "unsigned"]);
    assert_eq!(codes, want, "{log}");
    // A second line of the two that go on, should the minute pass.
    assert!(warnings.len() <= 5, "{log}");
}

#[tokio::test]
async fn a_push_that_is_not_stored_is_not_accepted() {
    let upstream = Upstream::spawn().await;
    let database = Database::sqlite();
    let service = upstream.replica(&database.url, &SAFE_MODE[..1]).await;
    let xml = PushedEvent::leave(ALICE).xml();
    database.run("ALTER TABLE event RENAME TO hidden").await;
    let refused = post(&service, &signed_query(ALICE), &xml).await;
    assert_eq!(refused.problem(), (503, "store_unavailable".to_owned()));
    let none = json!({"accepted": 0, "refused": 0, "refused_since_accepted": 0});
    assert_eq!(callback(&service).await, none);
    // It comes again.
    database.run("ALTER TABLE hidden RENAME TO event").await;
    assert_eq!(post(&service, &signed_query(ALICE), &xml).await.status, 200);
    let got = callback(&service).await;
    assert_eq!((&got["accepted"], &got["refused"]), (&1.into(), &0.into()));
}

#[tokio::test]
async fn wechats_question_is_diagnosed_and_is_no_push() {
    let upstream = Upstream::spawn().await;
    let service = upstream.replica("sqlite::memory:", &SAFE_MODE).await;
    let foreign = signed_by("anotherToken", ALICE, SystemClock.now());
    for (query, status) in [(signed_query(ALICE), 200), (foreign, 403)] {
        let answer = service.get(&format!("/callback?{query}&echostr=1")).await;
        assert_eq!(answer.status, status);
    }
    let got = callback(&service).await;
    assert_eq!(
        (&got["accepted"], &got["refused"]),
        (&0.into(), &1.into()),
        "{got}"
    );
    assert_eq!(got["last_refusal"]["code"], "other_token");
}

#[tokio::test]
async fn without_a_callback_the_account_has_none() {
    let upstream = Upstream::spawn().await;
    let service = upstream.replica("sqlite::memory:", &[]).await;
    assert_eq!(callback(&service).await, Value::Null);
}
