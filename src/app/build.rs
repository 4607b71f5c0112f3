//! Settings become a service: each room is built from those below it.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http_listener::{ByteBudget, HttpService, Limits};
use local_guard::{OriginGuard, TrustedHosts};
use metrics_exporter_prometheus::{BuildError, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;
use wechat::WeChat;
use wechat::push::{PushVerifier, Reply};
use wechat_sandbox::Sandbox;

use super::limits::service_limits;
use super::run::App;
use super::stores::Stores;
use super::upkeep::Upkeep;
use crate::bindings::Bindings;
use crate::clock::{Clock, SystemClock};
use crate::codes::{self, CircuitBreaker, CodeStore, Codes, Tokens};
use crate::config::{Config, ExtraCa};
use crate::db::{OpenError, UpstreamIdentity};
use crate::http::{
    self, AppParts, AppState, Archives, Authenticator, Callback, FileReader, Front, LinkSigner,
    RouterSettings, Site,
};
use crate::outbound::{self, ClientError};
use crate::pictures::PictureCache;
use crate::statistics::{EventRecorder, Relay};
use crate::telemetry::{self, Causes};
use crate::webhooks::{self, Monitor};

/// Where the demo's public URL is set, for messages about the host of a request.
pub(super) const PUBLIC_URL_VARIABLE: &str = "WXQR_PUBLIC_URL";

/// Byte budget of bodies of requests with a key: a hundred of the largest JSON bodies at once, or
/// twelve of the largest files.
pub(super) const KEYED_BODIES: usize = 100 * http::MAX_BODY;
const _: () = assert!(KEYED_BODIES >= 12 * http::MAX_FILE);

/// How long requests in flight may still take when the service does not start.
const LAST_START_ANSWERS: Duration = Duration::from_millis(200);

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: io::Error,
    },
    /// The client for calls to WeChat cannot be built: in practice, a bad `WXQR_EXTRA_CA_FILE`.
    #[error("WXQR_EXTRA_CA_FILE holds a certificate that cannot be used")]
    Client(#[from] ClientError),
    #[error(transparent)]
    Database(#[from] OpenError),
    /// Calls cannot leave from an address that is another machine's.
    #[error("WXQR_OUTBOUND_ADDRESS: {address} is no address of this machine")]
    OutboundAddress { address: IpAddr, source: io::Error },
    #[error("metrics cannot be collected")]
    Metrics(#[from] BuildError),
}

impl App {
    /// Takes the addresses and builds the service. Until the database is open, the listener answers
    /// that it is not ready.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        Self::bind_by(Arc::new(SystemClock), config).await
    }

    /// Starts with another clock, for tests.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind_by(clock: Arc<dyn Clock>, config: &Config) -> Result<Self, StartError> {
        let listener = listen(config.listen)?;
        build(config, listener, clock, None).await
    }
}

/// What the demo adds to the service.
#[derive(Clone, Copy)]
pub(super) struct Demo<'a> {
    pub(super) sandbox: &'a Sandbox,
    /// The API key that its console is entered with.
    pub(super) key: &'a str,
}

/// Builds the service on a listener that is bound, in the demo with its sandbox.
pub(super) async fn build(
    config: &Config,
    listener: TcpListener,
    clock: Arc<dyn Clock>,
    demo: Option<Demo<'_>>,
) -> Result<App, StartError> {
    let metrics = metrics(config)?;
    check_outbound_address(config)?;
    let site = Arc::new(site(config, demo.map(|demo| demo.key)));
    let routing = routing(config, Arc::clone(&site), Arc::clone(&clock));
    let (tasks, draining) = (TaskTracker::new(), CancellationToken::new());
    let starting = http::starting_router(&routing);
    let (listener, stores) =
        open_while_starting(config, listener, starting, &tasks, Arc::clone(&clock)).await?;
    let deps = mint_dependencies(config, stores.codes.clone(), clock, &tasks)?;
    let tokens = Arc::clone(&deps.tokens);
    let callback = callback(config)?.map(Arc::new);
    let webhooks = webhooks(config, &stores, Arc::clone(&deps.clock)).await?;
    let state = state(
        config,
        stores.clone(),
        deps,
        callback,
        Arc::clone(&site),
        &tasks,
        draining.clone(),
    );
    let upkeep = Upkeep {
        stores,
        codes: Arc::clone(&state.codes),
        retention: config.scans.retention,
        clock: Arc::clone(&state.clock),
    };
    Ok(App {
        listener,
        metrics,
        router: router(config, state, &routing, demo),
        routing,
        tokens,
        upkeep,
        webhooks,
        limits: service_limits(config),
        drain: config.drain,
        draining,
        tasks,
    })
}

