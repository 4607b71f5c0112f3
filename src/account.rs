//! How the account stands at WeChat: the last fault that only its owner can mend, and the quotas that are used up.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::store::{Stop, Store};
use crate::telemetry;
use crate::wechat::{self, Api, Class, Errcode, Refusal};

/// How often a call that met an exhausted quota is tried again, whatever the number of visitors.
const PROBE_EVERY: Duration = Duration::from_mins(1);

/// What we know of the account. Shared by all who call WeChat.
#[derive(Debug)]
pub struct Account {
    clock: Arc<dyn Clock>,
    store: Store,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    /// The stops as this process saw them last: for when the store cannot be asked.
    stops: HashMap<Api, Stop>,
    /// Those of them that the store could not be told.
    untold: HashSet<Api>,
}

/// The leave to make one call. [`Account::learn`] takes it back with what the call gave.
#[derive(Debug)]
#[must_use = "the account learns from what the call gave"]
pub struct Pass {
    api: Api,
    /// Whether calls are stopped, and this one is to find out if they still have to be.
    probe: bool,
}

/// A refusal that stands until the account's owner does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When WeChat said so last.
    pub at: Timestamp,
    /// Its words.
    pub refusal: Refusal,
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
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            store,
            state: Mutex::default(),
        }
    }

    /// Asks whether a call may be made now. While a quota is used up, one call a minute of all replicas may: the probe.
    ///
    /// # Errors
    /// [`Stopped`] for every other call.
    pub async fn admit(&self, api: Api) -> Result<Pass, Stopped> {
        let Some(stop) = self.current_stop(api).await else {
            return Ok(Pass { api, probe: false });
        };
        let now = self.clock.now();
        let stopped = |retry_after| Stopped {
            errcode: Errcode(stop.errcode),
            retry_after,
        };
        let wait = Duration::try_from(now.duration_until(stop.next_probe)).unwrap_or_default();
        if !wait.is_zero() {
            return Err(stopped(wait));
        }
        if self.take_probe(api, stop, now + PROBE_EVERY).await {
            Ok(Pass { api, probe: true })
        } else {
            Err(stopped(PROBE_EVERY))
        }
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
            Err(wechat::Error::Refused(refusal)) => self.refused(pass.api, refusal).await,
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
        if pass.probe {
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

    async fn refused(&self, api: Api, refusal: &Refusal) {
        let now = self.clock.now();
        if refusal.errcode.needs_the_owner(api) {
            self.state().note(now, refusal);
        }
        if refusal.errcode.class() == Class::Quota {
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
    fn note(&mut self, at: Timestamp, refusal: &Refusal) {
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
        Err(wechat::Error::Refused(Refusal {
            errcode: Errcode(errcode),
            errmsg: String::new(),
        }))
    }

    /// A call that was allowed, and what it gave.
    async fn call(account: &Account, api: Api, result: Result<(), wechat::Error>) {
        let pass = account.admit(api).await.unwrap();
        account.learn(pass, &result).await;
    }

    async fn account() -> (Arc<ManualClock>, Account) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = Store::in_memory(Arc::<ManualClock>::clone(&clock)).await;
        (Arc::clone(&clock), Account::new(store, clock))
    }

    #[tokio::test]
    async fn an_exhausted_quota_lets_one_probe_a_minute_through_until_it_clears() {
        let (clock, account) = account().await;
        call(&account, Api::Create, refusal(45009)).await;
        assert_eq!(
            account.admit(Api::Create).await.unwrap_err().retry_after,
            Duration::from_mins(1)
        );
        assert!(
            account.admit(Api::Token).await.is_ok(),
            "each call has its own quota"
        );

        clock.advance(Duration::from_mins(1));
        let probe = account.admit(Api::Create).await.expect("the probe");
        assert!(account.admit(Api::Create).await.is_err(), "one probe only");

        account.learn(probe, &Ok(())).await;
        assert!(account.admit(Api::Create).await.is_ok());
        assert!(account.admit(Api::Create).await.is_ok());
    }

    #[tokio::test]
    async fn a_success_that_was_under_way_does_not_end_a_stop() {
        let (_, account) = account().await;
        let early = account.admit(Api::Create).await.unwrap();
        call(&account, Api::Create, refusal(45009)).await;
        account.learn(early, &Ok(())).await;
        assert!(account.admit(Api::Create).await.is_err());
    }

    #[tokio::test]
    async fn without_the_store_one_caller_of_a_replica_probes() {
        let (clock, account) = account().await;
        call(&account, Api::Create, refusal(45009)).await;
        account.store.close().await;
        assert!(
            account.admit(Api::Create).await.is_err(),
            "it is known here"
        );

        clock.advance(PROBE_EVERY);
        let probe = account.admit(Api::Create).await.expect("the probe");
        assert!(account.admit(Api::Create).await.is_err(), "one probe only");
        account.learn(probe, &Ok(())).await;
        assert!(account.admit(Api::Create).await.is_ok());
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
