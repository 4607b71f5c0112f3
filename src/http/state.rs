//! What the handlers use.

use std::sync::Arc;

use jiff::tz::Offset;
use tokio_util::sync::CancellationToken;

use crate::account::Account;
use crate::bindings::Bindings;
use crate::clock::Clock;
use crate::codes::Codes;
use crate::http::callback::Callback;
use crate::http::extract::caller::Access;
use crate::http::html::site::Site;
use crate::listen::ByteBudget;
use crate::pictures::Pictures;
use crate::scans::Scans;
use crate::scene::Lifetime;
use crate::store::Store;
use crate::token::Tokens;

/// What the handlers use.
#[derive(Debug, Clone)]
pub struct AppState {
    /// The use case.
    pub codes: Arc<Codes>,
    /// Our own pictures.
    pub pictures: Pictures,
    /// Who asks, and whose word on it is taken.
    pub access: Arc<Access>,
    /// The account's faults.
    pub account: Arc<Account>,
    /// The access token's state.
    pub tokens: Arc<Tokens>,
    /// WeChat's pushes; none: there is no callback.
    pub callback: Option<Arc<Callback>>,
    /// Signing in by a scan; none where pushes are not encrypted.
    pub bindings: Option<Arc<Bindings>>,
    /// Events on their way into the store.
    pub scans: Arc<Scans>,
    /// What bodies of keys' requests hold together while they are read.
    pub bodies: ByteBudget,
    /// Labels and lists.
    pub store: Store,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Links and pages.
    pub site: Arc<Site>,
    /// The life of a code whose request names none.
    pub default_expire: Lifetime,
    /// Distance of local time from UTC, by which the days of statistics begin.
    pub time_zone: Offset,
    /// Cancelled when the service is about to end.
    pub draining: CancellationToken,
}
