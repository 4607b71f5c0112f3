//! Admission control: the gates between a request and a call to WeChat.
//!
//! In order; of a permanent code, the stock comes before the upstream concurrency. A caller waits
//! at all of them together for `WXQR_UPSTREAM_TIMEOUT` at most, and then gets a 504, while the mint
//! goes on. A request that a gate refuses is served a stale code where there is one. While the
//! database is down, [`Budget::charge_offline`] stands for the lease and the budget of the day.
//!
//! | gate | protects | how much | the refused get |
//! |---|---|---|---|
//! | permission, [`Caller::authorize_mint`] | the account from strangers | `WXQR_ACCESS`, scopes | 401, 403 |
//! | mints in flight | memory | [`MAX_IN_FLIGHT`] of visitors, and as many of keys | 503 |
//! | the budget known to be used up | the database from a query each | [`Budget::check`] | 429 |
//! | rate of one visitor, [`RateLimiter`] | the others' share of the budget | `WXQR_VISITOR_RATE` | 429 |
//! | pace of all visitors, [`Pacer`] | WeChat's minute limit | `WXQR_VISITOR_PACE` | a wait, for half of `WXQR_UPSTREAM_TIMEOUT`; then 503 |
//! | upstream concurrency, [`UpstreamPermit`] | WeChat, and the memory of waiting calls | [`MAX_CONCURRENT_MINTS`], of which [`RESERVED_FOR_KEYS`] are for keys | a wait, for [`MINT_TIMEOUT`]; then 503 |
//! | lease and budget of the day, [`MintGrant`] | one mint of a scene in all replicas; the day's quota | one; `WXQR_ANONYMOUS_BUDGET` | a wait; 429 |
//! | stock of permanent codes, [`ReserveOutcome`] | a stock that never grows | `WXQR_PERMANENT_LIMIT` | 409 |
//! | cooldown of the access token, [`Tokens`] | WeChat from calls with a secret that it refuses | a second, doubled up to a minute | what the refusal was answered with |
//! | circuit breaker, [`CircuitBreaker`] | a quota that is used up | a probe each [`PROBE_INTERVAL`], for keys each [`HIGH_PRIORITY_PROBE_INTERVAL`] of the minute limit | 503 |
//!
//! The permit to call WeChat is given back when WeChat has answered, before the result is written.
//!
//! [`Caller::authorize_mint`]: crate::access::Caller::authorize_mint
//! [`MINT_TIMEOUT`]: super::mint::MINT_TIMEOUT
//! [`MintGrant`]: super::sql::MintGrant
//! [`ReserveOutcome`]: super::sql::ReserveOutcome
//! [`Tokens`]: super::token::Tokens
//! [`CircuitBreaker`]: super::breaker::CircuitBreaker
//! [`PROBE_INTERVAL`]: super::breaker::PROBE_INTERVAL
//! [`HIGH_PRIORITY_PROBE_INTERVAL`]: super::breaker::HIGH_PRIORITY_PROBE_INTERVAL

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::budget::Budget;
use super::error::Error;
use super::pace_log::PaceLog;
use super::settings::IssueSettings;
use crate::access::{PaceExceeded, Pacer, RateLimiter, RateToken, Requester};
use crate::clock::Clock;

/// The most mints of visitors, and of keys, that are in flight or queued. A bound on memory: each
/// is a task of a few kilobytes.
const MAX_IN_FLIGHT: usize = 4096;

/// WeChat's own bound is not known; chosen to be gentle.
pub(crate) const MAX_CONCURRENT_MINTS: usize = 64;

/// Reserved for keys, so that they are served while a crowd of visitors waits.
const RESERVED_FOR_KEYS: usize = 4;

/// Admission control of mints in this process: how many are in flight, the budget that is known to
/// be used up, rate and pace of visitors, upstream concurrency.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) budget: Budget,
    rate: RateLimiter,
    pacer: Pacer,
    pace_log: PaceLog,
    max_pace_wait: Duration,
    concurrency: Semaphore,
    visitors_concurrency: Semaphore,
    clock: Arc<dyn Clock>,
}

/// The right to call WeChat, until it is dropped.
#[derive(Debug)]
pub(super) struct UpstreamPermit<'a> {
    _shared: SemaphorePermit<'a>,
    _visitors: Option<SemaphorePermit<'a>>,
}

