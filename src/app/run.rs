//! Runs a built service until SIGTERM, then drains it (graceful shutdown).

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http_listener::Limits;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::limits::metrics_limits;
use super::upkeep::{self, Upkeep};
use crate::codes::{Codes, Tokens};
use crate::config::Drain;
use crate::db::Database;
use crate::http::{self, Front, RouterSettings};
use crate::telemetry;
use crate::webhooks;

/// Interval of the exporter's upkeep, which moves samples into the histograms. Without it, samples
/// would pile up in memory until the next scrape.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// A service that has its addresses and can be started.
#[derive(Debug)]
pub struct App {
    pub(super) listener: TcpListener,
    pub(super) metrics: Option<(TcpListener, PrometheusHandle)>,
    pub(super) routing: RouterSettings,
    pub(super) router: Front,
    pub(super) tokens: Arc<Tokens>,
    pub(super) upkeep: Upkeep,
    /// Sends webhooks, if there is a receiver.
    pub(super) webhooks: Option<webhooks::Sender>,
    pub(super) limits: Limits,
    pub(super) drain: Drain,
    pub(super) draining: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl App {
    /// Where the service listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.listener
            .local_addr()
            .expect("a bound listener has an address")
    }

    /// Where the metrics are, if anywhere.
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        let (listener, _) = self.metrics.as_ref()?;
        Some(
            listener
                .local_addr()
                .expect("a bound listener has an address"),
        )
    }

    /// Serves until `stop` is ready, then drains.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let mut running = self.start();
        tokio::select! {
            ended = &mut running.server => return ended.expect("the listener's task does not panic"),
            () = stop => {}
        }
        running.drain().await;
    }

    /// Starts the background tasks and the listeners.
    fn start(self) -> Running {
        let (closing, background) = (CancellationToken::new(), CancellationToken::new());
        let codes = Arc::clone(&self.upkeep.codes);
        let database = self.upkeep.stores.database.clone();
        let tokens = Arc::clone(&self.tokens);
        self.tasks.spawn({
            let background = background.clone();
            async move { tokens.keep_renewed(background).await }
        });
        self.tasks.spawn(self.upkeep.run(background.clone()));
        if let Some(sender) = self.webhooks {
            self.tasks.spawn(sender.run(background.clone()));
        }
        self.tasks.spawn(upkeep::check_integrity(
            database.clone(),
            background.clone(),
        ));
        let connections = TaskTracker::new();
        if let Some((listener, recorder)) = self.metrics {
            let (connections, codes) = (connections.clone(), Arc::clone(&codes));
            let read_gauges =
                move || telemetry::read_gauges(connections.len(), codes.mints_in_flight());
            self.tasks.spawn(serve_metrics(
                listener,
                recorder.clone(),
                http::metrics_router(recorder, &self.routing, read_gauges),
                metrics_limits(self.limits),
                background.clone(),
            ));
        }
        let server = http_listener::serve_tracked(
            self.listener,
            self.router,
            self.limits,
            closing.clone(),
            connections,
        );
        Running {
            server: AbortOnDropHandle::new(tokio::spawn(server)),
            closing,
            background,
            draining: self.draining,
            drain: self.drain,
            tasks: self.tasks,
            codes,
            database,
        }
    }
}

/// A service that serves, until it is shut down.
struct Running {
    server: AbortOnDropHandle<()>,
    /// Closes the listener.
    closing: CancellationToken,
    /// Stops the background tasks.
    background: CancellationToken,
    /// Makes the service not ready.
    draining: CancellationToken,
    drain: Drain,
    tasks: TaskTracker,
    codes: Arc<Codes>,
    database: Database,
}

impl Running {
    /// Stops gently: not ready at once, no more connections after the drain delay, what is in
    /// flight finished within the drain deadline.
    async fn drain(self) {
        let (server, tasks, codes) = (self.server, self.tasks, self.codes);
        tracing::info!("stopping");
        self.draining.cancel();
        tokio::time::sleep(self.drain.delay).await;
        self.closing.cancel();
        self.background.cancel();
        let finish = async {
            server.await.expect("the listener's task does not panic");
            tasks.close();
            tasks.wait().await;
            codes.catch_up().await;
        };
        if tokio::time::timeout(self.drain.timeout, finish)
            .await
            .is_err()
        {
            tracing::warn!("some requests were still in flight at the drain deadline");
        }
        self.database.close().await;
        tracing::info!("stopped");
    }
}

async fn serve_metrics(
    listener: TcpListener,
    recorder: PrometheusHandle,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let upkeep = async {
        let mut ticks = tokio::time::interval(METRICS_UPKEEP);
        loop {
            ticks.tick().await;
            recorder.run_upkeep();
        }
    };
    tokio::select! {
        () = upkeep => {}
        () = http_listener::serve(listener, router, limits, stop) => {}
    }
}
