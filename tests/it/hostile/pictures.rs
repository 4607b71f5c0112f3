//! Strangers have the largest pictures drawn, each in another colour, so that none was drawn
//! before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use reqwest::{Client, StatusCode};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::answer::Answer;
use crate::support::database::Database;
use crate::support::eventually_async;
use crate::support::figures::{Figures, grouped, millis, sized};
use crate::support::fleet::{Replica, Upstream};
use crate::support::load::{Met, Paced};

/// What the service keeps of pictures at most (`pictures::BUDGET`).
const KEPT: usize = 64 * MIB;

/// What that costs besides: room between the pictures, and what is being drawn and sent.
const BESIDES: usize = 64 * MIB;

const MIB: usize = 1024 * 1024;

/// How many strangers ask at once.
fn abreast() -> usize {
    sized(4, 32)
}

/// A dark colour of its own for each number.
fn color(n: usize) -> String {
    /// Shades of each of the three lights: all of them are dark enough for a white ground.
    const SHADES: usize = 96;
    let light = |power: u32| n / SHADES.pow(power) % SHADES;
    format!("{:02x}{:02x}{:02x}", light(2), light(1), light(0))
}

fn large_picture(n: usize) -> String {
    format!("/qrcode.png?scene_id=1&size=2048&color={}", color(n))
}

/// Requests for known codes: every representation in turn.
fn others(replica: &Replica) -> Paced {
    let (client, address) = (replica.client.clone(), replica.address);
    Paced::start(200, move |n| {
        let path = ["json", "html", "png", "svg"][n % 4];
        let url = format!("http://{address}/qrcode.{path}?scene_id={}", n / 4 % 10 + 1);
        expect(client.clone(), url, None)
    })
}

/// Requests for an ordinary picture that was not drawn yet. On a busy machine it may not be
/// drawn in time.
fn newcomers(replica: &Replica) -> Paced {
    let (client, address) = (replica.client.clone(), replica.address);
    Paced::start(20, move |n| {
        let color = color(n);
        let url = format!("http://{address}/qrcode.png?scene_id=2&color={color}");
        let in_vain = sized(Some(StatusCode::SERVICE_UNAVAILABLE), None);
        expect(client.clone(), url, in_vain)
    })
}

async fn expect(client: Client, url: String, or: Option<StatusCode>) -> Result<(), String> {
    let answer = Answer::to_willing(client.get(&url))
        .await
        .map_err(|error| error.to_string())?;
    if answer.status == StatusCode::OK || Some(answer.status) == or {
        Ok(())
    } else {
        Err(format!("{url}: {answer:?}"))
    }
}

/// Requests so many of the largest pictures; returns the most memory that the process had
/// meanwhile.
async fn flood(replica: &Replica, pictures: usize) -> usize {
    let (next, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let strangers = (0..abreast()).map(|_| async {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            if n >= pictures {
                return;
            }
            let answer = replica.get(&large_picture(n)).await;
            assert!(
                answer.status == StatusCode::OK || answer.problem().0 == 503,
                "{answer:?}"
            );
            most.fetch_max(replica.process.memory().unwrap_or(0), Ordering::Relaxed);
        }
    });
    join_all(strangers).await;
    most.into_inner()
}

/// The same by clients that disconnect at once: no request waits for their pictures.
async fn hasty_flood(replica: &Replica, pictures: usize) {
    for n in 0..pictures {
        let mut stream = TcpStream::connect(replica.address).await.unwrap();
        let path = large_picture(n);
        let request = format!("GET {path} HTTP/1.1\r\nHost: wxqr\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    }
}

async fn known_codes() -> (Upstream, Replica) {
    let database = Database::memory();
    let upstream = Upstream::spawn().await;
    let replica = upstream.replica(&database.url, &[]).await;
    for scene in 1..=10 {
        for format in ["json", "png", "svg"] {
            let answer = replica
                .keyed(&format!("/qrcode.{format}?scene_id={scene}"))
                .await;
            assert_eq!(answer.status, StatusCode::OK);
        }
    }
    (upstream, replica)
}

fn report(figures: &mut Figures, met: &Met, newcomers: &Met) {
    figures.exactly(
        &format!(
            "of {} visitors of known codes, pages and pictures, turned away",
            grouped(met.asked())
        ),
        0,
        met.failures.len(),
    );
    figures.within(
        "what they waited, p99",
        std::time::Duration::from_millis(50),
        met.percentile(99),
    );
    figures.report(
        "what visitors of an ordinary picture that was not drawn yet waited, p50 and p99",
        format!(
            "{}, {}",
            millis(newcomers.percentile(50)),
            millis(newcomers.percentile(99))
        ),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_large_pictures_takes_no_more_memory_than_there_is_for_them() {
    let pictures = sized(300, 50_000);
    let (_upstream, replica) = known_codes().await;
    let before = replica.process.memory();
    let (others, newcomers) = (others(&replica), newcomers(&replica));
    let started = tokio::time::Instant::now();
    let most = flood(&replica, pictures).await;
    let took = started.elapsed();
    let (others, newcomers) = (others.finish().await, newcomers.finish().await);
    assert!(others.failures.is_empty(), "{}", others.failures[0]);
    assert!(newcomers.failures.is_empty(), "{}", newcomers.failures[0]);

    let mut figures = Figures::of(format!(
        "{} pictures of 2048 x 2048 pixels in different colours, {} at a time",
        grouped(pictures),
        abreast()
    ));
    report(&mut figures, &others, &newcomers);
    let drawn = u128::try_from(pictures).unwrap() * 1000 / took.as_millis().max(1);
    figures.report("pictures a second", drawn);
    if let Some(before) = before {
        let growth = most.saturating_sub(before);
        assert!(growth < KEPT + BESIDES, "grew by {} MiB", growth / MIB);
        let limit = format!(
            "under {} MiB, of which 64 MiB are the pictures",
            (KEPT + BESIDES) / MIB
        );
        figures.promise(
            "memory that they took",
            limit,
            format!("{} MiB", growth / MIB),
            true,
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnected_clients_of_pictures_delay_no_request() {
    let pictures = sized(300, 10_000);
    let (_upstream, replica) = known_codes().await;
    let replica = Arc::new(replica);
    let (others, newcomers) = (others(&replica), newcomers(&replica));
    hasty_flood(&replica, pictures).await;
    // A later visitor.
    let after = tokio::time::Instant::now();
    eventually_async("a picture is drawn", || async {
        let answer = replica.get("/qrcode.png?scene_id=3&color=036").await;
        answer.status == StatusCode::OK
    })
    .await;
    let after = after.elapsed();
    let (others, newcomers) = (others.finish().await, newcomers.finish().await);
    assert!(others.failures.is_empty(), "{}", others.failures[0]);
    assert!(newcomers.failures.is_empty(), "{}", newcomers.failures[0]);

    let mut figures = Figures::of(format!(
        "{} pictures of 2048 x 2048 pixels for strangers who hang up at once",
        grouped(pictures)
    ));
    report(&mut figures, &others, &newcomers);
    figures.report(
        "what the first visitor after them waited for a new picture",
        millis(after),
    );
}
