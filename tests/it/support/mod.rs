//! What the tests share: the service with its sandbox, the real binary, a scripted WeChat,
//! databases, a client.

pub(crate) mod answer;
pub(crate) mod app;
pub(crate) mod archive;
pub(crate) mod callback;
pub(crate) mod closing;
pub(crate) mod database;
pub(crate) mod demo;
pub(crate) mod events;
pub(crate) mod figures;
pub(crate) mod files;
pub(crate) mod fleet;
pub(crate) mod followers;
pub(crate) mod keys;
pub(crate) mod load;
pub(crate) mod log;
pub(crate) mod owner;
pub(crate) mod payloads;
pub(crate) mod picture;
pub(crate) mod pooler;
pub(crate) mod process;
pub(crate) mod pushes;
pub(crate) mod python;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod served;
pub(crate) mod skip;
pub(crate) mod upstream;
pub(crate) mod visitors;
pub(crate) mod wire;
pub(crate) mod workbook;

use std::future::Future;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::{Client, ClientBuilder, redirect};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// How long a condition may take to come true. Far beyond what any of them needs, on a machine that
/// has much else to do too.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(2);

/// A server in a task of its own. Dropping it ends it.
pub(crate) struct Server(AbortHandle);

impl Server {
    /// Serves on a free port.
    pub(crate) async fn spawn(
        router: impl FnOnce(SocketAddr) -> axum::Router,
    ) -> (Self, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(address);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (Self(task.abort_handle()), address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_async(what, || std::future::ready(holds())).await;
}

/// Like [`eventually`], with an asynchronous condition.
pub(crate) async fn eventually_async<F: Future<Output = bool>>(
    what: &str,
    mut holds: impl FnMut() -> F,
) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < TIMEOUT, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A client that follows nothing and waits longer than any answer may take.
pub(crate) fn client() -> Client {
    let builder = client_builder().redirect(redirect::Policy::none());
    builder.build().unwrap()
}

/// The same, which goes where it is sent on to.
pub(crate) fn following_client() -> Client {
    client_builder().build().unwrap()
}

fn client_builder() -> ClientBuilder {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
    Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .timeout(TIMEOUT)
}

/// An address that refuses connections: a free port.
pub(crate) fn closed_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
