//! What the handlers use. Each lists the parts that it needs in its signature.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use http_listener::ByteBudget;
use jiff::tz::Offset;
use tokio_util::sync::CancellationToken;
use wechat::scene::Lifetime;

use crate::bindings::Bindings;
use crate::channels::ChannelStore;
use crate::clock::Clock;
use crate::codes::{CircuitBreaker, Codes, Tokens};
use crate::db::Database;
use crate::http::api::codes::make::CodeMaker;
use crate::http::api::codes::plan::Planner;
use crate::http::api::codes::{Archives, FileReader};
use crate::http::callback::Callback;
use crate::http::extract::authenticator::Authenticator;
use crate::http::pages::home::Home;
use crate::http::qrcode::body::CodePresenter;
use crate::http::qrcode::link::LinkSigner;
use crate::http::site::Site;
use crate::pictures::PictureCache;
use crate::statistics::{EventRecorder, EventStore};
use crate::webhooks::Monitor;

/// The state of the router: one pointer, because axum clones it for each request, and each layer
/// again.
#[derive(Debug, Clone)]
pub struct AppState(Arc<AppParts>);

impl From<AppParts> for AppState {
    fn from(parts: AppParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for AppState {
    type Target = AppParts;

    fn deref(&self) -> &AppParts {
        &self.0
    }
}

/// All parts of the service that handlers use.
#[derive(Debug)]
pub struct AppParts {
    pub codes: Arc<Codes>,
    pub pictures: Arc<PictureCache>,
    /// Identifies callers.
    pub authenticator: Arc<Authenticator>,
    /// Signs links in responses.
    pub signer: LinkSigner,
    /// The account's faults and stopped calls.
    pub breaker: Arc<CircuitBreaker>,
    pub tokens: Arc<Tokens>,
    /// Receives WeChat's pushes, if configured.
    pub callback: Option<Arc<Callback>>,
    /// The deliveries of webhooks, if there is a receiver.
    pub webhooks: Option<Monitor>,
    /// Signing in by a scan, where pushes are encrypted.
    pub bindings: Option<Arc<Bindings>>,
    pub recorder: Arc<EventRecorder>,
    /// What bodies of requests with a key hold together while they are read.
    pub bodies: ByteBudget,
    /// Reads files of channels.
    pub files: FileReader,
    /// Limits archives of pictures.
    pub archives: Archives,
    /// Names and lists of codes.
    pub channels: ChannelStore,
    /// Events and numbers.
    pub events: EventStore,
    /// The health of the database.
    pub database: Database,
    pub clock: Arc<dyn Clock>,
    pub site: Arc<Site>,
    /// The lifetime of a code whose request gives none.
    pub default_expire: Lifetime,
    /// The offset from UTC by which the days of statistics begin.
    pub time_zone: Offset,
    /// Cancelled when the service is about to stop.
    pub draining: CancellationToken,
}

macro_rules! parts {
    ($($field:ident: $part:ty,)*) => {$(
        impl FromRef<AppState> for $part {
            fn from_ref(app: &AppState) -> Self {
                app.$field.clone()
            }
        }
    )*};
}

parts! {
    codes: Arc<Codes>,
    pictures: Arc<PictureCache>,
    authenticator: Arc<Authenticator>,
    signer: LinkSigner,
    breaker: Arc<CircuitBreaker>,
    tokens: Arc<Tokens>,
    callback: Option<Arc<Callback>>,
    webhooks: Option<Monitor>,
    bindings: Option<Arc<Bindings>>,
    recorder: Arc<EventRecorder>,
    bodies: ByteBudget,
    files: FileReader,
    archives: Archives,
    channels: ChannelStore,
    events: EventStore,
    database: Database,
    clock: Arc<dyn Clock>,
    site: Arc<Site>,
    default_expire: Lifetime,
    time_zone: Offset,
    draining: CancellationToken,
}

impl FromRef<AppState> for Home {
    fn from_ref(app: &AppState) -> Self {
        Self {
            site: Arc::clone(&app.site),
            codes: Arc::clone(&app.codes),
            authenticator: Arc::clone(&app.authenticator),
            clock: Arc::clone(&app.clock),
            default_expire: app.default_expire,
        }
    }
}

impl FromRef<AppState> for CodeMaker {
    fn from_ref(app: &AppState) -> Self {
        Self {
            codes: Arc::clone(&app.codes),
            channels: app.channels.clone(),
            default_expire: app.default_expire,
        }
    }
}

impl FromRef<AppState> for Planner {
    fn from_ref(app: &AppState) -> Self {
        Self {
            codes: Arc::clone(&app.codes),
            channels: app.channels.clone(),
            default_expire: app.default_expire,
        }
    }
}

impl FromRef<AppState> for CodePresenter {
    fn from_ref(app: &AppState) -> Self {
        Self {
            site: Arc::clone(&app.site),
            signer: app.signer.clone(),
        }
    }
}