/// The listener of the metrics and what records them. Without a listener there are none: histograms
/// that are never scraped would grow.
fn metrics(config: &Config) -> Result<Option<(TcpListener, PrometheusHandle)>, StartError> {
    let Some(address) = config.metrics_listen else {
        return Ok(None);
    };
    Ok(Some((listen(address)?, telemetry::start_metrics()?)))
}

fn routing(config: &Config, site: Arc<Site>, clock: Arc<dyn Clock>) -> RouterSettings {
    let base_path = config.public_url.as_ref().map_or("", |url| url.path());
    let log_client = config.log_client;
    RouterSettings {
        site,
        base_path: base_path.to_owned(),
        secret_words: Arc::clone(&config.secret_words),
        log_client: log_client.then(|| config.access.trusted_proxies.clone()),
        clock,
    }
}

/// The routes of the service, in the demo with those of its sandbox, which other web sites must not
/// reach.
fn router(
    config: &Config,
    state: AppState,
    routing: &RouterSettings,
    demo: Option<Demo<'_>>,
) -> Front {
    let others = demo.map_or_else(Router::new, |demo| demo.sandbox.router());
    let hosts = || TrustedHosts::of_url(&routing.site.public_url, PUBLIC_URL_VARIABLE);
    let guard = demo.map(|_| OriginGuard::new(hosts()));
    http::router(state, routing, &config.cors_origins, others, guard.as_ref())
}

/// Finds a mistake that would else look like a WeChat that cannot be reached.
fn check_outbound_address(config: &Config) -> Result<(), StartError> {
    let Some(address) = config.upstream.outbound_address else {
        return Ok(());
    };
    match UdpSocket::bind((address, 0)) {
        Ok(_) => Ok(()),
        Err(source) => Err(StartError::OutboundAddress { address, source }),
    }
}

pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    http_listener::bind(address).map_err(|source| StartError::Listen { address, source })
}

/// The rooms that make codes, on an open database.
pub(crate) fn mint_dependencies(
    config: &Config,
    store: CodeStore,
    clock: Arc<dyn Clock>,
    tasks: &TaskTracker,
) -> Result<codes::MintDependencies, ClientError> {
    let from = config.upstream.outbound_address;
    let clients = wechat::Clients {
        pooled: outbound::http_client(extra_ca(config), from)?,
        unpooled: outbound::unpooled_http_client(extra_ca(config), from)?,
    };
    let settings = wechat::ClientSettings {
        app_id: config.account.app_id.as_str().to_owned(),
        app_secret: config.account.app_secret.clone(),
        api_bases: config.upstream.api_bases.clone(),
        token_source: config.upstream.token_source,
    };
    let wechat = Arc::new(WeChat::new(clients, settings, observe));
    let breaker = Arc::new(CircuitBreaker::new(store.clone(), Arc::clone(&clock)));
    let tokens = Arc::new(Tokens::new(
        Arc::clone(&wechat),
        Arc::clone(&breaker),
        store.clone(),
        Arc::clone(&clock),
        tasks.clone(),
    ));
    Ok(codes::MintDependencies {
        wechat,
        tokens,
        breaker,
        store,
        clock,
    })
}

/// Measures and logs an attempt at a call to WeChat.
fn observe(attempt: &wechat::Attempt<'_>) {
    let api = attempt.api.as_str();
    telemetry::upstream_call(api, attempt.outcome(), attempt.took);
    if let Some(error) = attempt.error {
        tracing::debug!(
            api,
            attempt = attempt.number,
            error = %Causes(error),
            "a call to WeChat failed"
        );
    }
}