/// Rate token of the pace, the rate limit of all visitors together: none until a visitor's mint has
/// taken one, and always none for a key.
pub(super) type PaceToken = Option<RateToken>;

impl Admission {
    pub(super) fn new(settings: IssueSettings, clock: &Arc<dyn Clock>) -> Self {
        Self {
            budget: Budget::new(settings.anonymous_budget),
            rate: RateLimiter::new(settings.visitor_rate, Arc::clone(clock)),
            pacer: Pacer::new(settings.visitor_pace, Arc::clone(clock)),
            pace_log: PaceLog::default(),
            // WeChat has the other half.
            max_pace_wait: settings.timeout / 2,
            concurrency: Semaphore::new(MAX_CONCURRENT_MINTS),
            visitors_concurrency: Semaphore::new(MAX_CONCURRENT_MINTS - RESERVED_FOR_KEYS),
            clock: Arc::clone(clock),
        }
    }

    /// Lets a mint start beside `in_flight` others, if the gates before it are open. The token of
    /// the visitor's rate is to be refunded if the mint costs nothing.
    ///
    /// # Errors
    /// When too many are in flight, or the day's budget or the visitor's rate is used up.
    pub(super) fn start(
        &self,
        requester: Requester,
        in_flight: usize,
    ) -> Result<Option<RateToken>, Error> {
        if in_flight >= MAX_IN_FLIGHT {
            return Err(Error::TooMany);
        }
        match requester {
            Requester::Key => Ok(None),
            Requester::Visitor(visitor) => {
                self.budget.check(self.clock.now())?;
                Ok(Some(self.rate.try_acquire(visitor)?))
            }
        }
    }

    /// Acquires a permit to call WeChat, if that needs no wait.
    pub(super) fn try_enter(
        &self,
        requester: Requester,
        pace: &mut PaceToken,
    ) -> Option<UpstreamPermit<'_>> {
        if pace.is_none() && requester != Requester::Key {
            *pace = Some(self.pacer.try_acquire().ok()?);
        }
        let visitors = match requester {
            Requester::Key => None,
            Requester::Visitor(_) => Some(self.visitors_concurrency.try_acquire().ok()?),
        };
        Some(UpstreamPermit {
            _shared: self.concurrency.try_acquire().ok()?,
            _visitors: visitors,
        })
    }

    /// Waits for a permit to call WeChat, first come first served. A visitor waits for the pace
    /// first, with nothing held. Cancel safe.
    ///
    /// # Errors
    /// When the wait for the pace would be too long.
    pub(super) async fn enter(
        &self,
        requester: Requester,
        pace: &mut PaceToken,
    ) -> Result<UpstreamPermit<'_>, PaceExceeded> {
        const OPEN: &str = "the semaphores are never closed";
        if pace.is_none() && requester != Requester::Key {
            let acquired = self.pacer.acquire(self.max_pace_wait).await;
            *pace = Some(acquired.inspect_err(|_| self.pace_log.exceeded())?);
        }
        // The visitors' permit first, so that a waiting visitor holds no place in the shared queue.
        let visitors = match requester {
            Requester::Key => None,
            Requester::Visitor(_) => Some(self.visitors_concurrency.acquire().await.expect(OPEN)),
        };
        Ok(UpstreamPermit {
            _shared: self.concurrency.acquire().await.expect(OPEN),
            _visitors: visitors,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;
    use crate::access::Visitor;
    use crate::clock::SystemClock;

    const VISITOR: Requester = Requester::Visitor(Visitor::V4(Ipv4Addr::LOCALHOST));

    #[tokio::test]
    async fn a_crowd_of_visitors_leaves_four_permits_for_keys() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let admission = Admission::new(IssueSettings::unlimited(), &clock);
        let enter = |requester| admission.try_enter(requester, &mut None);
        let mut visitors: Vec<_> = std::iter::from_fn(|| enter(VISITOR)).collect();
        assert_eq!(visitors.len(), 60);

        let mut pace = Some(admission.pacer.try_acquire().unwrap());
        let mut waiting = std::pin::pin!(admission.enter(VISITOR, &mut pace));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        let keys: Vec<_> = std::iter::from_fn(|| enter(Requester::Key)).collect();
        assert_eq!(keys.len(), 4);

        drop(visitors.pop());
        assert!(waiting.now_or_never().is_some(), "the next visitor");
    }
}
