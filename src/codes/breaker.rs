//! How the account stands at WeChat: the last fault that only its owner can mend, and the quotas that are used up.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;

use super::sql::{CodeStore, Stop};
use crate::clock::Clock;
use crate::telemetry;
use crate::wechat::{self, Api, ApiError, Class, Errcode};

/// How often a call that met an exhausted quota is tried again, whatever the number of visitors.
const PROBE_EVERY: Duration = Duration::from_mins(1);

/// How long after its minute a probe of the daily quota is left to calls with high priority. Chosen: some seconds more of a
/// day that is over cost visitors nothing.
const PROBE_PRECEDENCE: Duration = Duration::from_secs(5);

/// How often one call with high priority probes whether WeChat's minute limit has cleared, in each process. Chosen: soon
/// enough for a caller that tries again, and 30 calls of a minute whose limit, which is not published, is some thousands.
pub const KEY_PROBE_EVERY: Duration = Duration::from_secs(2);

/// Which calls go first where not all can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Those that a key causes, or that are for everybody.
    High,
    /// Those that a visitor causes.
    Low,
}

/// What we know of the account. Shared by all who call WeChat.
#[derive(Debug)]
pub struct Account {
    clock: Arc<dyn Clock>,
    store: CodeStore,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    /// The stops as this process saw them last: for when the store cannot be asked.
    stops: HashMap<Api, Stop>,
    /// Those of them that the store could not be told.
    untold: HashSet<Api>,
    /// When a call with high priority may probe a stop by the minute limit next.
    next_key_probe: HashMap<Api, Timestamp>,
    /// Stops by the minute limit that hold for calls with low priority only, because such a probe succeeded.
    open_for_keys: HashMap<Api, Stop>,
}

/// The leave to make one call. [`Account::learn`] takes it back with what the call gave.
#[derive(Debug)]
#[must_use = "the account learns from what the call gave"]
pub struct Pass {
    api: Api,
    probe: Probe,
}

/// What a call is to find out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    /// Nothing.
    None,
    /// Whether calls still have to be stopped.
    OfAll,
    /// Whether calls with high priority still have to be, after this stop by the minute limit.
    OfKeys(Stop),
}

/// A refusal that stands until the account's owner does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When WeChat said so last.
    pub at: Timestamp,
    /// Its words.
    pub refusal: ApiError,
}

/// The quota of a call is used up; it was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("calls are stopped after errcode {errcode}: {}", errcode.meaning())]
pub struct Stopped {
    /// What WeChat said when the calls were stopped.
    pub errcode: Errcode,
    /// Until the next probe.
    pub retry_after: Duration,
}

