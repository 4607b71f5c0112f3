//! A process that is killed while events come: what was acknowledged is stored, and counts once,
//! however often it came.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use reqwest::Client;

use crate::support::callback::{events, numbers};
use crate::support::database::{Cluster, Database, store_at};
use crate::support::figures::{Figures, grouped, sized};
use crate::support::fleet::Upstream;
use crate::support::load::Paced;
use crate::support::pushes::{PushedEvent, TOKEN, signed_query};
use crate::support::{TIMEOUT, client, eventually, eventually_async};

/// Pushes that WeChat repeats until they are acknowledged.
#[derive(Default)]
struct WeChat {
    next: AtomicUsize,
    /// To be sent again.
    unanswered: Mutex<Vec<PushedEvent>>,
    acknowledged: Mutex<BTreeSet<String>>,
    /// Sent again after they were acknowledged, as WeChat does when the answer gets lost.
    needless: AtomicUsize,
}

impl WeChat {
    /// Sends an event: one that was not acknowledged, now and then one that was, else a new one.
    async fn push(&self, client: &Client, address: SocketAddr) -> Result<(), String> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let again = self.unanswered.lock().unwrap().pop();
        let pushed_event =
            again.unwrap_or_else(|| pushed_event(if n % 16 == 15 { n - 15 } else { n }));
        let answer = send(client, address, &pushed_event).await;
        if answer.is_ok_and(|status| status == 200) {
            let new = self
                .acknowledged
                .lock()
                .unwrap()
                .insert(pushed_event.openid.clone());
            self.needless
                .fetch_add(usize::from(!new), Ordering::Relaxed);
            return Ok(());
        }
        self.unanswered.lock().unwrap().push(pushed_event);
        Err("not acknowledged".to_owned())
    }

    /// Until everything is acknowledged.
    async fn repeat_all(&self, client: &Client, address: SocketAddr) {
        let started = Instant::now();
        loop {
            let Some(pushed_event) = self.unanswered.lock().unwrap().pop() else {
                return;
            };
            let status = send(client, address, &pushed_event).await.unwrap();
            if status == 200 {
                let openid = pushed_event.openid;
                self.acknowledged.lock().unwrap().insert(openid);
            } else {
                let is_busy = status == 503 && started.elapsed() < TIMEOUT;
                assert!(is_busy, "{status}: {pushed_event:?}");
                self.unanswered.lock().unwrap().push(pushed_event);
                tokio::task::yield_now().await;
            }
        }
    }

    /// How many different events are acknowledged.
    fn distinct(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }
}

async fn send(
    client: &Client,
    address: SocketAddr,
    pushed_event: &PushedEvent,
) -> reqwest::Result<u16> {
    let query = signed_query(&pushed_event.openid);
    let request = client
        .post(format!("http://{address}/callback?{query}"))
        .body(pushed_event.xml());
    // The answer's end, so that an answer which breaks off is none.
    let answer = request.send().await?;
    let status = answer.status().as_u16();
    answer.bytes().await?;
    Ok(status)
}