async fn open_stores(config: &Config, clock: Arc<dyn Clock>) -> Result<Stores, OpenError> {
    let app_id = config.account.app_id.as_str();
    let person_key = config.scans.person_key.as_ref();
    Stores::open(
        &config.database_url,
        app_id,
        &upstream(config),
        clock,
        person_key,
    )
    .await
}

/// The WeChat that the codes come from.
pub(crate) fn upstream(config: &Config) -> UpstreamIdentity {
    let host = config.upstream.api_bases.first().and_then(Url::host_str);
    UpstreamIdentity::of_host(host.unwrap_or_default())
}

fn state(
    config: &Config,
    stores: Stores,
    deps: codes::MintDependencies,
    callback: Option<Arc<Callback>>,
    site: Arc<Site>,
    tasks: &TaskTracker,
    draining: CancellationToken,
) -> AppState {
    let recorder = Arc::new(EventRecorder::new(
        stores.events.clone(),
        config.scans.time_zone,
    ));
    let clock = Arc::clone(&deps.clock);
    let (breaker, tokens) = (Arc::clone(&deps.breaker), Arc::clone(&deps.tokens));
    let codes = Arc::new(Codes::new(deps, code_settings(config), tasks.clone()));
    let webhooks = config.webhook.as_ref();
    let webhooks = webhooks.map(|_| monitor(&stores, Arc::clone(&clock)));
    let bindings = Bindings::new(
        Arc::clone(&codes),
        Arc::clone(&recorder),
        stores.bindings,
        Arc::clone(&clock),
    );
    AppState::from(AppParts {
        webhooks,
        bindings: pushes_are_sealed(config).then(|| Arc::new(bindings)),
        breaker,
        tokens,
        callback,
        bodies: ByteBudget::new(KEYED_BODIES),
        files: FileReader::new(),
        archives: Archives::new(),
        recorder,
        channels: stores.channels,
        events: stores.events,
        database: stores.database,
        clock,
        codes,
        pictures: Arc::new(PictureCache::new()),
        authenticator: Arc::new(authenticator(config)),
        signer: LinkSigner::new(config.access.mode, config.access.link_keys.clone()),
        site,
        default_expire: config.codes.default_expire,
        time_zone: config.scans.time_zone,
        draining,
    })
}

fn code_settings(config: &Config) -> codes::IssueSettings {
    codes::IssueSettings {
        reuse: config.codes.reuse,
        timeout: config.upstream.timeout,
        cache_entries: config.codes.cache_entries,
        mode: config.access.mode,
        visitor_rate: config.access.visitor_rate,
        visitor_pace: config.access.visitor_pace,
        anonymous_budget: config.codes.anonymous_budget,
        permanent_limit: config.codes.permanent_limit,
    }
}

/// True if pushes are encrypted, so that a recorded push does not help to forge another.
fn pushes_are_sealed(config: &Config) -> bool {
    let callback = config.scans.callback.as_ref();
    callback.is_some_and(|credentials| credentials.keys.is_some())
}

/// The receiver of WeChat's pushes, if it is configured.
fn callback(config: &Config) -> Result<Option<Callback>, ClientError> {
    let Some(credentials) = config.scans.callback.clone() else {
        return Ok(None);
    };
    let verifier = PushVerifier::new(credentials, config.account.app_id.as_str());
    let relay = match &config.scans.relay {
        Some(url) => Some(Relay::new(url.clone(), extra_ca(config))?),
        None => None,
    };
    let default_reply = config.scans.default_reply.clone().map(Reply::Text);
    Ok(Some(Callback::new(verifier, relay, default_reply)))
}

/// The sender of webhooks, if there is a receiver.
async fn webhooks(
    config: &Config,
    stores: &Stores,
    clock: Arc<dyn Clock>,
) -> Result<Option<webhooks::Sender>, ClientError> {
    let Some(settings) = config.webhook.clone() else {
        return Ok(None);
    };
    let monitor = monitor(stores, clock);
    let channels = stores.channels.clone();
    let sender = webhooks::Sender::new(settings, extra_ca(config), monitor, channels)?;
    // Otherwise its first step does it, and the log says why.
    sender.prepare().await.ok();
    Ok(Some(sender))
}

