//! The URL of a receiver, the secret of its webhooks and what it answers are in no log, no answer
//! and no metric.

use crate::support::answer::Answer;
use crate::support::closed_port;
use crate::support::database::Database;
use crate::support::eventually_async;
use crate::support::fleet::Upstream;
use crate::support::owner::{Owner, Reply};
use crate::support::pushes::{ALICE, PushedEvent, TOKEN, signed_query};

const SECRET: &str = "whsec_CANARYCANARYCANARYCANARYCANARYCANARY";

/// A URL with a secret in every part that may have one.
fn secret_url(address: &str) -> String {
    format!("http://CANARYuser:CANARYpass@{address}/CANARYpath?token=CANARYtoken")
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_receiver_but_its_host_is_shown() {
    let answers = |nth| match nth {
        0 => Reply::Answer(500, "CANARYbody".to_owned()),
        1 => Reply::Raw("CANARYgarbage"),
        _ => Reply::Answer(410, "CANARYbody".to_owned()),
    };
    let owner = Owner::spawn(answers).await;
    let there = owner.url.trim_start_matches("http://");
    let there = there.split('/').next().unwrap().to_owned();
    for address in [
        there,
        closed_port().to_string(),
        "nowhere.invalid".to_owned(),
    ] {
        let upstream = Upstream::spawn().await;
        let database = Database::sqlite();
        let url = secret_url(&address);
        let more = [
            ("CALLBACK_TOKEN", TOKEN),
            ("WEBHOOK_URL", &url),
            ("WEBHOOK_SECRET", SECRET),
            ("METRICS_LISTEN", "127.0.0.1:0"),
            ("LOG", "trace"),
        ];
        let replica = upstream.replica(&database.url, &more).await;
        let scan = PushedEvent::scan(ALICE, "poster", "an-unknown-ticket");
        let push = replica.client.post(format!(
            "http://{}/callback?{}",
            replica.address,
            signed_query(ALICE)
        ));
        assert_eq!(Answer::to(push.body(scan.xml())).await.status, 200);
        eventually_async("several attempts fail", || async {
            let account = replica.keyed("/api/account").await.json();
            let webhook = &account["webhook"];
            webhook["failures"].as_u64() > Some(2) || webhook["status"] == "stopped"
        })
        .await;
        let account = replica.keyed("/api/account").await;
        let metrics = replica.process.addresses().await.metrics.unwrap();
        let metrics = replica.client.get(format!("http://{metrics}/metrics"));
        let metrics = Answer::to(metrics).await;
        assert!(metrics.text().contains("wxqr_webhook_attempts_total"));
        let config = upstream.run("config", &database.url, &more).output().await;
        let doctor = upstream.run("doctor", &database.url, &more).output().await;
        assert!(doctor.stdout.contains("FAIL  webhook: "), "{doctor:?}");
        assert!(config.stdout.contains(&address), "{config:?}");
        let log = [replica.process.stdout(), replica.process.stderr()].concat();
        assert!(log.contains("were not delivered"), "{log}");
        let said = [
            log,
            account.text().to_owned(),
            metrics.text().to_owned(),
            format!("{config:?}{doctor:?}"),
        ];
        for said in said {
            let line = said.lines().find(|line| line.contains("CANARY"));
            assert!(line.is_none(), "{address}: {line:?}");
        }
    }
}
