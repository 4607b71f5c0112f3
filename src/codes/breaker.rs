//! The circuit breaker: no call is made to WeChat while its quota is used up.
//!
//! Unlike the usual one it opens by what WeChat says, an errcode of a quota, and not by a rate of
//! failures; it is open for one API, in all replicas at once. Half-open, it lets one probe through.
//! [`LastAccountFault`] gets what WeChat refused because of the account.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use wechat::{Api, ApiError, Class, Errcode};

use super::account_fault::{AccountFault, LastAccountFault};
use super::probes::{ProbeInFlight, ProbesInFlight};
use super::sql::{CodeStore, Stop};
use crate::clock::Clock;
use crate::telemetry;

/// How often an open breaker lets a probe through, in all replicas together.
pub const PROBE_INTERVAL: Duration = Duration::from_mins(1);

/// How long a due probe of the daily quota is reserved for calls with high priority. Chosen: some
/// seconds more of a day that is over cost visitors nothing.
const PROBE_PRECEDENCE: Duration = Duration::from_secs(5);

/// How often a call with high priority may probe WeChat's minute limit, in each process. Chosen:
/// soon enough for a caller that tries again, and 30 calls of a minute whose limit, which is not
/// published, is some thousands.
pub const HIGH_PRIORITY_PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Priority of a call at an open circuit breaker: calls with high priority may probe it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Caused by a key, or for all callers.
    High,
    /// Caused by a visitor.
    Low,
}

/// Stops calls to WeChat while a quota is used up (circuit breaker). Shared by all callers.
#[derive(Debug)]
pub struct CircuitBreaker {
    clock: Arc<dyn Clock>,
    store: CodeStore,
    state: Mutex<State>,
    probes: ProbesInFlight,
    fault: LastAccountFault,
}

#[derive(Debug, Default)]
struct State {
    /// The open APIs as this process saw them last, for when the database is down.
    open: HashMap<Api, Open>,
    /// Those of them that the database does not have yet.
    unsynced: HashSet<Api>,
    /// How often a stop began or was written. See [`StateVersion`].
    version: u64,
    /// When a call with high priority may next probe the minute limit.
    next_high_priority_probe: HashMap<Api, Timestamp>,
}

/// An API whose calls are stopped.
#[derive(Debug, Clone, Copy)]
struct Open {
    stop: Stop,
    /// Whether a probe showed that the minute limit holds for calls with low priority only. It
    /// lasts as long as the stop, whose next probe may move meanwhile.
    cleared_for_high_priority: bool,
}

impl Open {
    fn new(stop: Stop) -> Self {
        Self {
            stop,
            cleared_for_high_priority: false,
        }
    }

    /// Replaces the stop. The clearance ends if the errcode is another one.
    fn with(self, stop: Stop) -> Self {
        let is_same = self.stop.errcode == stop.errcode;
        Self {
            stop,
            cleared_for_high_priority: self.cleared_for_high_priority && is_same,
        }
    }

    fn is_minute_limit(self) -> bool {
        Errcode(self.stop.errcode) == Errcode::MINUTE_LIMIT
    }
}

impl State {
    /// Opens the breaker of an API, or moves its stop, in the metrics too.
    fn open(&mut self, api: Api, open: Open) {
        telemetry::calls_stopped(api.as_str(), Some(open.stop.errcode));
        self.open.insert(api, open);
    }

    fn close(&mut self, api: Api) {
        telemetry::calls_stopped(api.as_str(), None);
        self.open.remove(&api);
    }
}

/// Version of the breaker's local state, taken before the shared one is read (optimistic
/// concurrency). A read closes nothing if a stop began or was written since, because it may have
/// missed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "pass it to `observe`"]
pub struct StateVersion(u64);

/// The right to make one call. [`CircuitBreaker::record`] takes it with the call's result.
#[derive(Debug)]
#[must_use = "the result of the call must be recorded"]
pub struct Permit {
    api: Api,
    probe: Probe,
    /// Until it is dropped, calls with high priority wait for this probe.
    in_flight: Option<ProbeInFlight>,
}

impl Permit {
    fn without_probe(api: Api, probe: Probe) -> Self {
        Self {
            api,
            probe,
            in_flight: None,
        }
    }
}

/// What a call tests while the breaker is half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// Nothing: the breaker is closed.
    None,
    /// Nothing: the minute limit has cleared for calls with high priority.
    Cleared,
    /// Whether the quota is back, for all calls.
    All,
    /// Whether the minute limit has cleared, for calls with high priority.
    HighPriority,
}

