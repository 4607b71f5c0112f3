//! The composition root: settings become a service that listens, serves and stops.
//!
//! Read [`App`] first. This is the only place where all rooms meet.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use metrics_exporter_prometheus::{BuildError, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use url::Url;

use crate::account::Account;
use crate::bindings::Bindings;
use crate::callback::{self, Gate};
use crate::clock::{Clock, SystemClock};
use crate::codes::{self, Codes};
use crate::config::{Config, Drain, ExtraCa};
use crate::http::{self, AppState, Authenticator, Callback, LinkSigner, RouterSettings, Site};
use crate::listen::{self, ByteBudget, Limits};
use crate::origin::{OriginGuard, TrustedHosts};
use crate::outbound::{self, ClientError};
use crate::pictures::Pictures;
use crate::relay::Relay;
use crate::sandbox::{self, Credentials, Options, Sandbox};
use crate::scans::Scans;
use crate::store::{OpenError, Store, Upstream};
use crate::telemetry;
use crate::token::Tokens;
use crate::upkeep::Upkeep;
use crate::wechat::{self, WeChat};

/// How often the metrics' histograms are tidied.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// Connections of the metrics' listener: some collectors, and whoever looks.
const METRICS_CONNECTIONS: usize = 64;

/// What bodies of requests with a key may take together, in bytes: a hundred arrays of 512 KiB at once, as each may be.
const KEYED_BODIES: usize = 50 * 1024 * 1024;

/// How long the answers of the start may take once it is over.
const LAST_START_ANSWERS: Duration = Duration::from_millis(200);

/// A service that has its addresses and can be started.
#[derive(Debug)]
pub struct App {
    listener: TcpListener,
    metrics: Option<(TcpListener, PrometheusHandle)>,
    router: Router,
    tokens: Arc<Tokens>,
    upkeep: Upkeep,
    limits: Limits,
    drain: Drain,
    draining: CancellationToken,
    tasks: TaskTracker,
}

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The client for calls to WeChat cannot be built: in practice, a bad `WXQR_EXTRA_CA_FILE`.
    #[error("WXQR_EXTRA_CA_FILE holds a certificate that cannot be used")]
    Client(#[from] ClientError),
    /// The store is not opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Metrics cannot be collected.
    #[error("metrics cannot be collected")]
    Metrics(#[from] BuildError),
}

impl App {
    /// Takes the addresses and builds the service. Until the store is open, the listener answers that it is not ready.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind(config: &Config) -> Result<Self, StartError> {
        let listener = listen(config.listen)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        Self::build(config, listener, clock, None).await
    }

    /// The same with a sandbox on the same listener, which plays WeChat for it. `config` must be the demo's.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn bind_demo(mut config: Config) -> Result<(Self, Sandbox), StartError> {
        let listener = listen(config.listen)?;
        let address = listener
            .local_addr()
            .expect("a bound listener has an address");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let base = crate::config::local_url(address);
        let public_url = config.public_url.get_or_insert_with(|| {
            base.as_str()
                .trim_end_matches('/')
                .parse()
                .expect("an address makes a URL")
        });
        let sandbox = Sandbox::new(Options {
            base: public_url.as_str().to_owned(),
            accounts: vec![Credentials {
                app_id: config.account.app_id.as_str().to_owned(),
                app_secret: config.account.app_secret.clone(),
            }],
            clock: Arc::clone(&clock),
        });
        let url = base.join("callback").expect("a host has paths");
        set_callback(&mut config, &sandbox, url);
        config.upstream.api_bases = vec![base];
        let app = Self::build(&config, listener, clock, Some(&sandbox)).await?;
        Ok((app, sandbox))
    }

    async fn build(
        config: &Config,
        listener: TcpListener,
        clock: Arc<dyn Clock>,
        sandbox: Option<&Sandbox>,
    ) -> Result<Self, StartError> {
        let metrics = match config.metrics_listen {
            // Not collected where nobody reads them: the histograms would grow.
            Some(address) => Some((listen(address)?, telemetry::start_metrics()?)),
            None => None,
        };
        let site = Arc::new(site(config, sandbox.is_some()));
        let base_path = config.public_url.as_ref().map_or("", |url| url.path());
        let tasks = TaskTracker::new();
        let draining = CancellationToken::new();
        let routing = RouterSettings {
            site: Arc::clone(&site),
            base_path: base_path.to_owned(),
            secret_words: Arc::clone(&config.secret_words),
        };
        let answering = http::starting_router(&routing);
        let opening = open_store(config, Arc::clone(&clock));
        let limits = limits(config);
        let (listener, store) = answer_meanwhile(listener, answering, limits, opening).await?;
        let parts = parts(config, store?, clock, &tasks)?;
        let tokens = Arc::clone(&parts.tokens);
        let callback = callback(config)?.map(Arc::new);
        let state = state(
            config,
            parts,
            callback,
            Arc::clone(&site),
            &tasks,
            draining.clone(),
        );
        let upkeep = Upkeep {
            store: state.store.clone(),
            codes: Arc::clone(&state.codes),
            retention: config.scans.retention,
            clock: Arc::clone(&state.clock),
        };
        let others = sandbox.map_or_else(Router::new, Sandbox::router);
        let guard = sandbox.map(|_| OriginGuard::new(TrustedHosts::of_url(&site.public_url)));
        let router = http::router(
            state,
            &routing,
            &config.cors_origins,
            others,
            guard.as_ref(),
        );
        Ok(Self {
            listener,
            metrics,
            router,
            tokens,
            upkeep,
            limits,
            drain: config.drain,
            draining,
            tasks,
        })
    }

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

    /// Serves until `stop` is ready, then stops gently: not ready at once, no more connections after the drain delay, what
    /// is in flight finished within the drain deadline.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let background = CancellationToken::new();
        let tokens = Arc::clone(&self.tokens);
        let store = self.upkeep.store.clone();
        self.tasks.spawn({
            let background = background.clone();
            async move { tokens.keep_renewed(background).await }
        });
        let codes = Arc::clone(&self.upkeep.codes);
        self.tasks.spawn(self.upkeep.run(background.clone()));
        if let Some((listener, recorder)) = self.metrics {
            let limits = Limits {
                max_connections: METRICS_CONNECTIONS,
                ..self.limits
            };
            self.tasks.spawn(serve_metrics(
                listener,
                recorder,
                limits,
                background.clone(),
            ));
        }
        let closing = CancellationToken::new();
        let server = listen::serve(self.listener, self.router, self.limits, closing.clone());
        let mut server = AbortOnDropHandle::new(tokio::spawn(server));
        tokio::select! {
            ended = &mut server => return ended.expect("the listener's task does not panic"),
            () = stop => {}
        }
        tracing::info!("stopping");
        self.draining.cancel();
        tokio::time::sleep(self.drain.delay).await;
        closing.cancel();
        background.cancel();
        let finish = async {
            server.await.expect("the listener's task does not panic");
            self.tasks.close();
            self.tasks.wait().await;
            codes.catch_up().await;
        };
        if tokio::time::timeout(self.drain.timeout, finish)
            .await
            .is_err()
        {
            tracing::warn!("some requests were still in flight at the drain deadline");
        }
        store.close().await;
        tracing::info!("stopped");
    }
}

