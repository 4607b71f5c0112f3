//! A small imitation of WeChat's API that any WeChat SDK can be pointed at, and the double of our
//! tests.
//!
//! It is written from WeChat's documents and borrows none of the project's own types for scenes,
//! tickets or wire formats: a double that shares the types shares the mistake. What a request does
//! is decided in `state`, which knows no HTTP; the `door` before each imitated route records the
//! call and plays the fault that is set for it. What the documents do not say is a choice, and the
//! comment beside it says so. Read [`Sandbox`] first.
//!
//! It plays the phone, too: `phone` is the page that a code opens, `people` knows who follows, and
//! what they do is an [`Event`], which `push` signs and `cipher` encrypts, and `delivery` brings to
//! the account's [`Callback`].

mod api;
pub mod authority;
mod body;
mod callback;
mod cipher;
mod code;
mod control;
mod delivery;
mod door;
mod event;
mod fault;
mod foreign;
mod form;
mod home;
mod lang;
mod log;
mod page;
mod people;
mod phone;
mod picture;
mod push;
mod quota;
mod random;
mod refusal;
mod state;
mod ticket;
mod token;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get, post};
use http_listener::ByteBudget;
use jiff::Timestamp;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::origin::{OriginGuard, TrustedHosts};

pub use callback::{Callback, CallbackToken, DataFormat, EncodingAesKey, Mode, Unacceptable};
pub use delivery::{Answer, Attempt, Delivery, Failure, NoCallback, Unverified};
pub use event::{Event, EventKind, ScannedCode, Source};
pub use fault::{Fault, FaultKind, Target};
pub use log::{Api, Call};
pub use push::Push;

/// The largest body that any of its URLs takes.
const MAX_BODY: usize = 64 * 1024;

/// Where WeChat's calls are, as far as Official Accounts have them. Below these paths every call is
/// WeChat's, imitated or not; the demo's own routes are elsewhere.
const WECHAT_FOLDERS: [&str; 12] = [
    "bizwifi",
    "card",
    "cgi-bin",
    "customservice",
    "datacube",
    "merchant",
    "product",
    "scan",
    "semantic",
    "shakearound",
    "sns",
    "wxa",
];

/// What a sandbox is made of.
#[derive(Debug)]
pub struct Options {
    /// What comes before `/q/ID` in the url of a code, for example `http://127.0.0.1:8081`.
    ///
    /// [`Sandbox::set_base`] says it later, where it is known only once the listener is bound.
    pub base: String,
    /// The accounts that exist.
    pub accounts: Vec<Credentials>,
    /// The time by which tokens and codes die.
    pub clock: Arc<dyn Clock>,
}

/// What an account proves itself with.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// WeChat's `appid`.
    pub app_id: String,
    /// WeChat's `secret`.
    pub app_secret: SecretString,
}

/// An imitation of WeChat. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    state: Mutex<state::State>,
    faults: Mutex<fault::Faults>,
    log: Mutex<log::CallLog>,
    courier: delivery::Courier,
    bodies: ByteBudget,
    push_deadline: Mutex<Duration>,
}

