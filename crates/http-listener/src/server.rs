//! The listener itself: from an address to connections that are served until the shutdown.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::acceptor::Acceptor;
use crate::connection;
use crate::limits::Limits;
use crate::service::HttpService;
use crate::tls::TlsConfig;

/// Maximum number of connections that wait to be accepted: Linux's default of `somaxconn`. Beyond
/// it, the kernel drops the SYN, and the client tries again a second later.
const BACKLOG: u32 = 4096;

/// Binds a TCP listener, with a backlog for bursts of connections.
///
/// # Errors
/// The operating system's error.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // Lets a restart bind while connections of the process before are in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves HTTP until `stop` is cancelled, then shuts down gracefully.
///
/// The listener and idle connections close at once; requests in flight are answered first. A client
/// that has just connected, and has sent nothing yet, may send one request within a second. Each
/// request has the client's address in its extensions, as `ConnectInfo<SocketAddr>`. Dropping the
/// future aborts all connections.
pub async fn serve(
    listener: TcpListener,
    service: impl HttpService,
    limits: Limits,
    stop: CancellationToken,
) {
    run(listener, None, service, limits, stop, TaskTracker::new()).await;
}

/// Serves HTTP as [`serve()`], and tracks its connections by a tracker of the caller's, whose
/// length is their number.
pub async fn serve_tracked(
    listener: TcpListener,
    service: impl HttpService,
    limits: Limits,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    run(listener, None, service, limits, stop, connections).await;
}

/// Serves HTTPS, else as [`serve()`].
///
/// The handshake counts into the header timeout. A client that speaks plain HTTP gets one response
/// that names HTTPS.
pub async fn serve_tls(
    listener: TcpListener,
    tls: TlsConfig,
    service: impl HttpService,
    limits: Limits,
    stop: CancellationToken,
) {
    run(
        listener,
        Some(tls),
        service,
        limits,
        stop,
        TaskTracker::new(),
    )
    .await;
}

async fn run(
    listener: TcpListener,
    tls: Option<TlsConfig>,
    service: impl HttpService,
    limits: Limits,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let abort_all = CancellationToken::new();
    let _abort_when_dropped = abort_all.clone().drop_guard();
    let mut acceptor = Acceptor::new(listener, limits);
    let accepting = async {
        loop {
            let (stream, peer) = acceptor.accept().await;
            let slot = acceptor.acquire_slot(abort_all.child_token()).await;
            let served = connection::serve(
                stream,
                tls.clone(),
                peer,
                service.clone(),
                slot,
                stop.clone(),
            );
            connections.spawn(served);
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.cancelled() => {}
    }
    drop(acceptor);
    connections.close();
    connections.wait().await;
}