/// Lets the sandbox tell the demo of scans, in safe mode, by secrets that live as long as the process.
fn set_callback(config: &mut Config, sandbox: &Sandbox, url: Url) {
    let token = sandbox::CallbackToken::made_up();
    let key = sandbox::EncodingAesKey::made_up();
    config.scans.callback = Some(callback::Credentials {
        token: token.as_str().parse().expect("both are WeChat's form"),
        keys: Some(callback::AesKeys {
            current: key.as_str().parse().expect("both are WeChat's form"),
            previous: None,
        }),
    });
    let callback = sandbox::Callback {
        url,
        token,
        mode: sandbox::Mode::Safe(key),
        format: sandbox::DataFormat::Xml,
    };
    sandbox.set_callback(config.account.app_id.as_str(), Some(callback));
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    listen::bind(address).map_err(|source| StartError::Listen { address, source })
}

/// What visitors' connections may cost, as far as the machine allows it.
fn limits(config: &Config) -> Limits {
    let limits = config.limits.within_open_files();
    if limits != config.limits {
        tracing::warn!(
            connections = limits.max_connections,
            "the limit of open files allows fewer connections than WXQR_MAX_CONNECTIONS"
        );
    }
    limits
}

/// The rooms that make codes, on a store that is open.
pub(crate) fn parts(
    config: &Config,
    store: Store,
    clock: Arc<dyn Clock>,
    tasks: &TaskTracker,
) -> Result<codes::Parts, ClientError> {
    let clients = wechat::Clients {
        pooled: outbound::http_client(extra_ca(config))?,
        unpooled: outbound::unpooled_http_client(extra_ca(config))?,
    };
    let settings = wechat::Settings {
        app_id: config.account.app_id.as_str().to_owned(),
        app_secret: config.account.app_secret.clone(),
        api_bases: config.upstream.api_bases.clone(),
        token_source: config.upstream.token_source,
    };
    let wechat = Arc::new(WeChat::new(clients, settings));
    let account = Arc::new(Account::new(store.clone(), Arc::clone(&clock)));
    let tokens = Arc::new(Tokens::new(
        Arc::clone(&wechat),
        Arc::clone(&account),
        store.clone(),
        Arc::clone(&clock),
        tasks.clone(),
    ));
    Ok(codes::Parts {
        wechat,
        tokens,
        account,
        store,
        clock,
    })
}

