//! Who pays for a mint. Keys do not; visitors share a budget of so many mints a day.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;

use super::error::{BudgetExhausted, MintError};
use super::sql::CodeStore;
use crate::access::Requester;
use crate::clock::China;
use crate::telemetry::{self, Causes};

/// While the store cannot be asked, a process spends this part of what was left when it was asked last.
const OFFLINE_SHARE: u64 = 10;

/// How long the store is not asked again for a budget that it called used up. A refund is noticed after that.
const SPENT_MEMORY: Duration = Duration::from_secs(5);

/// What was paid for a mint, so that it can be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paid {
    /// Nothing: a key asked.
    Nothing,
    /// One of the budget's mints, in the store.
    Budget,
    /// One of those that this process may make without the store.
    Offline,
}

/// The visitors' budget, shared through the store.
#[derive(Debug)]
pub(super) struct Budget {
    a_day: u64,
    /// What this process may still mint while the store is down.
    offline: AtomicU64,
    /// Until when the budget is taken to be used up, because the store has just said so.
    spent_until: Mutex<Timestamp>,
    /// The day whose end of the budget is in the log.
    told: Mutex<Option<String>>,
}

impl Budget {
    pub(super) fn new(a_day: u64) -> Self {
        Self {
            a_day,
            offline: AtomicU64::new(a_day / OFFLINE_SHARE),
            spent_until: Mutex::default(),
            told: Mutex::default(),
        }
    }

    pub(super) fn a_day(&self) -> u64 {
        self.a_day
    }

    /// What is left of the budget once visitors caused so many mints; remembers it for when the store is down.
    pub(super) fn left_after(&self, anonymous: u64) -> u64 {
        let left = self.a_day.saturating_sub(anonymous);
        self.offline.store(left / OFFLINE_SHARE, Ordering::Relaxed);
        telemetry::anonymous_budget_remaining(left);
        left
    }

    /// Pays for one mint before it is made.
    ///
    /// # Errors
    /// When nothing is left, or the store cannot say.
    pub(super) async fn pay(
        &self,
        requester: Requester,
        store: &CodeStore,
        now: Timestamp,
    ) -> Result<Paid, MintError> {
        if requester == Requester::Key {
            return Ok(Paid::Nothing);
        }
        match store.take_anonymous_mint(self.a_day).await {
            Ok(true) => Ok(Paid::Budget),
            Ok(false) => {
                self.tell_once_a_day(now);
                // The next day has a budget of its own.
                *self.spent_until() = now + SPENT_MEMORY.min(China::until_midnight(now));
                Err(BudgetExhausted::at(now).into())
            }
            Err(error) if store.is_up() => Err(error.into()),
            Err(error) => self.pay_offline().ok_or_else(|| error.into()),
        }
    }

    /// Whether the budget was used up a moment ago, so that whoever comes on does not cost the store a question each.
    ///
    /// # Errors
    /// If it was.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), BudgetExhausted> {
        if now < *self.spent_until() {
            Err(BudgetExhausted::at(now))
        } else {
            Ok(())
        }
    }

    fn spent_until(&self) -> MutexGuard<'_, Timestamp> {
        self.spent_until
            .lock()
            .expect("no one panics while holding it")
    }

    /// While the store is down nobody mints without limit, keys included.
    pub(super) fn pay_offline(&self) -> Option<Paid> {
        let one_less = |left: u64| left.checked_sub(1);
        self.offline
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
            .then_some(Paid::Offline)
    }

    /// Gives back what was paid for a mint whose request never left.
    pub(super) async fn refund(&self, paid: Paid, store: &CodeStore) {
        match paid {
            Paid::Nothing => {}
            Paid::Offline => {
                self.offline.fetch_add(1, Ordering::Relaxed);
            }
            Paid::Budget => {
                if let Err(error) = store.refund_anonymous_mint().await {
                    tracing::debug!(error = %Causes(&error), "a mint was not refunded");
                }
            }
        }
    }

    /// One line for the operator, however many visitors come after it.
    fn tell_once_a_day(&self, now: Timestamp) {
        let today = China::day(now);
        let mut told = self.told.lock().expect("no one panics while holding it");
        if told.replace(today.clone()) != Some(today) {
            tracing::warn!(
                budget = self.a_day,
                "the visitors' mints of the day are used up (WXQR_ANONYMOUS_BUDGET)"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Arc;

    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[tokio::test]
    async fn a_budget_that_was_used_up_is_whole_again_at_midnight() {
        // 23:59:58 in China.
        let start = "2026-11-22T15:59:58Z".parse().unwrap();
        let clock = Arc::new(ManualClock::starting_at(start));
        let store = CodeStore::in_memory(clock.clone() as Arc<dyn Clock>).await;
        let budget = Budget::new(1);
        let visitor = Requester::Visitor(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
        let pay = || budget.pay(visitor, &store, clock.now());
        assert_eq!(pay().await.unwrap(), Paid::Budget);
        let refused = pay().await.unwrap_err();
        assert!(matches!(refused, MintError::Budget(_)), "{refused}");

        clock.advance(Duration::from_millis(1999));
        let refusal = budget.check(clock.now()).unwrap_err();
        assert_eq!(refusal.retry_after, Duration::from_millis(1));
        clock.advance(Duration::from_millis(1));
        budget.check(clock.now()).unwrap();
        assert_eq!(pay().await.unwrap(), Paid::Budget);
    }
}