impl Account {
    /// A fresh account, without faults. Its stops are in the store, for all replicas.
    pub fn new(store: CodeStore, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            store,
            state: Mutex::default(),
        }
    }

    /// Asks whether a call may be made now. While a quota is used up, one call a minute of all replicas may: the probe, which
    /// is left to calls with high priority first. A stop by the minute limit has probes of their own for them.
    ///
    /// # Errors
    /// [`Stopped`] for every other call.
    pub async fn admit(&self, api: Api, priority: Priority) -> Result<Pass, Stopped> {
        let pass = |probe| Pass { api, probe };
        let Some(stop) = self.current_stop(api).await else {
            return Ok(pass(Probe::None));
        };
        let stopped = |retry_after| Stopped {
            errcode: Errcode(stop.errcode),
            retry_after,
        };
        let of_the_minute = Errcode(stop.errcode) == Errcode::MINUTE_LIMIT;
        if of_the_minute && priority == Priority::High {
            return self.admit_key(api, stop).map(pass).map_err(stopped);
        }
        let now = self.clock.now();
        let due = match priority {
            Priority::Low if !of_the_minute => stop.next_probe + PROBE_PRECEDENCE,
            _ => stop.next_probe,
        };
        let wait = Duration::try_from(now.duration_until(due)).unwrap_or_default();
        if !wait.is_zero() {
            return Err(stopped(wait.min(PROBE_EVERY)));
        }
        if self.take_probe(api, stop, now + PROBE_EVERY).await {
            Ok(pass(Probe::OfAll))
        } else {
            Err(stopped(PROBE_EVERY))
        }
    }

    /// Whether a call with high priority may be made in spite of a stop by the minute limit; else how long it takes until the
    /// next probe.
    fn admit_key(&self, api: Api, stop: Stop) -> Result<Probe, Duration> {
        let now = self.clock.now();
        let mut state = self.state();
        if state.open_for_keys.get(&api) == Some(&stop) {
            return Ok(Probe::None);
        }
        let next = state.next_key_probe.get(&api).copied().unwrap_or(now);
        let wait = Duration::try_from(now.duration_until(next)).unwrap_or_default();
        if !wait.is_zero() {
            // A clock that was set back must not keep anybody waiting for longer.
            return Err(wait.min(KEY_PROBE_EVERY));
        }
        state.next_key_probe.insert(api, now + KEY_PROBE_EVERY);
        Ok(Probe::OfKeys(stop))
    }

    async fn current_stop(&self, api: Api) -> Option<Stop> {
        let shared = self.store.stop_of(api.as_str()).await;
        let mut state = self.state();
        match shared {
            Ok(Some(stop)) => {
                state.stops.insert(api, stop);
            }
            Ok(None) if !state.untold.contains(&api) => {
                state.stops.remove(&api);
            }
            Ok(None) | Err(_) => {}
        }
        state.stops.get(&api).copied()
    }

    /// One caller of all replicas gets the probe; without the store, one of each replica.
    async fn take_probe(&self, api: Api, stop: Stop, then: Timestamp) -> bool {
        let taken = self.store.take_probe(api.as_str(), stop, then).await;
        let mut state = self.state();
        let alone = taken.is_err() || state.untold.contains(&api);
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

    /// Learns from what a call gave. Only a probe ends a stop: any other call that succeeds was made before it.
    pub async fn learn<T>(&self, pass: Pass, result: &Result<T, wechat::Error>) {
        match result {
            Ok(_) => self.well(pass).await,
            Err(wechat::Error::Refused(refusal)) => self.refused(pass, refusal).await,
            Err(_) => {}
        }
    }

    async fn well(&self, pass: Pass) {
        let api = pass.api;
        {
            let mut state = self.state();
            // A token that is granted says nothing about the right to create codes.
            if api == Api::Create || state.fault.as_ref().is_some_and(Fault::concerns_tokens) {
                state.forget_fault();
            }
        }
        if let Probe::OfKeys(stop) = pass.probe {
            self.state().open_for_keys.insert(api, stop);
        }
        if pass.probe == Probe::OfAll {
            {
                let mut state = self.state();
                state.stops.remove(&api);
                state.untold.remove(&api);
            }
            // What the store does not learn now, the next probe tells it.
            if self.store.resume_calls(api.as_str()).await.is_ok() {
                tracing::info!(api = api.as_str(), "the quota is back: calls go on");
            }
        }
    }

    async fn refused(&self, pass: Pass, refusal: &ApiError) {
        let Pass { api, probe } = pass;
        let now = self.clock.now();
        if refusal.errcode.requires_the_owner(api) {
            self.state().note(now, refusal);
        }
        // A key's probe of the minute limit that fails leaves the others' stop as it is.
        let is_known =
            matches!(probe, Probe::OfKeys(_)) && refusal.errcode == Errcode::MINUTE_LIMIT;
        if refusal.errcode.class() == Class::Quota && !is_known {
            let stop = Stop {
                errcode: refusal.errcode.0,
                next_probe: now + PROBE_EVERY,
            };
            self.state().stops.insert(api, stop);
            // What the store does not learn now, each replica learns from WeChat.
            if self.store.stop_calls(api.as_str(), stop).await.is_err() {
                self.state().untold.insert(api);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no one panics while holding the state")
    }

    /// The fault that stands, if one does.
    pub fn fault(&self) -> Option<Fault> {
        self.state().fault.clone()
    }
}

impl State {
    fn note(&mut self, at: Timestamp, refusal: &ApiError) {
        self.forget_fault();
        telemetry::account_fault(refusal.errcode.0, true);
        self.fault = Some(Fault {
            at,
            refusal: refusal.clone(),
        });
    }

    fn forget_fault(&mut self) {
        if let Some(fault) = self.fault.take() {
            telemetry::account_fault(fault.refusal.errcode.0, false);
        }
    }
}

impl Fault {
    /// Whether WeChat can say this of a token call only or of any call, so that a token ends it.
    fn concerns_tokens(&self) -> bool {
        !matches!(self.refusal.errcode, Errcode(48001 | 48004))
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
    async fn call(account: &Account, api: Api, result: Result<(), wechat::Error>) {
        let pass = account.admit(api, Priority::Low).await.unwrap();
        account.learn(pass, &result).await;
    }

    async fn account() -> (Arc<ManualClock>, Account) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = CodeStore::in_memory(Arc::<ManualClock>::clone(&clock)).await;
        (Arc::clone(&clock), Account::new(store, clock))
    }

    #[tokio::test]
    async fn an_exhausted_quota_lets_one_probe_a_minute_through_until_it_clears() {
        let (clock, account) = account().await;
        call(&account, Api::Create, refusal(45009)).await;
        assert_eq!(
            account
                .admit(Api::Create, Priority::Low)
                .await
                .unwrap_err()
                .retry_after,
            Duration::from_mins(1)
        );
        assert!(
            account.admit(Api::Token, Priority::Low).await.is_ok(),
            "each call has its own quota"
        );

        clock.advance(Duration::from_mins(1));
        assert!(
            account.admit(Api::Create, Priority::Low).await.is_err(),
            "a key comes first"
        );
        clock.advance(PROBE_PRECEDENCE);
        let probe = account
            .admit(Api::Create, Priority::Low)
            .await
            .expect("the probe");
        assert!(
            account.admit(Api::Create, Priority::Low).await.is_err(),
            "one probe only"
        );

        account.learn(probe, &Ok(())).await;
        assert!(account.admit(Api::Create, Priority::Low).await.is_ok());
        assert!(account.admit(Api::Create, Priority::Low).await.is_ok());
    }

    #[tokio::test]
    async fn a_probe_of_the_days_quota_is_a_keys_first() {
        let (clock, account) = account().await;
        call(&account, Api::Create, refusal(45009)).await;
        clock.advance(PROBE_EVERY);
        assert!(account.admit(Api::Create, Priority::Low).await.is_err());
        let probe = account.admit(Api::Create, Priority::High).await.unwrap();
        assert!(account.admit(Api::Create, Priority::High).await.is_err());
        account.learn(probe, &Ok(())).await;
        assert!(account.admit(Api::Create, Priority::Low).await.is_ok());
    }

    #[tokio::test]
    async fn a_stop_by_the_minute_limit_ends_sooner_for_keys() {
        let (clock, account) = account().await;
        let admit = |priority| account.admit(Api::Create, priority);
        call(&account, Api::Create, refusal(45011)).await;
        let probe = admit(Priority::High).await.expect("at once");
        let told = admit(Priority::High).await.unwrap_err();
        assert_eq!(told.retry_after, KEY_PROBE_EVERY, "one at a time");
        account.learn(probe, &refusal::<()>(45011)).await;

        clock.advance(KEY_PROBE_EVERY);
        let told = admit(Priority::Low).await.unwrap_err();
        assert_eq!(told.retry_after + KEY_PROBE_EVERY, PROBE_EVERY);
        let probe = admit(Priority::High).await.expect("visitors took none");
        account.learn(probe, &Ok(())).await;
        for _ in 0..3 {
            let call = admit(Priority::High).await.expect("they go on");
            account.learn(call, &Ok(())).await;
        }
        assert!(admit(Priority::Low).await.is_err(), "visitors wait on");

        clock.advance(PROBE_EVERY);
        let probe = admit(Priority::Low).await.expect("the visitors' probe");
        account.learn(probe, &refusal::<()>(45011)).await;
        let probe = admit(Priority::High)
            .await
            .expect("a new stop, a new probe");
        account.learn(probe, &refusal::<()>(45011)).await;
        assert!(admit(Priority::High).await.is_err());
    }

    #[tokio::test]
    async fn a_success_that_was_under_way_does_not_end_a_stop() {
        let (_, account) = account().await;
        let early = account.admit(Api::Create, Priority::Low).await.unwrap();
        call(&account, Api::Create, refusal(45009)).await;
        account.learn(early, &Ok(())).await;
        assert!(account.admit(Api::Create, Priority::Low).await.is_err());
    }

    #[tokio::test]
    async fn without_the_store_one_caller_of_a_replica_probes() {
        let (clock, account) = account().await;
        call(&account, Api::Create, refusal(45009)).await;
        account.store.close().await;
        assert!(
            account.admit(Api::Create, Priority::Low).await.is_err(),
            "it is known here"
        );

        clock.advance(PROBE_EVERY + PROBE_PRECEDENCE);
        let probe = account
            .admit(Api::Create, Priority::Low)
            .await
            .expect("the probe");
        assert!(
            account.admit(Api::Create, Priority::Low).await.is_err(),
            "one probe only"
        );
        account.learn(probe, &Ok(())).await;
        assert!(account.admit(Api::Create, Priority::Low).await.is_ok());
    }

    #[tokio::test]
    async fn a_fault_stands_until_the_call_that_showed_it_works() {
        let (_, account) = account().await;
        for (api, errcode, ends_with_a_token) in [
            (Api::Token, 40001, true),
            (Api::Token, 40164, true),
            (Api::Create, 48001, false),
        ] {
            call(&account, api, refusal(errcode)).await;
            assert_eq!(account.fault().unwrap().refusal.errcode, Errcode(errcode));
            call(&account, Api::Token, Ok(())).await;
            assert_eq!(
                account.fault().is_none(),
                ends_with_a_token,
                "errcode {errcode}"
            );
            call(&account, Api::Create, Ok(())).await;
            assert_eq!(account.fault(), None, "errcode {errcode}");
        }
    }

    #[tokio::test]
    async fn passing_trouble_is_no_fault() {
        // The last is a token that died, which is renewed.
        for errcode in [-1, 45011, 40053, 45029, 42001] {
            let (_, account) = account().await;
            call(&account, Api::Create, refusal(errcode)).await;
            assert_eq!(account.fault(), None, "errcode {errcode}");
        }
    }
}
