//! WeChat takes every call and answers none.

use std::time::Duration;

use reqwest::{Client, StatusCode};
use wechat_sandbox::{FaultKind, Target};

use crate::support::TIMEOUT;
use crate::support::answer::Answer;
use crate::support::database::Database;
use crate::support::figures::{Figures, grouped, sized};
use crate::support::fleet::{Replica, Upstream};
use crate::support::load::Paced;

const KNOWN_SCENES: usize = 50;

const MIB: usize = 1024 * 1024;

/// What mints that wait may take: 4096 of them, of some kilobytes each, and as many visitors.
const MAX_GROWTH: usize = 96 * MIB;

/// What is still flat: a tenth of what may be taken.
const FLAT: usize = MAX_GROWTH / 10;

fn visitors_of_known_codes(replica: &Replica, per_second: u32) -> Paced {
    let (client, address) = (replica.client.clone(), replica.address);
    Paced::start(per_second, move |n| {
        let format = ["json", "html", "png", "svg"][n % 4];
        let url = format!(
            "http://{address}/qrcode.{format}?scene_id={}",
            n / 4 % KNOWN_SCENES + 1
        );
        expect(client.clone(), url, &[StatusCode::OK])
    })
}

/// Their codes cannot be created now, and the answer says so.
fn visitors_of_new_codes(replica: &Replica, per_second: u32) -> Paced {
    let (client, address) = (replica.client.clone(), replica.address);
    Paced::start(per_second, move |n| {
        let url = format!("http://{address}/qrcode.json?scene_str=new-{n}");
        expect(
            client.clone(),
            url,
            &[StatusCode::GATEWAY_TIMEOUT, StatusCode::SERVICE_UNAVAILABLE],
        )
    })
}

async fn expect(
    client: Client,
    url: String,
    statuses: &'static [StatusCode],
) -> Result<(), String> {
    let answer = Answer::to_willing(client.get(&url))
        .await
        .map_err(|error| error.to_string())?;
    if statuses.contains(&answer.status) {
        Ok(())
    } else {
        Err(format!("{url}: {answer:?}"))
    }
}

/// The most memory that the process has within a time, looked at ten times a second.
async fn most_memory(replica: &Replica, within: Duration) -> usize {
    let end = tokio::time::Instant::now() + within;
    let mut most = 0;
    while tokio::time::Instant::now() < end {
        most = most.max(replica.process.memory().unwrap_or(0));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    most
}

/// Waits for one; whoever reads of a failure wants to know what was answered instead.
async fn new_codes_are_made_again(replica: &Replica) {
    let end = tokio::time::Instant::now() + TIMEOUT;
    loop {
        let answer = replica.get("/qrcode.json?scene_str=afterwards").await;
        if answer.status == StatusCode::OK {
            return;
        }
        let log = replica.process.stderr();
        let tail: Vec<_> = log.lines().rev().take(20).collect();
        assert!(tokio::time::Instant::now() < end, "{answer:?}\n{tail:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_wechat_hangs_known_codes_are_served_as_ever() {
    let (seconds, known, new) = sized((3, 100, 20), (60, 300, 50));
    let database = Database::memory();
    let upstream = Upstream::spawn().await;
    let replica = upstream.replica(&database.url, &[]).await;
    for scene in 1..=KNOWN_SCENES {
        for format in ["json", "png", "svg"] {
            let answer = replica
                .keyed(&format!("/qrcode.{format}?scene_id={scene}"))
                .await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        }
    }
    upstream.fail(Target::Any, FaultKind::Hang);
    let before = replica.process.memory();
    let hang = Duration::from_secs(seconds);
    let (of_known, of_new) = (
        visitors_of_known_codes(&replica, known),
        visitors_of_new_codes(&replica, new),
    );
    // Mints end half a minute after they began, so that in full size the second half is as it would
    // go on for ever.
    let at_first = most_memory(&replica, hang / 2).await;
    let later = most_memory(&replica, hang / 2).await;
    let (of_known, of_new) = (of_known.finish().await, of_new.finish().await);
    assert!(of_known.failures.is_empty(), "{}", of_known.failures[0]);
    assert!(of_new.failures.is_empty(), "{}", of_new.failures[0]);

    upstream.heal();
    let healed = tokio::time::Instant::now();
    new_codes_are_made_again(&replica).await;
    let back = healed.elapsed();

    let mut figures = Figures::of(format!(
        "WeChat answers nothing for {seconds} s, while {known} visitors a second ask for known codes and {new} for new ones"
    ));
    figures.exactly(
        &format!(
            "of {} visitors of known codes, turned away",
            grouped(of_known.asked())
        ),
        0,
        of_known.failures.len(),
    );
    figures.within(
        "what they waited, p99",
        Duration::from_millis(20),
        of_known.percentile(99),
    );
    figures.report(
        "visitors of new codes, all answered 504 or 503",
        grouped(of_new.asked()),
    );
    if let Some(before) = before {
        let [at_first, later] = [at_first, later].map(|most| most.saturating_sub(before));
        assert!(later < MAX_GROWTH, "grew by {} MiB", later / MIB);
        figures.report(
            "memory that the waiting ones took in the first half",
            format!("{} MiB", at_first / MIB),
        );
        let further = later.saturating_sub(at_first);
        let limit = format!("under {} MiB", FLAT / MIB);
        figures.promise(
            "more than that in the second half",
            limit,
            format!("{} MiB", further / MIB),
            further < FLAT,
        );
    }
    figures.report(
        "until new codes were made again, once WeChat answered",
        format!("{:.1} s", back.as_secs_f64()),
    );
}
