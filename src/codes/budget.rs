//! The daily budget of mints that visitors share. Keys are not charged.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;

use super::cooldown::Cooldown;
use super::error::BudgetExhausted;
use crate::clock::China;
use crate::telemetry;

/// While the database is down, a process spends one part in so many of what was left when the
/// database answered last.
const OFFLINE_SHARE: u64 = 10;

/// How long a used-up budget is remembered without a query. A refund is noticed after that.
const SPENT_MEMORY: Duration = Duration::from_secs(5);

/// This process's part of the visitors' daily budget: its limit, whether it is known to be used up,
/// and what may be spent while the database is down. The mints themselves are counted in the
/// database.
#[derive(Debug)]
pub(super) struct Budget {
    a_day: u64,
    /// What this process may still mint while the database is down.
    offline: AtomicU64,
    /// The database's answer that the budget is used up.
    spent: Mutex<Option<Cooldown<()>>>,
    /// The day on which the log said that the budget is used up.
    logged_on: Mutex<Option<String>>,
}

impl Budget {
    pub(super) fn new(a_day: u64) -> Self {
        Self {
            a_day,
            offline: AtomicU64::new(a_day / OFFLINE_SHARE),
            spent: Mutex::default(),
            logged_on: Mutex::default(),
        }
    }

    pub(super) fn a_day(&self) -> u64 {
        self.a_day
    }

    /// Returns what is left of the budget after so many mints. Also sets its gauge, and the
    /// allowance while the database is down to a share of it.
    pub(super) fn left_after(&self, anonymous: u64) -> u64 {
        let left = self.a_day.saturating_sub(anonymous);
        self.offline.store(left / OFFLINE_SHARE, Ordering::Relaxed);
        telemetry::anonymous_budget_remaining(left);
        left
    }

    /// Records that the budget is used up, as the database answered, and returns the error.
    pub(super) fn exhausted(&self, now: Timestamp) -> BudgetExhausted {
        self.log_once_per_day(now);
        let exhausted = BudgetExhausted::at(now);
        // The next day has a budget of its own.
        let length = SPENT_MEMORY.min(exhausted.retry_after);
        *self.spent() = Some(Cooldown::new((), now, length));
        exhausted
    }

    /// Fails while the budget is known to be used up, so that such requests cost no query.
    ///
    /// # Errors
    /// If it was.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), BudgetExhausted> {
        match &*self.spent() {
            Some(spent) if spent.failure(now).is_some() => Err(BudgetExhausted::at(now)),
            _ => Ok(()),
        }
    }

    fn spent(&self) -> MutexGuard<'_, Option<Cooldown<()>>> {
        self.spent.lock().expect("no one panics while holding it")
    }

    /// Charges the allowance while the database is down, for keys too. Says whether there was any.
    pub(super) fn charge_offline(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        self.offline
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }

    /// Takes back what was charged while the database is down.
    pub(super) fn refund_offline(&self) {
        self.offline.fetch_add(1, Ordering::Relaxed);
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
    use super::*;

    #[test]
    fn a_budget_is_known_to_be_used_up_until_midnight_in_china_at_most() {
        // 23:59:58 in China.
        let now: Timestamp = "2026-11-22T15:59:58Z".parse().unwrap();
        let budget = Budget::new(1);
        budget.check(now).unwrap();
        let _ = budget.exhausted(now);
        let later = now + Duration::from_millis(1999);
        let refusal = budget.check(later).unwrap_err();
        assert_eq!(refusal.retry_after, Duration::from_millis(1));
        budget.check(now + Duration::from_secs(2)).unwrap();
    }

    #[test]
    fn the_offline_allowance_is_a_tenth_of_what_is_left() {
        let budget = Budget::new(100);
        assert_eq!(budget.left_after(70), 30);
        let charged = std::iter::from_fn(|| budget.charge_offline().then_some(()));
        assert_eq!(charged.count(), 3);
        budget.refund_offline();
        assert!(budget.charge_offline());
    }
}
