//! A listener with a small router.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use futures_util::stream;
use http_listener::Limits;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::waiting::TIMEOUT;

/// Longer than any test.
const NEVER: Duration = Duration::from_hours(1);

/// A deadline that a test waits for.
pub(crate) const SOON: Duration = Duration::from_millis(300);

/// Limits without deadlines, so that a test meets only the one that it sets.
pub(crate) const PATIENT: Limits = Limits {
    max_connections: 100,
    header_timeout: NEVER,
    body_timeout: NEVER,
    body_grace: NEVER,
    min_body_rate: 1,
    write_timeout: NEVER,
    min_write_rate: u32::MAX,
    idle_timeout: NEVER,
    max_head_bytes: 25 * 1024,
    max_unfinished_head_bytes: 16 * 1024 * 1024,
};

/// A listener on a free port. Dropping it aborts its connections.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
    /// Where requests to `/wait` wait.
    pub(crate) barrier: HandlerBarrier,
}

/// Counts the arrivals of requests, and holds them until they are released.
#[derive(Clone)]
pub(crate) struct HandlerBarrier {
    arrivals: Arc<Semaphore>,
    released: Arc<Semaphore>,
}

impl HandlerBarrier {
    async fn pass(&self) {
        self.arrivals.add_permits(1);
        self.released.acquire().await.unwrap().forget();
    }

    /// Waits for one more arrival.
    pub(crate) async fn arrival(&self) {
        let arrival = timeout(TIMEOUT, self.arrivals.acquire()).await;
        arrival.expect("a request arrives").unwrap().forget();
    }

    /// Releases as many requests.
    pub(crate) fn release(&self, requests: usize) {
        self.released.add_permits(requests);
    }
}

impl Server {
    pub(crate) async fn with(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let barrier = HandlerBarrier {
            arrivals: Arc::new(Semaphore::new(0)),
            released: Arc::new(Semaphore::new(0)),
        };
        let stop = CancellationToken::new();
        let server = http_listener::serve(listener, router(barrier.clone()), limits, stop.clone());
        Self {
            address,
            stop,
            task: tokio::spawn(server),
            barrier,
        }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Connects a client that sends these bytes.
    pub(crate) async fn client(&self, bytes: &str) -> Client {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn router(barrier: HandlerBarrier) -> Router {
    Router::new()
        .route("/", get("hello"))
        .route("/length", post(length))
        .route("/unread", post(async || StatusCode::FORBIDDEN))
        .route("/large", get(large))
        .route("/whole", get(whole))
        .route("/wait", get(wait))
        .route("/panic", get(panics))
        .route("/peer", get(peer))
        .with_state(barrier)
}

async fn length(body: Bytes) -> String {
    body.len().to_string()
}

/// Length of a response that no socket holds, in bytes.
pub(crate) const LARGE: usize = 64 * 1024 * 1024;

async fn large(State(barrier): State<HandlerBarrier>) -> Body {
    const PIECE: &[u8] = &[b'a'; 64 * 1024];
    let done = DropGuard(barrier);
    let pieces = (0..LARGE / PIECE.len()).map(move |_| {
        let _kept = &done;
        Ok::<_, io::Error>(PIECE)
    });
    Body::from_stream(stream::iter(pieces))
}

/// As large, but in one chunk, which hyper takes at once. Arrives at the barrier when it is
/// dropped.
async fn whole(State(barrier): State<HandlerBarrier>) -> Bytes {
    struct Piece {
        bytes: Vec<u8>,
        _done: DropGuard,
    }
    impl AsRef<[u8]> for Piece {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Piece {
        bytes: vec![0; LARGE],
        _done: DropGuard(barrier),
    })
}

/// Arrives at the barrier when it is dropped.
struct DropGuard(HandlerBarrier);

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.0.arrivals.add_permits(1);
    }
}

async fn wait(State(barrier): State<HandlerBarrier>) -> &'static str {
    barrier.pass().await;
    "waited"
}

#[expect(clippy::panic, reason = "a defect, played")]
async fn panics() -> &'static str {
    panic!("a handler's defect")
}

async fn peer(ConnectInfo(peer): ConnectInfo<SocketAddr>) -> String {
    peer.to_string()
}
