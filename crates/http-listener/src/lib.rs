//! Turns a listener and a router into served connections, under limits. It must not know what is served.
//!
//! A connection is ours while a request is worked on, and the client's otherwise: while we wait for a request, for the
//! rest of its body, or for the answer to be taken. Every stage of the client's turn has a deadline (`turn`). When all
//! seats are taken, whoever has kept us waiting the longest makes room (`seats`): silent clients cost each other their
//! seats, while a visitor, whose request comes at once, gets one.
//!
//! TLS is for listeners that no proxy stands before; the service itself leaves it to its proxy.
//!
//! HTTP/1.1 only: one connection is one request at a time, so the bound on connections bounds everything, and a
//! connection has one deadline at a time. No browser speaks HTTP/2 in cleartext, whose streams would multiply both.

mod body;
mod budget;
mod connection;
mod descriptors;
mod fault;
mod head;
mod held;
mod seats;
mod socket;
mod stream;
mod strict;
mod tls;
mod turn;

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::budget::ByteBudget;
pub use self::held::{HeldBody, ReadError};
pub use self::tls::{Tls, TlsError};

use self::seats::Seats;
use self::turn::Seat;

/// Connections that may wait to be accepted: as many as Linux allows unless it is told otherwise. Beyond, a client has
/// to try again, a second later.
const BACKLOG: u32 = 4096;

/// How long to wait when the machine gives no connection: no busy loop, and a hundred more tries a second.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How often a trouble that goes on is logged.
const LOG_PAUSE: Duration = Duration::from_mins(1);

/// The most bytes of heads that are not whole, in all connections, beyond the first 8 KiB of each, which hyper reserves for
/// every connection anyway. The largest cookies of a thousand honest clients fit; 10,000 heads of the largest kind do not.
const MAX_UNFINISHED_HEADS: usize = 16 * 1024 * 1024;

/// What clients may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, at least 1. With all of them taken, a new one takes the place of the one that has kept us
    /// waiting the longest; while none does, it waits.
    pub max_connections: usize,
    /// From the connection, or from the first byte of a further request, to the end of the request's headers.
    pub header_timeout: Duration,
    /// From the end of the headers to the end of the body, however fast it comes.
    pub body_timeout: Duration,
    /// How long a body may come slower than [`Limits::body_rate`], counted from the end of the headers.
    pub body_grace: Duration,
    /// The bytes a second, at least 1, that a body must come with on the whole, after the grace.
    pub body_rate: u32,
    /// From an answer's first byte until all of it is taken.
    pub answer_timeout: Duration,
    /// From an answer to the first byte of a further request.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    /// The first two are the defaults of their settings.
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            // Half a MiB, the most that any body may have, at 18 kB a second.
            body_timeout: Duration::from_secs(30),
            // As long as WeChat waits for an answer: a small body that is not there by then never comes.
            body_grace: Duration::from_secs(5),
            // Below what half a MiB needs anyway, so that nobody is too slow who sends it in time. Who sends 64 KiB and stops
            // is closed after 9 s.
            body_rate: 16 * 1024,
            // A picture has some kB, a list of codes some MB at most: 3 MB at 50 kB a second. Only statistics of very many codes
            // and days are larger, and are asked for by the owner's own machines: 100,000 rows have some 20 MB.
            answer_timeout: Duration::from_mins(1),
            // Above the minute after which proxies commonly drop what they do not use: better they than we, because a
            // request may be on its way to the connection that we close.
            idle_timeout: Duration::from_secs(75),
        }
    }
}

impl Limits {
    /// With no more connections than the process may have open files, less some for its own use. Raises the soft limit
    /// of open files as far as this needs it and the hard limit allows it.
    #[must_use]
    pub fn within_open_files(self) -> Self {
        Self {
            max_connections: descriptors::affordable(self.max_connections),
            ..self
        }
    }
}

/// Takes an address.
///
/// # Errors
/// The operating system's reason why not.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // Else a restart waits for the last connections of the process before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `stop` is cancelled. Then it accepts nothing more, closes idle connections, and ends when the requests
/// in flight are answered. Every request has the client's address in its extensions, as `ConnectInfo<SocketAddr>`.
///
/// Dropping the future cuts every connection.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    serve_all(listener, None, router, limits, stop).await;
}

/// The same over TLS. The handshake is part of the time for a request's headers. A client that speaks plain HTTP is
/// answered once that it has to use HTTPS.
pub async fn serve_tls(
    listener: TcpListener,
    tls: Tls,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    serve_all(listener, Some(tls), router, limits, stop).await;
}

async fn serve_all(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let cut = CancellationToken::new();
    let _cut_when_dropped = cut.clone().drop_guard();
    let mut door = Door::new(listener, limits.max_connections);
    let accepting = async {
        loop {
            let (stream, peer) = door.next().await;
            let seat = door.seat(limits, cut.child_token()).await;
            let served = connection::serve(
                stream,
                tls.clone(),
                peer,
                router.clone(),
                seat,
                stop.clone(),
            );
            connections.spawn(served);
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.cancelled() => {}
    }
    drop(door);
    connections.close();
    connections.wait().await;
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    seats: Arc<Seats>,
    heads: ByteBudget,
    troubled: Seldom,
    crowded: Seldom,
}

impl Door {
    fn new(listener: TcpListener, seats: usize) -> Self {
        Self {
            listener,
            seats: Arc::new(Seats::new(seats)),
            heads: ByteBudget::new(MAX_UNFINISHED_HEADS),
            troubled: Seldom(None),
            crowded: Seldom(None),
        }
    }

    /// The next connection. What the machine refuses does not end the service: another client makes room.
    async fn next(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if self.troubled.is_due() {
                        tracing::warn!(%error, "connections cannot be accepted; others are closed for them");
                    }
                    self.seats.send_longest_away();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// A seat for the connection that has come in. Cancel safe.
    async fn seat(&mut self, limits: Limits, cut: CancellationToken) -> Seat {
        let free = self.seats.free();
        if free.is_none() && self.crowded.is_due() {
            tracing::warn!(
                connections = limits.max_connections,
                "all connections are taken; who keeps the service waiting is closed for who comes"
            );
        }
        let permit = match free {
            Some(permit) => permit,
            None => self.seats.make_room().await,
        };
        Seat::new(permit, &self.seats, &self.heads, limits, cut)
    }
}

/// The client left before its connection was accepted; the next one is another client's.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}

/// Lets one of many lines into the log.
struct Seldom(Option<Instant>);

impl Seldom {
    fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.0.is_none_or(|last| now - last >= LOG_PAUSE);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}
