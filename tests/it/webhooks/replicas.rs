//! Processes on one database: one of them sends, and another goes on where it ended.

use std::time::Duration;

use crate::support::callback::events;
use crate::support::database::Database;
use crate::support::fleet::{Replica, Upstream};
use crate::support::load::Paced;
use crate::support::pushes::{PushedEvent, TOKEN, signed_query};
use crate::support::receiver::{Answers, Receiver};
use crate::support::{client, eventually};

use super::bench::SECRET;

async fn replica(upstream: &Upstream, database: &Database, receiver: &Receiver) -> Replica {
    let url = receiver.url();
    let settings = [
        ("CALLBACK_TOKEN", TOKEN),
        ("WEBHOOK_URL", &url),
        ("WEBHOOK_SECRET", SECRET),
    ];
    upstream.replica(&database.url, &settings).await
}

/// The events in the order in which they came first.
fn first_deliveries(receiver: &Receiver) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let mut ids = receiver.event_ids();
    ids.retain(|id| seen.insert(id.clone()));
    ids
}

/// Kills the process of which the receiver has a request, which it does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_while_it_sends_is_replaced_and_nothing_is_lost() {
    for database in [Some(Database::sqlite()), Database::postgres().await] {
        let Some(database) = database else { continue };
        let (upstream, receiver) = (Upstream::spawn().await, Receiver::spawn().await);
        let mut killed = replica(&upstream, &database, &receiver).await;
        for round in 0..2 {
            let address = killed.address;
            let client = client();
            let load = Paced::start(100, move |n| {
                let openid = format!("oFollower{round}{n:07}");
                let event = PushedEvent::follow(&openid, "poster", "an-unknown-ticket");
                let url = format!("http://{address}/callback?{}", signed_query(&openid));
                let push = client.post(url).body(event.xml());
                async move {
                    let answer = push.send().await.map_err(|error| error.to_string())?;
                    let answer = answer.error_for_status();
                    answer.map(drop).map_err(|error| error.to_string())
                }
            });
            let before = receiver.count();
            eventually("webhooks come", || receiver.count() > before + 1).await;
            receiver.answer(Answers::Hangs);
            let held = receiver.count();
            eventually("one is under way", || receiver.count() > held).await;
            let other = replica(&upstream, &database, &receiver).await;
            killed.kill().await;
            load.finish().await;
            receiver.answer(Answers::Status(200));
            killed = other;
            let store = database.store().await;
            let stored = events(&store).await.len();
            eventually("the other one sends the rest", || {
                first_deliveries(&receiver).len() >= stored
            })
            .await;
        }
        let stored = events(&database.store().await).await;
        let stored: Vec<_> = stored.into_iter().map(|event| event.id).collect();
        assert_eq!(first_deliveries(&receiver), stored);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_waits_for_the_batch_that_is_under_way() {
    let database = Database::sqlite();
    let (upstream, receiver) = (Upstream::spawn().await, Receiver::spawn().await);
    let one = replica(&upstream, &database, &receiver).await;
    receiver.answer(Answers::Slow(Duration::from_secs(1)));
    let event = PushedEvent::follow("oFollower", "poster", "an-unknown-ticket");
    let url = format!(
        "http://{}/callback?{}",
        one.address,
        signed_query("oFollower")
    );
    let push = one.client.post(url).body(event.xml()).send().await.unwrap();
    assert_eq!(push.status(), 200);
    eventually("it is under way", || receiver.count() == 1).await;
    one.process.signal("TERM");
    let output = one.process.output().await;
    assert_eq!(output.status, 0, "{output:?}");
    let delivered = "SELECT CAST(COUNT(*) AS TEXT) FROM webhook
         WHERE delivered_seq = 1 AND batch_end IS NULL AND held_until = 0 AND delivered_at IS NOT NULL";
    assert_eq!(database.text(delivered).await.as_deref(), Some("1"));
    assert_eq!(receiver.count(), 1);
}