/// The breaker is open: the quota is used up, and the call was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("calls are stopped after errcode {errcode}: {}", errcode.meaning())]
pub struct BreakerOpen {
    /// The errcode that opened it.
    pub errcode: Errcode,
    /// Until the next probe.
    pub retry_after: Duration,
}

impl CircuitBreaker {
    /// Creates a breaker, closed and without a fault. What is open is in the database, for all
    /// replicas.
    pub fn new(store: CodeStore, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            store,
            state: Mutex::default(),
            probes: ProbesInFlight::default(),
            fault: LastAccountFault::default(),
        }
    }

    /// Like [`CircuitBreaker::acquire`], but a call with high priority that meets a probe of this
    /// process waits for its outcome, until `deadline`.
    ///
    /// # Errors
    /// [`BreakerOpen`] for a call that meets no probe, and after one that failed or took too long.
    pub async fn acquire_by(
        &self,
        deadline: Instant,
        api: Api,
        priority: Priority,
    ) -> Result<Permit, BreakerOpen> {
        let mut probes = self.probes.watch();
        loop {
            let refused = match self.acquire(api, priority).await {
                Err(refused) if priority == Priority::High => refused,
                result => return result,
            };
            let now = Instant::now();
            if now >= deadline || !probes.is_outcome_due(api) {
                return Err(refused);
            }
            // A probe that takes long does not hold up the next one.
            let next_probe = now + refused.retry_after;
            timeout_at(deadline.min(next_probe), probes.changed())
                .await
                .ok();
        }
    }

    /// Admits a call, or not, by what the replicas shared when it was last read. While a quota is
    /// used up, one call a minute of all replicas is admitted: the half-open probe, which calls
    /// with high priority get first. After the minute limit they have probes of their own.
    ///
    /// # Errors
    /// [`BreakerOpen`] for every other call.
    pub async fn acquire(&self, api: Api, priority: Priority) -> Result<Permit, BreakerOpen> {
        let open = self.state().open.get(&api).copied();
        let Some(open) = open else {
            return Ok(Permit::without_probe(api, Probe::None));
        };
        let permit = if open.is_minute_limit() && priority == Priority::High {
            self.acquire_high_priority(api)
        } else {
            self.acquire_shared_probe(api, open, priority).await
        };
        permit.map_err(|retry_after| BreakerOpen {
            errcode: Errcode(open.stop.errcode),
            retry_after,
        })
    }

    /// Begins a probe, which others meet from now on, and returns its permit.
    fn begin_probe(&self, api: Api, probe: Probe) -> Permit {
        Permit {
            api,
            probe,
            in_flight: Some(self.probes.begin(api)),
        }
    }

    /// Takes the probe of all replicas if it is due; otherwise returns the time until the next one.
    async fn acquire_shared_probe(
        &self,
        api: Api,
        open: Open,
        priority: Priority,
    ) -> Result<Permit, Duration> {
        let now = self.clock.now();
        let due = match priority {
            Priority::Low if !open.is_minute_limit() => open.stop.next_probe + PROBE_PRECEDENCE,
            _ => open.stop.next_probe,
        };
        let wait = Duration::try_from(now.duration_until(due)).unwrap_or_default();
        if !wait.is_zero() {
            return Err(wait.min(PROBE_INTERVAL));
        }
        // Before it is taken, so that a caller who comes too late meets it.
        let permit = self.begin_probe(api, Probe::All);
        let taken = self.take_probe(api, open.stop, now + PROBE_INTERVAL).await;
        taken.then_some(permit).ok_or(PROBE_INTERVAL)
    }

    /// Admits a call with high priority in spite of the minute limit; otherwise returns the time
    /// until its next probe.
    fn acquire_high_priority(&self, api: Api) -> Result<Permit, Duration> {
        let now = self.clock.now();
        let mut state = self.state();
        let open = state.open.get(&api);
        if open.is_none_or(|open| open.cleared_for_high_priority) {
            return Ok(Permit::without_probe(api, Probe::Cleared));
        }
        let next = state
            .next_high_priority_probe
            .get(&api)
            .copied()
            .unwrap_or(now);
        let wait = Duration::try_from(now.duration_until(next)).unwrap_or_default();
        if !wait.is_zero() {
            // A clock that was set back must not make the wait longer.
            return Err(wait.min(HIGH_PRIORITY_PROBE_INTERVAL));
        }
        state
            .next_high_priority_probe
            .insert(api, now + HIGH_PRIORITY_PROBE_INTERVAL);
        Ok(self.begin_probe(api, Probe::HighPriority))
    }

    /// Reads what the replicas share about an API.
    pub async fn refresh(&self, api: Api) {
        let version = self.state_version();
        // Without the database, what this process saw last holds.
        if let Ok(stop) = self.store.stop_of(api.as_str()).await {
            self.observe(version, api, stop);
        }
    }

    /// Returns the version of the local state, to be taken before what the replicas share is read,
    /// for [`CircuitBreaker::observe`].
    pub fn state_version(&self) -> StateVersion {
        StateVersion(self.state().version)
    }

    /// Takes over what the replicas share about an API, as it was read after `version`.
    pub fn observe(&self, version: StateVersion, api: Api, shared: Option<Stop>) {
        let mut state = self.state();
        match shared {
            Some(stop) => {
                let known = state.open.get(&api).copied();
                let open = known.map_or(Open::new(stop), |open| open.with(stop));
                state.open(api, open);
            }
            None if !state.unsynced.contains(&api) && StateVersion(state.version) == version => {
                state.close(api);
            }
            None => {}
        }
    }

    /// Takes the probe: one caller of all replicas gets it, without the database one of each
    /// replica.
    async fn take_probe(&self, api: Api, stop: Stop, then: Timestamp) -> bool {
        let taken = self.store.take_probe(api.as_str(), stop, then).await;
        let mut state = self.state();
        let alone = taken.is_err() || state.unsynced.contains(&api);
        let known = state.open.get_mut(&api).filter(|open| open.stop == stop);
        let is_known = known.is_some();
        if let Some(open) = known {
            open.stop.next_probe = then;
        }
        if alone {
            is_known
        } else {
            taken.unwrap_or(false)
        }
    }

    /// Records the result of a call. Only a probe closes the breaker: any other call that succeeds
    /// was made before it opened.
    pub async fn record<T>(&self, permit: Permit, result: &Result<T, wechat::Error>) {
        match result {
            Ok(_) => self.succeeded(permit).await,
            Err(wechat::Error::Refused(refusal)) => self.refused(permit, refusal).await,
            Err(_) => {}
        }
    }

    async fn succeeded(&self, permit: Permit) {
        let Permit { api, probe, .. } = permit;
        self.fault.end_by(api);
        match probe {
            Probe::None | Probe::Cleared => {}
            Probe::HighPriority => {
                if let Some(open) = self.state().open.get_mut(&api) {
                    open.cleared_for_high_priority = true;
                }
            }
            Probe::All => {
                {
                    let mut state = self.state();
                    state.close(api);
                    state.unsynced.remove(&api);
                }
                drop(permit.in_flight);
                // What the database does not get now, it gets with the next probe.
                if self.store.resume_calls(api.as_str()).await.is_ok() {
                    tracing::info!(
                        api = api.as_str(),
                        "the quota is available again: calls resume"
                    );
                }
            }
        }
    }

    async fn refused(&self, permit: Permit, refusal: &ApiError) {
        let Permit { api, probe, .. } = permit;
        let now = self.clock.now();
        if refusal.errcode.requires_the_owner(api) {
            self.fault.begin(now, refusal);
        }
        // A key's probe of the minute limit that fails leaves the others' stop as it is.
        let is_known = probe == Probe::HighPriority && refusal.errcode == Errcode::MINUTE_LIMIT;
        if refusal.errcode.class() == Class::Quota && !is_known {
            let stop = Stop {
                errcode: refusal.errcode.0,
                next_probe: now + PROBE_INTERVAL,
            };
            self.open(api, probe, stop);
            drop(permit.in_flight);
            // Without the database, each replica opens after its own refusal.
            if self.store.stop_calls(api.as_str(), stop).await.is_ok() {
                let mut state = self.state();
                state.unsynced.remove(&api);
                state.version += 1;
            }
        }
    }

    /// Opens the breaker. A call that was under way when it opened does not open it anew.
    fn open(&self, api: Api, probe: Probe, stop: Stop) {
        let mut state = self.state();
        let known = state.open.get(&api).copied();
        let known = known.filter(|_| probe == Probe::None);
        let open = known.map_or(Open::new(stop), |open| open.with(stop));
        // Until it is written: what was read before must not close it again.
        state.unsynced.insert(api);
        state.version += 1;
        state.open(api, open);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no one panics while holding the state")
    }

    /// Returns the fault that lasts, if there is one.
    pub fn fault(&self) -> Option<AccountFault> {
        self.fault.get()
    }
}

#[cfg(test)]
mod tests;
