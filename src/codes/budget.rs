//! The daily budget of mints that visitors share. Keys are not charged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;

use super::error::{BudgetExhausted, MintError};
use super::sql::CodeStore;
use crate::access::Requester;
use crate::clock::China;
use crate::telemetry::{self, Causes};

/// While the store cannot be asked, a process spends this part of what was left when it was asked
/// last.
const OFFLINE_SHARE: u64 = 10;

/// How long the store is not asked again for a budget that it called used up. A refund is noticed
/// after that.
const SPENT_MEMORY: Duration = Duration::from_secs(5);

/// What a mint was charged to, for a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charge {
    /// Nothing: a key asked.
    Nothing,
    /// The day's budget, in the database.
    Budget,
    /// This process's allowance while the database is down.
    Offline,
}

/// The visitors' budget, shared by replicas through the database.
#[derive(Debug)]
pub(super) struct Budget {
    a_day: u64,
    /// What this process may still mint while the database is down.
    offline: AtomicU64,
    /// Until when the database's answer that the budget is used up is remembered.
    spent_until: Mutex<Timestamp>,
    /// The day on which the log said that the budget is used up.
    logged_on: Mutex<Option<String>>,
}

impl Budget {
    pub(super) fn new(a_day: u64) -> Self {
        Self {
            a_day,
            offline: AtomicU64::new(a_day / OFFLINE_SHARE),
            spent_until: Mutex::default(),
            logged_on: Mutex::default(),
        }
    }

    pub(super) fn a_day(&self) -> u64 {
        self.a_day
    }

    /// What is left of the budget after so many mints; a share of it is the allowance while the
    /// database is down.
    pub(super) fn left_after(&self, anonymous: u64) -> u64 {
        let left = self.a_day.saturating_sub(anonymous);
        self.offline.store(left / OFFLINE_SHARE, Ordering::Relaxed);
        telemetry::anonymous_budget_remaining(left);
        left
    }

    /// Charges one mint before it is made.
    ///
    /// # Errors
    /// When nothing is left, or the store cannot say.
    pub(super) async fn charge(
        &self,
        requester: Requester,
        store: &CodeStore,
        now: Timestamp,
    ) -> Result<Charge, MintError> {
        if requester == Requester::Key {
            return Ok(Charge::Nothing);
        }
        match store.take_anonymous_mint(self.a_day).await {
            Ok(true) => Ok(Charge::Budget),
            Ok(false) => {
                self.log_once_per_day(now);
                // The next day has a budget of its own.
                *self.spent_until() = now + SPENT_MEMORY.min(China::until_midnight(now));
                Err(BudgetExhausted::at(now).into())
            }
            Err(error) if store.is_up() => Err(error.into()),
            Err(error) => self.charge_offline().ok_or_else(|| error.into()),
        }
    }

    /// Fails while the budget is known to be used up, so that such requests cost no query.
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

    /// Charges the allowance while the database is down, for keys too.
    pub(super) fn charge_offline(&self) -> Option<Charge> {
        let one_less = |left: u64| left.checked_sub(1);
        self.offline
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
            .then_some(Charge::Offline)
    }

    /// Refunds a mint whose request never left.
    pub(super) async fn refund(&self, charge: Charge, store: &CodeStore) {
        match charge {
            Charge::Nothing => {}
            Charge::Offline => {
                self.offline.fetch_add(1, Ordering::Relaxed);
            }
            Charge::Budget => {
                if let Err(error) = store.refund_anonymous_mint().await {
                    tracing::debug!(error = %Causes(&error), "a visitor's budget was not refunded");
                }
            }
        }
    }

    /// Logs once a day, however many visitors follow.
    fn log_once_per_day(&self, now: Timestamp) {
        let today = China::day(now);
        let mut logged_on = self
            .logged_on
            .lock()
            .expect("no one panics while holding it");
        if logged_on.replace(today.clone()) != Some(today) {
            tracing::warn!(
                budget = self.a_day,
                "the visitors' budget of the day is used up (WXQR_ANONYMOUS_BUDGET)"
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
    async fn the_budget_is_reset_at_midnight_in_china() {
        // 23:59:58 in China.
        let start = "2026-11-22T15:59:58Z".parse().unwrap();
        let clock = Arc::new(ManualClock::starting_at(start));
        let store = CodeStore::in_memory(clock.clone() as Arc<dyn Clock>).await;
        let budget = Budget::new(1);
        let visitor = Requester::Visitor(IpAddr::V4(Ipv4Addr::LOCALHOST).into());
        let charge = || budget.charge(visitor, &store, clock.now());
        assert_eq!(charge().await.unwrap(), Charge::Budget);
        let refused = charge().await.unwrap_err();
        assert!(matches!(refused, MintError::Budget(_)), "{refused}");

        clock.advance(Duration::from_millis(1999));
        let refusal = budget.check(clock.now()).unwrap_err();
        assert_eq!(refusal.retry_after, Duration::from_millis(1));
        clock.advance(Duration::from_millis(1));
        budget.check(clock.now()).unwrap();
        assert_eq!(charge().await.unwrap(), Charge::Budget);
    }
}
