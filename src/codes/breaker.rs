//! The circuit breaker: no call is made to WeChat while its quota is used up.
//!
//! Unlike the usual one it opens by what WeChat says, an errcode of a quota, and not by a rate of
//! failures; it is open for one API, in all replicas at once. Half-open, it lets one probe through.
//! [`FaultState`] gets what WeChat refused because of the account.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use wechat::{Api, ApiError, Class, Errcode};

use super::account_fault::{AccountFault, FaultState};
use super::sql::{CodeStore, Stop};
use crate::clock::Clock;

/// How often an open breaker lets a probe through, in all replicas together.
pub const PROBE_INTERVAL: Duration = Duration::from_mins(1);

/// How long a due probe of the daily quota is reserved for calls with high priority. Chosen: some
/// seconds more of a day that is over cost visitors nothing.
const PROBE_PRECEDENCE: Duration = Duration::from_secs(5);

/// How often a call with high priority may probe WeChat's minute limit, in each process. Chosen:
/// soon enough for a caller that tries again, and 30 calls of a minute whose limit, which is not
/// published, is some thousands.
pub const HIGH_PRIORITY_PROBE_INTERVAL: Duration = Duration::from_secs(2);

/// Which calls go first where not all can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Caused by a key, or for all callers.
    High,
    /// Caused by a visitor.
    Low,
}

/// Lets calls to WeChat through, or not. Shared by all callers.
#[derive(Debug)]
pub struct CircuitBreaker {
    clock: Arc<dyn Clock>,
    store: CodeStore,
    state: Mutex<State>,
    fault: FaultState,
}

#[derive(Debug, Default)]
struct State {
    /// The open APIs as this process saw them last, for when the database is down.
    stops: HashMap<Api, Stop>,
    /// Those of them that the database does not have yet.
    unsynced: HashSet<Api>,
    /// When a call with high priority may next probe the minute limit.
    next_high_priority_probe: HashMap<Api, Timestamp>,
    /// Minute limits that hold for calls with low priority only, after a successful probe.
    cleared_for_high_priority: HashMap<Api, Stop>,
}

/// The right to make one call. [`CircuitBreaker::record`] takes it with the call's result.
#[derive(Debug)]
#[must_use = "the result of the call must be recorded"]
pub struct Permit {
    api: Api,
    probe: Probe,
}

