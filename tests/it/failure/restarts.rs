//! Replicas are restarted one after the other, behind a balancer that asks `/readyz`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio_util::task::AbortOnDropHandle;

use crate::support::answer::Answer;
use crate::support::database::Database;
use crate::support::figures::{Figures, grouped, millis, sized};
use crate::support::fleet::Upstream;
use crate::support::keys;
use crate::support::load::Paced;
use crate::support::process::Process;
use crate::support::{client, eventually};

/// How often the balancer asks each replica whether it is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

const KNOWN_SCENES: usize = 20;

/// A replica as the balancer sees it.
struct Backend {
    address: SocketAddr,
    client: Client,
    is_ready: AtomicBool,
}

/// Sends each request to the next replica that said it is ready.
#[derive(Default)]
struct Balancer {
    backends: RwLock<Vec<Arc<Backend>>>,
    sent: AtomicUsize,
}

impl Balancer {
    fn pick(&self) -> Option<Arc<Backend>> {
        let backends = self.backends.read().unwrap();
        let ready = backends
            .iter()
            .filter(|backend| backend.is_ready.load(Ordering::Relaxed));
        let ready: Vec<_> = ready.collect();
        let next = self.sent.fetch_add(1, Ordering::Relaxed);
        ready
            .get(next % ready.len().max(1))
            .map(|backend| Arc::clone(backend))
    }

    /// Sends it what is ready from now on.
    fn add(&self, backend: &Arc<Backend>) {
        self.backends.write().unwrap().push(Arc::clone(backend));
    }

    fn remove(&self, gone: &Arc<Backend>) {
        self.backends
            .write()
            .unwrap()
            .retain(|backend| !Arc::ptr_eq(backend, gone));
    }
}

/// A process of the service, and the eye that the balancer has on it.
struct Member {
    process: Process,
    backend: Arc<Backend>,
    _eye: AbortOnDropHandle<()>,
}

impl Member {
    async fn join(
        upstream: &Upstream,
        database: &Database,
        delay: &str,
        balancer: &Balancer,
    ) -> Self {
        let process = upstream.process(&database.url, &[("DRAIN_DELAY", delay)]);
        let backend = Arc::new(Backend {
            address: process.addresses().await.http,
            client: client(),
            is_ready: AtomicBool::new(false),
        });
        let eye = AbortOnDropHandle::new(tokio::spawn(watch(Arc::clone(&backend))));
        balancer.add(&backend);
        eventually("it is ready", || backend.is_ready.load(Ordering::Relaxed)).await;
        Self {
            process,
            backend,
            _eye: eye,
        }
    }

    /// Ends as an operator ends it.
    async fn leave(self, balancer: &Balancer) {
        self.process.signal("TERM");
        let output = self.process.output().await;
        assert_eq!(output.status, 0, "{}", output.stderr);
        assert!(
            !output.stderr.contains("still in flight"),
            "{}",
            output.stderr
        );
        balancer.remove(&self.backend);
    }
}

async fn watch(backend: Arc<Backend>) {
    let url = format!("http://{}/readyz", backend.address);
    // On a connection of its own, as balancers poll.
    let client = client();
    loop {
        let answer = client.get(&url).send().await;
        let is_ready = answer.is_ok_and(|answer| answer.status() == StatusCode::OK);
        backend.is_ready.store(is_ready, Ordering::Relaxed);
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Nine in ten for known codes, the tenth for a new one.
async fn ask(balancer: Arc<Balancer>, n: usize) -> Result<(), String> {
    let path = if n.is_multiple_of(10) {
        format!("scene_str=new-{n}")
    } else {
        format!("scene_id={}", n % KNOWN_SCENES + 1)
    };
    let backend = balancer.pick().ok_or("no replica is ready")?;
    let request = backend
        .client
        .get(format!("http://{}/qrcode.json?{path}", backend.address));
    let answer = Answer::to_willing(request.bearer_auth(keys::ADMIN)).await;
    match answer {
        Ok(answer) if answer.status == StatusCode::OK => Ok(()),
        Ok(answer) => Err(format!("{path}: {answer:?}")),
        Err(error) => Err(format!("{path}: {error:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_restarted_under_load_and_no_request_fails() {
    let (restarts, per_second, delay) = sized((6, 200, "1s"), (200, 500, "500ms"));
    let (database, engine) = Database::shared().await;
    let upstream = Upstream::spawn().await;
    let balancer = Arc::new(Balancer::default());
    let stays = Member::join(&upstream, &database, delay, &balancer).await;
    let mut restarted = Member::join(&upstream, &database, delay, &balancer).await;
    let load = Paced::start(per_second, {
        let balancer = Arc::clone(&balancer);
        move |n| ask(Arc::clone(&balancer), n)
    });
    for _ in 0..restarts {
        restarted.leave(&balancer).await;
        restarted = Member::join(&upstream, &database, delay, &balancer).await;
    }
    let met = load.finish().await;
    assert!(
        met.failures.is_empty(),
        "{} of {}: {}",
        met.failures.len(),
        met.asked(),
        met.failures[0]
    );
    restarted.leave(&balancer).await;
    stays.leave(&balancer).await;

    let mut figures = Figures::of(format!(
        "{restarts} restarts of one of two replicas on {engine}, under {per_second} requests a second by way of /readyz, \
         WXQR_DRAIN_DELAY={delay}"
    ));
    figures.exactly(
        &format!("of {} requests, failed", grouped(met.asked())),
        0,
        met.failures.len(),
    );
    figures.report("what they waited, p99", millis(met.percentile(99)));
}
