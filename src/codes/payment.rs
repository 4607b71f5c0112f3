//! Who pays for a mint. Keys do not; visitors share a budget of so many mints a day.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::access::Caller;
use crate::clock::China;
use crate::store::{self, Store};
use crate::telemetry::{self, Causes};

/// While the store cannot be asked, a process spends this part of what was left when it was asked last.
const OFFLINE_SHARE: u64 = 10;

/// On whose account a mint goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Payer {
    /// Nobody's: a key may mint.
    Key,
    /// The visitors' budget.
    Visitors,
}

impl Payer {
    pub(super) fn of(caller: &Caller) -> Self {
        match caller {
            Caller::Visitor => Self::Visitors,
            Caller::Key(_) => Self::Key,
        }
    }
}

/// The visitors' budget, shared through the store.
#[derive(Debug)]
pub(super) struct Budget {
    a_day: u64,
    /// What this process may still mint while the store is down.
    offline: AtomicU64,
}

/// The budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the visitors' mints of the day are used up")]
pub struct BudgetExhausted {
    /// Until the next day begins in China.
    pub retry_after: Duration,
}

impl Budget {
    pub(super) fn new(a_day: u64) -> Self {
        Self {
            a_day,
            offline: AtomicU64::new(a_day / OFFLINE_SHARE),
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
    /// When nothing is left.
    pub(super) async fn pay(
        &self,
        payer: Payer,
        store: &Store,
        now: jiff::Timestamp,
    ) -> Result<(), BudgetExhausted> {
        let paid = match payer {
            Payer::Key => true,
            Payer::Visitors => match store.take_anonymous_mint(self.a_day).await {
                Ok(paid) => paid,
                Err(_) => self.pay_offline(),
            },
        };
        if paid {
            Ok(())
        } else {
            Err(BudgetExhausted {
                retry_after: China::until_midnight(now),
            })
        }
    }

    /// While the store is down nobody mints without limit, keys included.
    pub(super) fn pay_offline(&self) -> bool {
        self.offline
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }

    /// Gives back what was paid for a mint whose request never left.
    pub(super) async fn refund(&self, payer: Payer, store: &Store) {
        let refunded: Result<(), store::Error> = match payer {
            Payer::Key => Ok(()),
            Payer::Visitors => store.refund_anonymous_mint().await,
        };
        if let Err(error) = refunded {
            tracing::debug!(
                error = %Causes(&error),
                "a mint was not refunded"
            );
        }
    }
}