/// What a call tests while the breaker is half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// Nothing: the breaker is closed.
    None,
    /// Whether the quota is back, for all calls.
    All,
    /// Whether the minute limit has cleared, for calls with high priority.
    HighPriority(Stop),
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
    /// A closed breaker without a fault. What is open is in the database, for all replicas.
    pub fn new(store: CodeStore, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            store,
            state: Mutex::default(),
            fault: FaultState::default(),
        }
    }

    /// Admits a call, or not, by what the replicas shared when it was last read. While a quota is
    /// used up, one call a minute of all replicas is admitted: the half-open probe, which calls
    /// with high priority get first. After the minute limit they have probes of their own.
    ///
    /// # Errors
    /// [`BreakerOpen`] for every other call.
    pub async fn acquire(&self, api: Api, priority: Priority) -> Result<Permit, BreakerOpen> {
        let permit = |probe| Permit { api, probe };
        let stop = self.state().stops.get(&api).copied();
        let Some(stop) = stop else {
            return Ok(permit(Probe::None));
        };
        let open = |retry_after| BreakerOpen {
            errcode: Errcode(stop.errcode),
            retry_after,
        };
        let of_the_minute = Errcode(stop.errcode) == Errcode::MINUTE_LIMIT;
        if of_the_minute && priority == Priority::High {
            return self
                .acquire_high_priority(api, stop)
                .map(permit)
                .map_err(open);
        }
        let now = self.clock.now();
        let due = match priority {
            Priority::Low if !of_the_minute => stop.next_probe + PROBE_PRECEDENCE,
            _ => stop.next_probe,
        };
        let wait = Duration::try_from(now.duration_until(due)).unwrap_or_default();
        if !wait.is_zero() {
            return Err(open(wait.min(PROBE_INTERVAL)));
        }
        if self.take_probe(api, stop, now + PROBE_INTERVAL).await {
            Ok(permit(Probe::All))
        } else {
            Err(open(PROBE_INTERVAL))
        }
    }

    /// Admits a call with high priority in spite of the minute limit; otherwise the time until its
    /// next probe.
    fn acquire_high_priority(&self, api: Api, stop: Stop) -> Result<Probe, Duration> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.cleared_for_high_priority.get(&api) == Some(&stop) {
            return Ok(Probe::None);
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
        Ok(Probe::HighPriority(stop))
    }

    /// Reads what the replicas share about an API.
    pub async fn refresh(&self, api: Api) {
        // Without the database, what this process saw last holds.
        if let Ok(stop) = self.store.stop_of(api.as_str()).await {
            self.observe(api, stop);
        }
    }

    /// Takes over what the replicas share about an API, as it was just read.
    pub fn observe(&self, api: Api, shared: Option<Stop>) {
        let mut state = self.state();
        match shared {
            Some(stop) => {
                state.stops.insert(api, stop);
            }
            None if !state.unsynced.contains(&api) => {
                state.stops.remove(&api);
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
        let known = state.stops.get(&api) == Some(&stop);
        if known {
            let next = Stop {
                next_probe: then,
                ..stop
            };
            state.stops.insert(api, next);
        }
        if alone { known } else { taken.unwrap_or(false) }
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
        let api = permit.api;
        self.fault.end_by(api);
        if let Probe::HighPriority(stop) = permit.probe {
            self.state().cleared_for_high_priority.insert(api, stop);
        }
        if permit.probe == Probe::All {
            {
                let mut state = self.state();
                state.stops.remove(&api);
                state.unsynced.remove(&api);
            }
            // What the database does not get now, it gets with the next probe.
            if self.store.resume_calls(api.as_str()).await.is_ok() {
                tracing::info!(
                    api = api.as_str(),
                    "the quota is available again: calls resume"
                );
            }
        }
    }

    async fn refused(&self, permit: Permit, refusal: &ApiError) {
        let Permit { api, probe } = permit;
        let now = self.clock.now();
        if refusal.errcode.requires_the_owner(api) {
            self.fault.begin(now, refusal);
        }
        // A key's probe of the minute limit that fails leaves the others' stop as it is.
        let is_known =
            matches!(probe, Probe::HighPriority(_)) && refusal.errcode == Errcode::MINUTE_LIMIT;
        if refusal.errcode.class() == Class::Quota && !is_known {
            let stop = Stop {
                errcode: refusal.errcode.0,
                next_probe: now + PROBE_INTERVAL,
            };
            self.state().stops.insert(api, stop);
            // Without the database, each replica opens after its own refusal.
            if self.store.stop_calls(api.as_str(), stop).await.is_err() {
                self.state().unsynced.insert(api);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no one panics while holding the state")
    }

    /// The fault that lasts, if there is one.
    pub fn fault(&self) -> Option<AccountFault> {
        self.fault.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn refusal<T>(errcode: i64) -> Result<T, wechat::Error> {
        Err(wechat::Error::Refused(ApiError {
            errcode: Errcode(errcode),
            errmsg: String::new(),
        }))
    }

    /// A call that was allowed, and what it gave.
    async fn call(breaker: &CircuitBreaker, api: Api, result: Result<(), wechat::Error>) {
        let permit = breaker.acquire(api, Priority::Low).await.unwrap();
        breaker.record(permit, &result).await;
    }

    async fn breaker() -> (Arc<ManualClock>, CircuitBreaker) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = CodeStore::in_memory(Arc::<ManualClock>::clone(&clock)).await;
        (Arc::clone(&clock), CircuitBreaker::new(store, clock))
    }

    #[tokio::test]
    async fn an_exhausted_quota_lets_one_probe_a_minute_through_until_it_clears() {
        let (clock, breaker) = breaker().await;
        call(&breaker, Api::Create, refusal(45009)).await;
        assert_eq!(
            breaker
                .acquire(Api::Create, Priority::Low)
                .await
                .unwrap_err()
                .retry_after,
            Duration::from_mins(1)
        );
        assert!(
            breaker.acquire(Api::Token, Priority::Low).await.is_ok(),
            "each call has its own quota"
        );

        clock.advance(Duration::from_mins(1));
        assert!(
            breaker.acquire(Api::Create, Priority::Low).await.is_err(),
            "a key comes first"
        );
        clock.advance(PROBE_PRECEDENCE);
        let probe = breaker
            .acquire(Api::Create, Priority::Low)
            .await
            .expect("the probe");
        assert!(
            breaker.acquire(Api::Create, Priority::Low).await.is_err(),
            "one probe only"
        );

        breaker.record(probe, &Ok(())).await;
        assert!(breaker.acquire(Api::Create, Priority::Low).await.is_ok());
        assert!(breaker.acquire(Api::Create, Priority::Low).await.is_ok());
    }

    #[tokio::test]
    async fn a_probe_of_the_days_quota_is_a_keys_first() {
        let (clock, breaker) = breaker().await;
        call(&breaker, Api::Create, refusal(45009)).await;
        clock.advance(PROBE_INTERVAL);
        assert!(breaker.acquire(Api::Create, Priority::Low).await.is_err());
        let probe = breaker.acquire(Api::Create, Priority::High).await.unwrap();
        assert!(breaker.acquire(Api::Create, Priority::High).await.is_err());
        breaker.record(probe, &Ok(())).await;
        assert!(breaker.acquire(Api::Create, Priority::Low).await.is_ok());
    }

    #[tokio::test]
    async fn a_stop_by_the_minute_limit_ends_sooner_for_keys() {
        let (clock, breaker) = breaker().await;
        let acquire = |priority| breaker.acquire(Api::Create, priority);
        call(&breaker, Api::Create, refusal(45011)).await;
        let probe = acquire(Priority::High).await.expect("at once");
        let told = acquire(Priority::High).await.unwrap_err();
        assert_eq!(
            told.retry_after, HIGH_PRIORITY_PROBE_INTERVAL,
            "one at a time"
        );
        breaker.record(probe, &refusal::<()>(45011)).await;

        clock.advance(HIGH_PRIORITY_PROBE_INTERVAL);
        let told = acquire(Priority::Low).await.unwrap_err();
        assert_eq!(
            told.retry_after + HIGH_PRIORITY_PROBE_INTERVAL,
            PROBE_INTERVAL
        );
        let probe = acquire(Priority::High).await.expect("visitors took none");
        breaker.record(probe, &Ok(())).await;
        for _ in 0..3 {
            let call = acquire(Priority::High).await.expect("they go on");
            breaker.record(call, &Ok(())).await;
        }
        assert!(acquire(Priority::Low).await.is_err(), "visitors wait on");

        clock.advance(PROBE_INTERVAL);
        let probe = acquire(Priority::Low).await.expect("the visitors' probe");
        breaker.record(probe, &refusal::<()>(45011)).await;
        let probe = acquire(Priority::High)
            .await
            .expect("a new stop, a new probe");
        breaker.record(probe, &refusal::<()>(45011)).await;
        assert!(acquire(Priority::High).await.is_err());
    }

    #[tokio::test]
    async fn a_success_that_was_under_way_does_not_end_a_stop() {
        let (_, breaker) = breaker().await;
        let early = breaker.acquire(Api::Create, Priority::Low).await.unwrap();
        call(&breaker, Api::Create, refusal(45009)).await;
        breaker.record(early, &Ok(())).await;
        assert!(breaker.acquire(Api::Create, Priority::Low).await.is_err());
    }

    #[tokio::test]
    async fn without_the_store_one_caller_of_a_replica_probes() {
        let (clock, breaker) = breaker().await;
        call(&breaker, Api::Create, refusal(45009)).await;
        breaker.store.close().await;
        assert!(
            breaker.acquire(Api::Create, Priority::Low).await.is_err(),
            "it is known here"
        );

        clock.advance(PROBE_INTERVAL + PROBE_PRECEDENCE);
        let probe = breaker
            .acquire(Api::Create, Priority::Low)
            .await
            .expect("the probe");
        assert!(
            breaker.acquire(Api::Create, Priority::Low).await.is_err(),
            "one probe only"
        );
        breaker.record(probe, &Ok(())).await;
        assert!(breaker.acquire(Api::Create, Priority::Low).await.is_ok());
    }

    #[tokio::test]
    async fn a_fault_stands_until_the_call_that_showed_it_works() {
        let (_, breaker) = breaker().await;
        for (api, errcode, ends_with_a_token) in [
            (Api::Token, 40001, true),
            (Api::Token, 40164, true),
            (Api::Create, 48001, false),
        ] {
            call(&breaker, api, refusal(errcode)).await;
            assert_eq!(breaker.fault().unwrap().refusal.errcode, Errcode(errcode));
            call(&breaker, Api::Token, Ok(())).await;
            assert_eq!(
                breaker.fault().is_none(),
                ends_with_a_token,
                "errcode {errcode}"
            );
            call(&breaker, Api::Create, Ok(())).await;
            assert_eq!(breaker.fault(), None, "errcode {errcode}");
        }
    }

    #[tokio::test]
    async fn passing_trouble_is_no_fault() {
        // The last is a token that died, which is renewed.
        for errcode in [-1, 45011, 40053, 45029, 42001] {
            let (_, breaker) = breaker().await;
            call(&breaker, Api::Create, refusal(errcode)).await;
            assert_eq!(breaker.fault(), None, "errcode {errcode}");
        }
    }
}