async fn open_store(config: &Config, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
    let app_id = config.account.app_id.as_str();
    let person_key = config.scans.person_key.as_ref();
    Store::open_with_key(
        &config.database_url,
        app_id,
        &upstream(config),
        clock,
        person_key,
    )
    .await
}

/// The WeChat that the codes come from.
pub(crate) fn upstream(config: &Config) -> Upstream {
    let host = config.upstream.api_bases.first().and_then(Url::host_str);
    Upstream::of_host(host.unwrap_or_default())
}

fn state(
    config: &Config,
    parts: codes::Parts,
    callback: Option<Arc<Callback>>,
    site: Arc<Site>,
    tasks: &TaskTracker,
    draining: CancellationToken,
) -> AppState {
    let scans = Arc::new(Scans::new(parts.store.clone(), config.scans.time_zone));
    let (store, clock) = (parts.store.clone(), Arc::clone(&parts.clock));
    let (account, tokens) = (Arc::clone(&parts.account), Arc::clone(&parts.tokens));
    let codes = Arc::new(Codes::new(parts, code_settings(config), tasks.clone()));
    let bindings = Bindings::new(
        Arc::clone(&codes),
        Arc::clone(&scans),
        store.clone(),
        Arc::clone(&clock),
    );
    AppState {
        bindings: pushes_are_sealed(config).then(|| Arc::new(bindings)),
        account,
        tokens,
        callback,
        bodies: ByteBudget::new(KEYED_BODIES),
        scans,
        store,
        clock,
        codes,
        pictures: Pictures::new(),
        authenticator: Arc::new(authenticator(config)),
        signer: LinkSigner::new(config.access.mode, config.access.link_keys.clone()),
        site,
        default_expire: config.codes.default_expire,
        time_zone: config.scans.time_zone,
        draining,
    }
}

fn code_settings(config: &Config) -> codes::Settings {
    codes::Settings {
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

/// Whether WeChat's pushes are encrypted, and so cannot be made up by whoever has seen one.
fn pushes_are_sealed(config: &Config) -> bool {
    let callback = config.scans.callback.as_ref();
    callback.is_some_and(|credentials| credentials.keys.is_some())
}

/// The door for WeChat's pushes, if the account's owner has set one up.
fn callback(config: &Config) -> Result<Option<Callback>, ClientError> {
    let Some(credentials) = config.scans.callback.clone() else {
        return Ok(None);
    };
    let gate = Gate::new(credentials, config.account.app_id.as_str());
    let relay = match &config.scans.relay {
        Some(url) => Some(Relay::new(url.clone(), extra_ca(config))?),
        None => None,
    };
    Ok(Some(Callback::new(gate, relay)))
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

fn site(config: &Config, is_demo: bool) -> Site {
    let public_url = config.public_url.as_ref().map_or("", |url| url.as_str());
    // The demo's pictures come from the sandbox, which is wherever the service is.
    let image_base = if is_demo {
        public_url
    } else {
        config.upstream.mp_base.as_str().trim_end_matches('/')
    };
    Site {
        public_url: public_url.to_owned(),
        image_base: image_base.to_owned(),
        frame_ancestors: config.frame_ancestors.as_csp().to_owned(),
        sandbox: is_demo,
    }
}

/// Does a work of the start while the listener answers already, so that whoever watches sees a process that lives and is
/// not ready. Gives the listener back.
async fn answer_meanwhile<T>(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    work: impl Future<Output = T>,
) -> Result<(TcpListener, T), StartError> {
    let address = listener
        .local_addr()
        .expect("a bound listener has an address");
    let failed = |source| StartError::Listen { address, source };
    let listener = listener.into_std().map_err(failed)?;
    let shared = listener.try_clone().and_then(TcpListener::from_std);
    let done = CancellationToken::new();
    let server = listen::serve(shared.map_err(failed)?, router, limits, done.clone());
    let server = AbortOnDropHandle::new(tokio::spawn(server));
    let result = work.await;
    done.cancel();
    // What it was just asked is answered; who sends nothing is not waited for.
    tokio::time::timeout(LAST_START_ANSWERS, server).await.ok();
    let listener = TcpListener::from_std(listener).map_err(failed)?;
    Ok((listener, result))
}

async fn serve_metrics(
    listener: TcpListener,
    recorder: PrometheusHandle,
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
    let router = http::metrics_router(recorder.clone());
    tokio::select! {
        () = upkeep => {}
        () = listen::serve(listener, router, limits, stop) => {}
    }
}
