//! The way to a database: as long as a test wants, and cut when it wants.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use url::Url;

use super::database::Database;

/// A way from a port of its own to another address. Dropping it takes no more connections.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    round_trips: Arc<AtomicUsize>,
    unanswered: Unanswered,
    asked: AskedOnAll,
    is_open: Arc<watch::Sender<bool>>,
    task: AbortHandle,
}

impl Wire {
    /// Everything that is said takes so long to arrive.
    pub(crate) async fn to(other_end: SocketAddr, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_open = Arc::new(watch::Sender::new(true));
        let round_trips = Arc::new(AtomicUsize::new(0));
        let unanswered = Unanswered::default();
        let (opened, counted) = (Arc::clone(&is_open), Arc::clone(&round_trips));
        let lost = Arc::clone(&unanswered);
        let asked_on_all = AskedOnAll::default();
        let heard = Arc::clone(&asked_on_all);
        let task = tokio::spawn(async move {
            loop {
                let (here, _) = listener.accept().await.unwrap();
                let there = TcpStream::connect(other_end).await.unwrap();
                let (questions, answered) = here.into_split();
                let (answers, asked) = there.into_split();
                let trip = RoundTrip::new(&counted, &lost, &heard);
                let [open, still_open] = [opened.subscribe(), opened.subscribe()];
                let asks = Arc::clone(&trip);
                tokio::spawn(carry(questions, asked, delay, open, move |piece| {
                    asks.ask(piece);
                    true
                }));
                tokio::spawn(carry(answers, answered, delay, still_open, move |_| {
                    trip.answer()
                }));
            }
        });
        Self {
            address,
            round_trips,
            unanswered,
            asked: asked_on_all,
            is_open,
            task: task.abort_handle(),
        }
    }

    /// To a database on the server of the tests, with the database's address as it is reached over
    /// the wire; none where there is no server.
    pub(crate) async fn to_database(delay: Duration) -> Option<(Database, Self, String)> {
        let database = Database::postgres().await?;
        let mut url = Url::parse(&database.url).unwrap();
        let host = (url.host_str().unwrap(), url.port().unwrap_or(5432));
        let server = lookup_host(host).await.unwrap().next().unwrap();
        let wire = Self::to(server, delay).await;
        url.set_host(Some(&wire.address.ip().to_string())).unwrap();
        url.set_port(Some(wire.address.port())).unwrap();
        Some((database, wire, url.into()))
    }

    /// How often something was asked after an answer, on all connections together.
    pub(crate) fn round_trips(&self) -> usize {
        self.round_trips.load(Ordering::Relaxed)
    }

    /// The texts of the statements that PostgreSQL was asked to execute, without their parameters.
    pub(crate) fn statements(&self) -> String {
        let asked = self.asked.lock().unwrap();
        let texts = asked.iter().map(|asked| statements(&asked.lock().unwrap()));
        texts.collect()
    }

    /// The answer to the next question that has this text does not arrive.
    pub(crate) fn lose_answer_to(&self, question: &'static str) {
        *self.unanswered.lock().unwrap() = Some(question);
    }

    /// Nothing arrives any more, without a reset.
    pub(crate) fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// What was said meanwhile arrives.
    pub(crate) fn mend(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The text of the question whose answer is to be lost.
type Unanswered = Arc<Mutex<Option<&'static str>>>;

/// The bytes that were asked on a connection.
type Asked = Arc<Mutex<Vec<u8>>>;

/// Those of each connection.
type AskedOnAll = Arc<Mutex<Vec<Asked>>>;

/// The texts of statements in what a client of PostgreSQL sent. A message has a sort, which the
/// first ones of a connection lack, a length, and a body.
fn statements(mut asked: &[u8]) -> String {
    let mut texts = String::new();
    while let Some(&sort) = asked.first() {
        let start = usize::from(sort != 0);
        let length = asked[start..]
            .first_chunk()
            .map(|length| u32::from_be_bytes(*length));
        let length = usize::try_from(length.unwrap_or(u32::MAX)).unwrap();
        let (message, rest) = asked.split_at(asked.len().min(start + length));
        // A simple query, and the preparation of a statement.
        if [b'Q', b'P'].contains(&sort) {
            texts.push_str(&String::from_utf8_lossy(message));
        }
        asked = rest;
    }
    texts
}

/// State of a connection's round trip: whether its question is answered, or loses its answer.
struct RoundTrip {
    is_answered: AtomicBool,
    is_lost: AtomicBool,
    round_trips: Arc<AtomicUsize>,
    unanswered: Unanswered,
    asked: Asked,
}

impl RoundTrip {
    fn new(round_trips: &Arc<AtomicUsize>, unanswered: &Unanswered, all: &AskedOnAll) -> Arc<Self> {
        let asked = Asked::default();
        all.lock().unwrap().push(Arc::clone(&asked));
        Arc::new(Self {
            is_answered: AtomicBool::new(true),
            is_lost: AtomicBool::new(false),
            round_trips: Arc::clone(round_trips),
            unanswered: Arc::clone(unanswered),
            asked,
        })
    }

    /// A question may come in several pieces.
    fn ask(&self, piece: &[u8]) {
        if self.is_answered.swap(false, Ordering::Relaxed) {
            self.round_trips.fetch_add(1, Ordering::Relaxed);
        }
        self.asked.lock().unwrap().extend(piece);
        let mut unanswered = self.unanswered.lock().unwrap();
        let has = |text: &str| {
            piece
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        if unanswered.take_if(|text| has(text)).is_some() {
            self.is_lost.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the answer arrives.
    fn answer(&self) -> bool {
        self.is_answered.store(true, Ordering::Relaxed);
        !self.is_lost.load(Ordering::Relaxed)
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    delay: Duration,
    mut is_open: watch::Receiver<bool>,
    arrives: impl Fn(&[u8]) -> bool,
) {
    let mut piece = [0; 8192];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        if !arrives(&piece[..length]) {
            continue;
        }
        tokio::time::sleep(delay).await;
        if is_open.wait_for(|open| *open).await.is_err() {
            return;
        }
        if to.write_all(&piece[..length]).await.is_err() {
            return;
        }
    }
}