impl Sandbox {
    /// A platform with these accounts, on which nothing has happened yet.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            clock: options.clock,
            state: Mutex::new(state::State::new(&options.base, options.accounts)),
            faults: Mutex::default(),
            log: Mutex::default(),
            courier: delivery::Courier::default(),
            bodies: ByteBudget::new(body::MAX_BODIES),
            push_deadline: Mutex::new(delivery::DEADLINE),
        }))
    }

    /// Its URLs: WeChat's, the page of a code, and the controls. No fallback, so that it merges
    /// with other routers.
    ///
    /// They refuse other web sites. Pages and controls may be called by the host of the base, as it
    /// is now.
    pub fn router(&self) -> Router {
        self.routes(&OriginGuard::new(self.own_hosts()))
    }

    /// The same for a listener of its own: with the front page at `/`, and WeChat's refusal for
    /// every other path. Pages and controls may be called by `hosts` too.
    pub fn standalone_router(&self, hosts: &[&str]) -> Router {
        let guard = OriginGuard::new(self.own_hosts().and(hosts));
        let front = Router::new()
            .route("/", get(home::show))
            .route_layer(from_fn_with_state(guard.clone(), foreign::refuse))
            .route("/sandbox/{*path}", any(control::unknown))
            .fallback_service(
                Router::new()
                    .fallback(api::unknown)
                    .layer(from_fn_with_state((self.clone(), Api::Other), door::enter))
                    .layer(from_fn_with_state(guard.clone(), foreign::refuse_call)),
            )
            .with_state(self.clone());
        self.routes(&guard).merge(front)
    }

    fn own_hosts(&self) -> TrustedHosts {
        TrustedHosts::of_url(self.state().base())
    }

    fn routes(&self, guard: &OriginGuard) -> Router {
        let calls = self
            .wechat_calls()
            .route_layer(from_fn_with_state(guard.clone(), foreign::refuse_call));
        // A picture that any page may embed.
        let picture = self.imitated(Api::Show, any(api::show));
        Self::pages_and_controls()
            .route_layer(from_fn_with_state(guard.clone(), foreign::refuse))
            .merge(calls)
            .route("/cgi-bin/showqrcode", picture)
            .with_state(self.clone())
    }

    /// WeChat's calls but for the picture. Programs make them, by any name that they have for the
    /// host.
    fn wechat_calls(&self) -> Router<Self> {
        let imitated = Router::new()
            // As WeChat has them.
            .route("/cgi-bin/token", self.imitated(Api::Token, any(api::token)))
            .route(
                "/cgi-bin/stable_token",
                self.imitated(Api::Token, any(api::stable_token)),
            )
            .route(
                "/cgi-bin/qrcode/create",
                self.imitated(Api::Create, any(api::create)),
            );
        WECHAT_FOLDERS.iter().fold(imitated, |router, folder| {
            let unknown = self.imitated(Api::Other, any(api::unknown));
            router.route(&format!("/{folder}/{{*path}}"), unknown)
        })
    }

    fn pages_and_controls() -> Router<Self> {
        Router::new()
            .route("/sandbox", get(home::show))
            // What the codes say.
            .route("/q/{id}", get(phone::page).post(phone::press))
            // The controls.
            .route(
                "/sandbox/faults",
                get(control::faults)
                    .put(control::set_faults)
                    .post(home::change_faults),
            )
            .route("/sandbox/expire-token", post(control::expire_tokens))
            .route("/sandbox/rotate-token", post(control::rotate_tokens))
            .route("/sandbox/kill-token", post(control::kill_tokens))
            .route(
                "/sandbox/calls",
                get(control::calls).delete(control::forget_calls),
            )
            .route("/sandbox/verify-callback", post(control::verify_callbacks))
    }

    /// What comes before `/q/ID` in the codes made from now on; a trailing slash is dropped.
    pub fn set_base(&self, base: &str) {
        self.state().set_base(base);
    }

    /// The calls of the imitated API, oldest first: the last 10 000, whether answered or met by a
    /// fault.
    pub fn calls(&self) -> Vec<Call> {
        self.log().calls()
    }

    /// How often an API was called since the start or since [`Sandbox::forget_calls`]; exact beyond
    /// the 10 000.
    pub fn count(&self, api: Api) -> usize {
        self.log().count(api)
    }

    /// Starts the record of calls and their counts anew.
    pub fn forget_calls(&self) {
        *self.log() = log::CallLog::default();
    }

    /// Replaces the faults. The first in the list that applies to a call and fires is played.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.fault_list().set(faults);
    }

    /// The faults that are still set, each with the `times` that are left.
    pub fn faults(&self) -> Vec<Fault> {
        self.fault_list().list()
    }

    /// Lets every token meet its natural end: business calls say 42001, a token call gives a new
    /// one.
    pub fn expire_tokens(&self) {
        let now = self.now();
        self.state()
            .every_tokens()
            .for_each(|tokens| tokens.expire(now));
    }

    /// Lets another holder of each account take new tokens: business calls with the old ones say
    /// 40001 at once, and a normal stable call gives the token that is new.
    pub fn rotate_tokens(&self) {
        let now = self.now();
        self.state()
            .every_tokens()
            .for_each(|tokens| tokens.rotate(now));
    }

    /// Kills every token behind the back of the stable call: business calls say 40001, yet a normal
    /// stable call repeats the dead token. Only `force_refresh` (or the classic call) helps.
    pub fn kill_tokens(&self) {
        let now = self.now();
        self.state()
            .every_tokens()
            .for_each(|tokens| tokens.kill(now));
    }

    /// Sets where an account's events go, or that they go nowhere. Nothing happens if the account
    /// does not exist.
    pub fn set_callback(&self, app_id: &str, callback: Option<Callback>) {
        self.state().set_callback(app_id, callback);
    }

    /// How long a callback may take to answer: five seconds as WeChat's, unless a test is in a
    /// hurry.
    pub fn set_push_deadline(&self, deadline: Duration) {
        *self.push_deadline() = deadline;
    }

    /// Asks an account's callback whether it is the owner's, as WeChat's console does before it
    /// takes an address.
    ///
    /// # Errors
    /// [`Unverified`], within the deadline of a push. Cancel safe.
    pub async fn verify_callback(&self, app_id: &str) -> Result<(), Unverified> {
        let callback = self.callback(app_id)?;
        let deadline = *self.push_deadline();
        let courier = &self.0.courier;
        courier.verify(&callback, deadline, self.now()).await
    }

    /// Tells an account's callback of an event, with WeChat's deadline and repeats; ends with the
    /// last of them.
    ///
    /// Any event, whoever follows: what a press on the phone's page would not bring about, too.
    /// Cancel safe: the push goes on without the caller.
    ///
    /// # Errors
    /// [`NoCallback`].
    pub async fn push(&self, app_id: &str, event: &Event) -> Result<Delivery, NoCallback> {
        let callback = self.callback(app_id)?;
        let clock = Arc::clone(&self.0.clock);
        let (app_id, event) = (app_id.to_owned(), event.clone());
        let compose = move || Push::compose(&callback, &app_id, &event, clock.now());
        let deadline = *self.push_deadline();
        Ok(self.0.courier.deliver(deadline, compose).await)
    }

    /// The request that [`Sandbox::push`] would begin with, for tests that send it themselves.
    ///
    /// # Errors
    /// [`NoCallback`].
    pub fn compose(&self, app_id: &str, event: &Event) -> Result<Push, NoCallback> {
        let callback = self.callback(app_id)?;
        Ok(Push::compose(&callback, app_id, event, self.now()))
    }

    fn callback(&self, app_id: &str) -> Result<Callback, NoCallback> {
        self.state().callback(app_id).cloned().ok_or(NoCallback)
    }

    /// A route of the imitated API, with the door before it.
    fn imitated(&self, api: Api, route: MethodRouter<Self>) -> MethodRouter<Self> {
        route.layer(from_fn_with_state((self.clone(), api), door::enter))
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn state(&self) -> MutexGuard<'_, state::State> {
        self.0
            .state
            .lock()
            .expect("no one panics while holding the state")
    }

    fn fault_list(&self) -> MutexGuard<'_, fault::Faults> {
        self.0
            .faults
            .lock()
            .expect("no one panics while holding the faults")
    }

    fn push_deadline(&self) -> MutexGuard<'_, Duration> {
        self.0
            .push_deadline
            .lock()
            .expect("no one panics while holding the deadline")
    }

    fn log(&self) -> MutexGuard<'_, log::CallLog> {
        self.0
            .log
            .lock()
            .expect("no one panics while holding the log")
    }
}
