//! A running service: its webhooks beside its API, its callback and its visitors; and the demo's.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::bench::SECRET;
use crate::support::app::Builder;
use crate::support::callback::{push, with_callback};
use crate::support::database::Database;
use crate::support::demo::Demo;
use crate::support::eventually;
use crate::support::keys;
use crate::support::pushes::{ALICE, BOB, PushedEvent};
use crate::support::receiver::{Answers, Receiver};

fn with_webhook(database: &Database, receiver: &Receiver) -> Builder {
    with_callback(database)
        .set("WEBHOOK_URL", receiver.url())
        .set("WEBHOOK_SECRET", SECRET)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_has_the_events_of_the_api_with_their_names() {
    let (database, receiver) = (Database::sqlite(), Receiver::spawn().await);
    receiver.answer(Answers::Status(500));
    let app = with_webhook(&database, &receiver)
        .set("WEBHOOK_OPENID", "true")
        .spawn()
        .await;
    let named = json!({"scene_id": 7, "label": "Old name", "group": "Shops"});
    let code = app
        .post_as(keys::ADMIN, "/api/codes", named.to_string())
        .await;
    for event in [
        PushedEvent::follow(ALICE, "7", &code.ticket()),
        PushedEvent::scan(BOB, "somewhere", "an-unknown-ticket"),
        PushedEvent::leave(BOB),
    ] {
        assert_eq!(push(&app, &event).await.status, 200);
    }
    eventually("an attempt fails", || receiver.count() > 0).await;
    let renamed = json!({"scene_id": 7, "label": "New name"});
    let again = app
        .post_as(keys::ADMIN, "/api/codes", renamed.to_string())
        .await;
    assert_eq!(again.status, 200, "{again:?}");
    let failed = receiver.count();
    receiver.answer(Answers::Status(200));
    let page = app
        .get_as(keys::STATS_AND_PEOPLE, "/api/scans?cursor=0")
        .await
        .json();
    let cursor = || {
        receiver
            .received()
            .last()
            .map(|last| last.body["data"]["cursor"].clone())
    };
    eventually("all are delivered", || {
        receiver.count() > failed && cursor().as_ref() == Some(&page["cursor"])
    })
    .await;
    let mut want = page["items"].as_array().unwrap().clone();
    let of_the_code = want.iter_mut().find(|event| event["scene_id"] == 7);
    let of_the_code = of_the_code.unwrap().as_object_mut().unwrap();
    of_the_code.insert("label".to_owned(), "New name".into());
    of_the_code.insert("group".to_owned(), "Shops".into());
    let webhooks = receiver.received();
    let got: Vec<Value> = webhooks[failed..]
        .iter()
        .flat_map(|one| one.events().to_vec())
        .collect();
    assert_eq!(got, want);
    let last = webhooks.last().unwrap();
    assert_eq!(last.body["type"], "scans");
    assert_eq!(last.header("content-type"), "application/json");
    assert!(last.header("webhook-signature").starts_with("v1,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_hangs_harms_neither_callbacks_nor_visitors() {
    let (database, receiver) = (Database::sqlite(), Receiver::spawn().await);
    receiver.answer(Answers::Hangs);
    let app = with_webhook(&database, &receiver).spawn().await;
    let scan = PushedEvent::scan(ALICE, "poster", "an-unknown-ticket");
    assert_eq!(push(&app, &scan).await.status, 200);
    eventually("the sender waits for an answer", || receiver.count() == 1).await;
    for n in 0..20 {
        let follow = PushedEvent::follow(&format!("{BOB}{n}"), "poster", "an-unknown-ticket");
        assert_eq!(push(&app, &follow).await.status, 200);
        assert_eq!(app.scene(n + 1).await.status, 200);
    }
    assert_eq!(
        receiver.count(),
        1,
        "all that while one attempt was under way"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_sends_what_is_pressed_on_its_phone() {
    let receiver = Receiver::spawn().await;
    let url = receiver.url();
    let settings = [
        ("WXQR_WEBHOOK_URL", url.as_str()),
        ("WXQR_WEBHOOK_SECRET", SECRET),
    ];
    let demo = Demo::start_with(&settings).await;
    let code = demo.code("scene_id=123").await;
    let phone = code["url"].as_str().unwrap();
    let pressed = demo.client.post(phone).body("do=follow").send().await;
    assert_eq!(pressed.unwrap().status(), StatusCode::OK);
    eventually("the webhook comes", || receiver.count() > 0).await;
    let webhooks = receiver.received();
    let event = &webhooks[0].events()[0];
    assert_eq!(event["event"], "subscribe");
    assert_eq!(event["scene_id"], 123);
    assert!(webhooks[0].header("webhook-signature").starts_with("v1,"));
}
