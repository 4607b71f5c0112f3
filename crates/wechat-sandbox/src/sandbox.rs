//! The handle to a sandbox, for tests and the demo in the same process.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http_listener::ByteBudget;
use jiff::Timestamp;
use local_guard::TrustedHosts;

use crate::api::fault::{Fault, Faults};
use crate::api::log::{Api, Call, CallLog};
use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::platform::State;
use crate::push::Push;
use crate::push::callback::Callback;
use crate::push::delivery::{self, Delivery, NoCallback, PushSender, VerificationError};
use crate::push::event::Event;
use crate::push::reply;

/// All request bodies that are being read together, in bytes: the demo's listener may be open to
/// strangers, and each of its connections could hold a whole one.
const MAX_BODIES: usize = 8 * 1024 * 1024;

/// The configuration of a sandbox.
#[derive(Debug)]
pub struct Options {
    /// What comes before `/q/ID` in the url of a code, for example `http://127.0.0.1:8081`.
    ///
    /// [`Sandbox::set_base`] sets it later, where it is known only once the listener is bound.
    pub base: String,
    /// Where a user sets `base`, for the message that refuses another host.
    pub base_setting: &'static str,
    /// The accounts that exist.
    pub accounts: Vec<Credentials>,
    /// The time by which tokens and codes expire.
    pub clock: Clock,
}

/// An imitation of WeChat, all in memory. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Sandbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    base_setting: &'static str,
    clock: Clock,
    state: Mutex<State>,
    faults: Mutex<Faults>,
    log: Mutex<CallLog>,
    sender: PushSender,
    bodies: ByteBudget,
    push_deadline: Mutex<Duration>,
}

impl Sandbox {
    /// Creates a platform with these accounts and no codes.
    pub fn new(options: Options) -> Self {
        Self(Arc::new(Inner {
            base_setting: options.base_setting,
            clock: options.clock,
            state: Mutex::new(State::new(&options.base, options.accounts)),
            faults: Mutex::default(),
            log: Mutex::default(),
            sender: PushSender::default(),
            bodies: ByteBudget::new(MAX_BODIES),
            push_deadline: Mutex::new(delivery::DEADLINE),
        }))
    }

    /// The host of the base, as it is now.
    pub(crate) fn trusted_hosts(&self) -> TrustedHosts {
        TrustedHosts::of_url(self.state().base(), self.0.base_setting)
    }

    /// Sets what comes before `/q/ID` in the codes created from now on; a trailing slash is
    /// dropped.
    pub fn set_base(&self, base: &str) {
        self.state().set_base(base);
    }

    /// Returns the last 10 000 calls of the imitated API, oldest first, those with faults included.
    pub fn calls(&self) -> Vec<Call> {
        self.log().calls()
    }

    /// Counts the calls of an API since the start or the last [`Sandbox::forget_calls`]; exact
    /// beyond 10 000.
    pub fn count(&self, api: Api) -> usize {
        self.log().count(api)
    }

    /// Clears the record of calls and their counts.
    pub fn forget_calls(&self) {
        *self.log() = CallLog::default();
    }

    /// Replaces the faults. The first in the list that applies to a call and fires is injected.
    pub fn set_faults(&self, faults: Vec<Fault>) {
        self.fault_list().set(faults);
    }

    /// Returns the faults that are still set, each with its remaining `times`.
    pub fn faults(&self) -> Vec<Fault> {
        self.fault_list().list()
    }

    /// Expires every token: business calls answer 42001, and a token call issues a new one.
    pub fn expire_tokens(&self) {
        let now = self.now();
        self.state()
            .all_tokens_mut()
            .for_each(|tokens| tokens.expire(now));
    }

    /// Imitates another holder of each account who takes new tokens: business calls with the old
    /// ones answer 40001 at once, and a normal stable call returns the new one.
    pub fn rotate_tokens(&self) {
        let now = self.now();
        self.state()
            .all_tokens_mut()
            .for_each(|tokens| tokens.rotate(now));
    }

    /// Revokes every token unknown to the stable call: business calls answer 40001, yet a normal
    /// stable call repeats the revoked token. Only `force_refresh` (or the classic call) helps.
    pub fn kill_tokens(&self) {
        let now = self.now();
        self.state()
            .all_tokens_mut()
            .for_each(|tokens| tokens.kill(now));
    }

    /// Sets or removes an account's callback. Does nothing if the account does not exist.
    pub fn set_callback(&self, app_id: &str, callback: Option<Callback>) {
        self.state().set_callback(app_id, callback);
    }

    /// Sets how long a callback may take to respond, instead of WeChat's five seconds.
    pub fn set_push_deadline(&self, deadline: Duration) {
        *self.push_deadline() = deadline;
    }

    /// Verifies an account's callback by an `echostr`, as WeChat's console does before it accepts a
    /// URL.
    ///
    /// # Errors
    /// [`VerificationError`], within the deadline of a push. Cancel safe.
    pub async fn verify_callback(&self, app_id: &str) -> Result<(), VerificationError> {
        let callback = self.callback(app_id)?;
        let deadline = *self.push_deadline();
        let sender = &self.0.sender;
        sender.verify(&callback, deadline, self.now()).await
    }

    /// Pushes an event to an account's callback, with WeChat's deadline and retries; returns after
    /// the last of them.
    ///
    /// Pushes any event, whatever the follower's state; the phone page pushes only what fits it.
    /// Cancel safe: the push goes on without the caller.
    ///
    /// # Errors
    /// [`NoCallback`].
    pub async fn push(&self, app_id: &str, event: &Event) -> Result<Delivery, NoCallback> {
        let callback = self.callback(app_id)?;
        let clock = self.0.clock.clone();
        let compose = {
            let (callback, app_id, event) = (callback.clone(), app_id.to_owned(), event.clone());
            move || Push::compose(&callback, &app_id, &event, clock.now())
        };
        let deadline = *self.push_deadline();
        let mut delivery = self.0.sender.deliver(deadline, compose).await;
        if let Some(answer) = delivery.answer() {
            delivery.reply = reply::read(answer, &callback, app_id, event);
        }
        Ok(delivery)
    }

    /// Composes the first request of a [`Sandbox::push`], for tests that send it themselves.
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

    pub(crate) fn bodies(&self) -> &ByteBudget {
        &self.0.bodies
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .expect("no one panics while holding the state")
    }

    pub(crate) fn fault_list(&self) -> MutexGuard<'_, Faults> {
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

    pub(crate) fn log(&self) -> MutexGuard<'_, CallLog> {
        self.0
            .log
            .lock()
            .expect("no one panics while holding the log")
    }
}