/// The same for the same number: a repeat is one in every byte.
fn pushed_event(n: usize) -> PushedEvent {
    PushedEvent {
        at: jiff::Timestamp::from_second(1_790_000_000 + i64::try_from(n).unwrap()).unwrap(),
        ..PushedEvent::follow(
            &format!("oFollower{n:08}"),
            &format!("{}", n % 20),
            "an-unknown-ticket",
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_lose_no_event_and_count_none_twice() {
    let kills = sized(20, 100);
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let wechat = Arc::new(WeChat::default());
    let settings = [
        ("CALLBACK_TOKEN", TOKEN),
        ("LOG", "warn,wxqr::app=info,wxqr::cli=info"),
    ];
    for kill in 0..kills {
        let replica = upstream.replica(&database.url, &settings).await;
        let (client, address, pushing) = (client(), replica.address, Arc::clone(&wechat));
        let load = Paced::start(500, move |_| {
            let (client, pushing) = (client.clone(), Arc::clone(&pushing));
            async move { pushing.push(&client, address).await }
        });
        // Spread over the events of a quarter of a second, and the same each time.
        let events = wechat.distinct() + 1 + kill * 7919 % 125;
        eventually("events are acknowledged", || wechat.distinct() >= events).await;
        replica.kill().await;
        load.finish().await;
    }
    let replica = upstream.replica(&database.url, &settings).await;
    let before = database.store().await;
    let stored: BTreeSet<_> = openids(&before).await.into_iter().collect();
    let acknowledged = wechat.acknowledged.lock().unwrap().clone();
    let lost = acknowledged.difference(&stored).count();
    assert_eq!(lost, 0);
    wechat.repeat_all(&client(), replica.address).await;

    let stored = openids(&before).await;
    let distinct: BTreeSet<_> = stored.iter().collect();
    let twice = stored.len() - distinct.len();
    let rows = numbers(&before).await;
    let scans: u64 = rows.iter().map(|row| row.numbers.scans).sum();
    let people: u64 = rows.iter().map(|row| row.numbers.people).sum();
    let new: u64 = rows.iter().map(|row| row.numbers.new_followers).sum();
    let want = wechat.acknowledged.lock().unwrap().len();
    assert_eq!((stored.len(), distinct.len()), (want, want));
    assert_eq!([scans, people, new], [want as u64; 3]);
    let repeats = wechat.needless.load(Ordering::Relaxed);
    assert!(acknowledged.len() > 100 && repeats > 5, "there was a load");

    let mut figures = Figures::of(format!(
        "The process is killed {kills} times while 500 events a second come"
    ));
    let what = format!(
        "of {} events that were acknowledged, lost",
        grouped(acknowledged.len())
    );
    figures.exactly(&what, 0, lost);
    let what = format!("with {} repeats, counted twice", grouped(repeats));
    figures.exactly(&what, 0, twice);
}

async fn openids(store: &wxqr::app::Stores) -> Vec<String> {
    let events = events(store).await;
    let openid =
        |event: &wxqr::statistics::StoredEvent| event.openid.as_ref().unwrap().as_str().to_owned();
    events.iter().map(openid).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_nothing_is_acknowledged_and_nothing_lost() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let settings = [("CALLBACK_TOKEN", TOKEN)];
    let replica = upstream.replica(&cluster.url(), &settings).await;
    let wechat = Arc::new(WeChat::default());
    let (http, address, pushing) = (client(), replica.address, Arc::clone(&wechat));
    let answered = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let [taken, turned_away] = answered.clone();
    let load = Paced::start(200, move |_| {
        let (client, pushing) = (http.clone(), Arc::clone(&pushing));
        let answered = answered.clone();
        async move {
            let result = pushing.push(&client, address).await;
            answered[usize::from(result.is_err())].fetch_add(1, Ordering::Relaxed);
            result
        }
    });
    let hundred_more = |counter: &Arc<AtomicUsize>| {
        let counter = Arc::clone(counter);
        let before = counter.load(Ordering::Relaxed);
        async move {
            eventually_async("a hundred more", || {
                std::future::ready(counter.load(Ordering::Relaxed) >= before + 100)
            })
            .await;
        }
    };
    hundred_more(&taken).await;
    cluster.stop();
    hundred_more(&turned_away).await;
    cluster.resume();
    hundred_more(&taken).await;
    load.finish().await;
    eventually_async("it takes events again", || async {
        let pushed_event = PushedEvent::leave("oNobody");
        send(&client(), address, &pushed_event)
            .await
            .is_ok_and(|status| status == 200)
    })
    .await;
    wechat.repeat_all(&client(), address).await;
    let store = store_at(&cluster.url()).await;
    let stored: BTreeSet<_> = openids_held(&store).await;
    let acknowledged = wechat.acknowledged.lock().unwrap().clone();
    assert_eq!(stored, acknowledged);
    let scans: u64 = numbers(&store)
        .await
        .iter()
        .map(|row| row.numbers.scans)
        .sum();
    assert_eq!(scans, acknowledged.len() as u64);
}

/// Of current followers.
async fn openids_held(store: &wxqr::app::Stores) -> BTreeSet<String> {
    let events = events(store).await;
    let held = events.iter().filter_map(|event| event.openid.as_ref());
    held.map(|openid| openid.as_str().to_owned()).collect()
}