/// Reads how far webhooks are delivered.
pub(crate) fn monitor(stores: &Stores, clock: Arc<dyn Clock>) -> Monitor {
    Monitor::new(stores.webhooks.clone(), stores.events.clone(), clock)
}

/// The certificates that calls to others trust besides the built-in ones.
fn extra_ca(config: &Config) -> Option<&[u8]> {
    config.upstream.extra_ca.as_ref().map(ExtraCa::as_pem)
}

fn authenticator(config: &Config) -> Authenticator {
    Authenticator::new(
        config.keys.clone(),
        config.access.link_keys.clone(),
        config.access.trusted_proxies.clone(),
    )
}

fn site(config: &Config, demo_key: Option<&str>) -> Site {
    let public_url = config.public_url.as_ref().map_or("", |url| url.as_str());
    // The demo's pictures come from the sandbox, which is wherever the service is.
    let image_base = if demo_key.is_some() {
        public_url
    } else {
        config.upstream.mp_base.as_str().trim_end_matches('/')
    };
    Site {
        public_url: public_url.to_owned(),
        image_base: image_base.to_owned(),
        frame_ancestors: config.frame_ancestors.as_csp().to_owned(),
        sandbox: demo_key.is_some(),
        has_callback: config.scans.callback.is_some(),
        demo_key: demo_key.map(str::to_owned),
    }
}

/// Opens the database behind the starting page. If it cannot be opened, requests in flight are
/// answered for [`LAST_START_ANSWERS`] before the start fails.
async fn open_while_starting(
    config: &Config,
    listener: TcpListener,
    starting: Front,
    tasks: &TaskTracker,
    clock: Arc<dyn Clock>,
) -> Result<(TcpListener, Stores), StartError> {
    let (limits, opening) = (service_limits(config), open_stores(config, clock));
    let served = serve_starting_page_while(listener, starting, limits, tasks, opening).await?;
    let (listener, stores) = served;
    if stores.is_err() {
        tasks.close();
        let answered = tokio::time::timeout(LAST_START_ANSWERS, tasks.wait());
        answered.await.ok();
    }
    Ok((listener, stores?))
}

/// Waits for `work` while the listener answers that the service is starting, so that a health check
/// sees a process that is alive and not ready. Gives the listener back.
///
/// Requests that are in flight at the end are answered as one of `tasks`, within the deadlines of
/// the listener; idle connections close.
async fn serve_starting_page_while<T>(
    listener: TcpListener,
    service: impl HttpService,
    limits: Limits,
    tasks: &TaskTracker,
    work: impl Future<Output = T>,
) -> Result<(TcpListener, T), StartError> {
    let address = listener
        .local_addr()
        .expect("a bound listener has an address");
    let failed = |source| StartError::Listen { address, source };
    let listener = listener.into_std().map_err(failed)?;
    let shared = listener.try_clone().and_then(TcpListener::from_std);
    let done = CancellationToken::new();
    tasks.spawn(http_listener::serve(
        shared.map_err(failed)?,
        service,
        limits,
        done.clone(),
    ));
    let done = done.drop_guard();
    let result = work.await;
    drop(done);
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    Ok((listener, result))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::app::limits::sandbox_limits;

    #[tokio::test]
    async fn a_request_in_flight_when_the_service_takes_over_is_answered() {
        let (asked, answering) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let handler = {
            let (asked, answering) = (Arc::clone(&asked), Arc::clone(&answering));
            async move || {
                asked.add_permits(1);
                let _permit = answering.acquire().await.unwrap();
                "starting"
            }
        };
        let router = Router::new().route("/", get(handler));
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let request = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(request).await.unwrap();
        let tasks = TaskTracker::new();
        let limits = sandbox_limits();
        let opening = async { asked.acquire().await.unwrap().forget() };
        let served = serve_starting_page_while(listener, router, limits, &tasks, opening);
        let (_listener, ()) = served.await.unwrap();
        // Connections that are cut get the chance to end.
        tokio::time::sleep(Duration::from_millis(50)).await;
        answering.add_permits(1);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.ends_with("starting"), "{answer}");
    }
}
