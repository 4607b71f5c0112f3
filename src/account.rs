//! How the account stands at WeChat: the last fault that only its owner can mend, and the quotas that are used up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;
use crate::telemetry;
use crate::wechat::{self, Api, Class, Errcode, Refusal};

/// How often a call that met an exhausted quota is tried again, whatever the number of visitors.
const PROBE_EVERY: Duration = Duration::from_mins(1);

/// What we know of the account. Shared by all who call WeChat.
#[derive(Debug)]
pub struct Account {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    stops: HashMap<Api, QuotaStop>,
}

/// A refusal that stands until the account's owner does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When WeChat said so last.
    pub at: Timestamp,
    /// Its words.
    pub refusal: Refusal,
}

#[derive(Debug)]
struct QuotaStop {
    errcode: Errcode,
    next_probe: Timestamp,
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
    /// A fresh account, without faults.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Asks whether a call may be made now. While a quota is used up, one call a minute may: the probe.
    ///
    /// # Errors
    /// [`Stopped`] for every other call.
    pub fn admit(&self, api: Api) -> Result<(), Stopped> {
        let now = self.clock.now();
        let mut state = self
            .state
            .lock()
            .expect("no one panics while holding the state");
        let Some(stop) = state.stops.get_mut(&api) else {
            return Ok(());
        };
        let wait = Duration::try_from(now.duration_until(stop.next_probe)).unwrap_or_default();
        if wait.is_zero() {
            stop.next_probe = now + PROBE_EVERY;
            return Ok(());
        }
        Err(Stopped {
            errcode: stop.errcode,
            retry_after: wait,
        })
    }

    /// Learns from what a call gave.
    pub fn learn<T>(&self, api: Api, result: &Result<T, wechat::Error>) {
        match result {
            Ok(_) => self.well(api),
            Err(wechat::Error::Refused(refusal)) => self.refused(api, refusal),
            Err(_) => {}
        }
    }

    fn well(&self, api: Api) {
        let mut state = self
            .state
            .lock()
            .expect("no one panics while holding the state");
        state.stops.remove(&api);
        // A token that is granted says nothing about the right to create codes.
        if api == Api::Create || state.fault.as_ref().is_some_and(Fault::concerns_tokens) {
            state.forget_fault();
        }
    }

    fn refused(&self, api: Api, refusal: &Refusal) {
        let now = self.clock.now();
        let mut state = self
            .state
            .lock()
            .expect("no one panics while holding the state");
        match refusal.errcode.class() {
            Class::Quota => {
                let stop = QuotaStop {
                    errcode: refusal.errcode,
                    next_probe: now + PROBE_EVERY,
                };
                state.stops.insert(api, stop);
            }
            Class::TokenDead if api == Api::Token => state.note(now, refusal),
            Class::Refused | Class::AccountBlocked => state.note(now, refusal),
            _ => {}
        }
    }

    /// The fault that stands, if one does.
    pub fn fault(&self) -> Option<Fault> {
        self.state
            .lock()
            .expect("no one panics while holding the state")
            .fault
            .clone()
    }
}

impl State {
    fn note(&mut self, at: Timestamp, refusal: &Refusal) {
        self.forget_fault();
        telemetry::account_fault(refusal.errcode, true);
        self.fault = Some(Fault {
            at,
            refusal: refusal.clone(),
        });
    }

    fn forget_fault(&mut self) {
        if let Some(fault) = self.fault.take() {
            telemetry::account_fault(fault.refusal.errcode, false);
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

    fn account() -> (Arc<ManualClock>, Account) {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        (Arc::clone(&clock), Account::new(clock))
    }

    #[test]
    fn an_exhausted_quota_lets_one_probe_a_minute_through_until_it_clears() {
        let (clock, account) = account();
        account.learn::<()>(Api::Create, &refusal(45009));
        assert_eq!(
            account.admit(Api::Create).unwrap_err().retry_after,
            Duration::from_mins(1)
        );
        assert!(
            account.admit(Api::Token).is_ok(),
            "each call has its own quota"
        );

        clock.advance(Duration::from_mins(1));
        assert!(account.admit(Api::Create).is_ok(), "the probe");
        assert!(account.admit(Api::Create).is_err(), "one probe only");

        account.learn(Api::Create, &Ok(()));
        assert!(account.admit(Api::Create).is_ok());
        assert!(account.admit(Api::Create).is_ok());
    }

    #[test]
    fn a_fault_stands_until_the_call_that_showed_it_works() {
        let (_, account) = account();
        for (api, errcode, ends_with_a_token) in [
            (Api::Token, 40001, true),
            (Api::Token, 40164, true),
            (Api::Create, 48001, false),
        ] {
            account.learn::<()>(api, &refusal(errcode));
            assert_eq!(account.fault().unwrap().refusal.errcode, Errcode(errcode));
            account.learn(Api::Token, &Ok(()));
            assert_eq!(
                account.fault().is_none(),
                ends_with_a_token,
                "errcode {errcode}"
            );
            account.learn(Api::Create, &Ok(()));
            assert_eq!(account.fault(), None, "errcode {errcode}");
        }
    }

    #[test]
    fn passing_trouble_is_no_fault() {
        let (_, account) = account();
        for errcode in [-1, 45011, 40053, 45029] {
            account.learn::<()>(Api::Create, &refusal(errcode));
            assert_eq!(account.fault(), None, "errcode {errcode}");
        }
        account.learn::<()>(Api::Create, &refusal(42001));
        assert_eq!(account.fault(), None, "a token that died is renewed");
    }
}
