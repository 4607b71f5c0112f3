//! What a push says, and what it is proven by, is in no log and no metric.

use crate::support::answer::Answer;
use crate::support::database::Database;
use crate::support::fleet::Upstream;
use crate::support::keys;
use crate::support::process::Process;
use crate::support::pushes::{AES_KEY, PushedEvent, TOKEN, sealed, signed_query};
use crate::support::{client, closed_port};

const CANARY: &str = "oCANARYfollowerCANARY0000001";

/// A scene that strangers chose, and a message's text.
const SCENE: &str = "CANARYscene";

async fn post(process_url: &str, query: &str, body: String) -> Answer {
    let url = format!("{process_url}/callback?{query}");
    Answer::to(client().post(url).body(body)).await
}

/// Pushes of every sort, good and bad.
async fn push_everything(url: &str) {
    let ticket = "CANARYticketCANARYticketCANARYticket";
    for pushed_event in [
        PushedEvent::follow(CANARY, SCENE, ticket),
        PushedEvent::scan(CANARY, SCENE, ticket),
        PushedEvent::leave(CANARY),
    ] {
        let (query, body) = sealed(CANARY, &pushed_event.xml());
        assert_eq!(post(url, &query, body.clone()).await.status, 200);
        assert_eq!(
            post(url, &query.replace("nonce=1", "nonce=2"), body)
                .await
                .status,
            403
        );
        assert_eq!(
            post(url, &signed_query(CANARY), pushed_event.xml())
                .await
                .status,
            403
        );
    }
    for message in [
        format!(
            "<xml><FromUserName>{CANARY}</FromUserName><MsgType>text</MsgType><Content>CANARY</Content></xml>"
        ),
        format!(
            "<xml><FromUserName>{CANARY}</FromUserName><MsgType>event</MsgType><Event>SCAN</Event></xml>"
        ),
        format!("{CANARY}{SCENE}"),
    ] {
        let (query, body) = sealed(CANARY, &message);
        assert_eq!(post(url, &query, body).await.status, 200, "{message}");
    }
    let echo = format!("{url}/callback?{}&echostr=CANARYecho", signed_query(CANARY));
    assert_eq!(Answer::to(client().get(echo)).await.text(), "CANARYecho");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_push_is_in_a_log_or_a_metric() {
    let upstream = Upstream::spawn().await;
    let database = Database::sqlite();
    let gone = format!("http://{}/CANARYrelay?k=CANARYrelay", closed_port());
    let more = [
        ("CALLBACK_TOKEN", TOKEN),
        ("ENCODING_AES_KEY", AES_KEY),
        ("RELAY_URL", &gone),
        ("METRICS_LISTEN", "127.0.0.1:0"),
        ("LOG", "trace"),
    ];
    let process: Process = upstream.process(&database.url, &more);
    let addresses = process.addresses().await;
    let url = format!("http://{}", addresses.http);
    push_everything(&url).await;
    // While the database refuses, its errors are logged too.
    database.run("ALTER TABLE event RENAME TO hidden").await;
    let (query, body) = sealed(CANARY, &PushedEvent::follow(CANARY, SCENE, "t").xml());
    assert_eq!(post(&url, &query, body).await.status, 503);
    let scans = client()
        .get(format!("{url}/api/scans"))
        .bearer_auth(keys::ADMIN);
    Answer::to(scans).await;

    let metrics = format!("http://{}/metrics", addresses.metrics.unwrap());
    let metrics = Answer::to(client().get(metrics)).await.text().to_owned();
    process.signal("TERM");
    let output = process.output().await;
    assert!(metrics.contains("wxqr_scans_total"), "{metrics}");
    assert!(output.stderr.contains("/callback"), "the log was on");
    for said in [&output.stdout, &output.stderr, &metrics] {
        for secret in ["CANARY", TOKEN, AES_KEY, &AES_KEY[..20]] {
            let line = said.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{}", line.unwrap_or_default());
        }
    }
}
