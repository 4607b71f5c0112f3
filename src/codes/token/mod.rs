//! The access token: one for all callers, renewed ahead of its expiry and after WeChat refused it.
//!
//! It must not know who needs the token or for what. [`renewal`] calls WeChat; [`stable`] and
//! [`classic`] are its two kinds of token; [`held`] is the state.

mod classic;
mod error;
mod held;
mod renewal;
mod stable;

use std::sync::Arc;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wechat::{AccessToken, WeChat};

pub use self::error::{TokenError, TokenRefusal};
use self::held::{TokenCache, Usable};
use self::renewal::Renewal;
pub use self::stable::FORCED_APART;
use super::breaker::CircuitBreaker;
use super::single_flight::{Call, SingleFlight};
use super::sql::CodeStore;
use crate::clock::Clock;

/// Keeps the access token. Shared by all callers of WeChat.
#[derive(Debug)]
pub struct Tokens {
    renewal: Arc<Renewal>,
    calls: SingleFlight<(), (), AccessToken, TokenError>,
}

impl Tokens {
    /// Creates one without a token. Calls run on `tasks`, so that a shutdown can wait for them.
    pub fn new(
        wechat: Arc<WeChat>,
        breaker: Arc<CircuitBreaker>,
        store: CodeStore,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> Self {
        let renewal = Renewal {
            wechat,
            breaker,
            store,
            clock,
            state: TokenCache::default(),
        };
        Self {
            renewal: Arc::new(renewal),
            calls: SingleFlight::new(tasks),
        }
    }

    /// Returns the token that is good now. Waits only if there is none; near its end it is renewed
    /// in the background. Cancel safe.
    ///
    /// # Errors
    /// [`TokenError`], shared by all who waited.
    pub async fn get(&self) -> Result<AccessToken, Arc<TokenError>> {
        let now = self.renewal.clock.now();
        match self.renewal.state.usable(now) {
            Usable::Fresh(token) => Ok(token),
            Usable::DueForRenewal(token) => {
                self.refresh("ahead");
                Ok(token)
            }
            Usable::None(reason) => match self.renewal.state.cooling_down(now) {
                Some(refusal) => Err(Arc::new(refusal.into())),
                None => self.refresh(reason).wait().await,
            },
        }
    }

    /// Returns a token instead of one that WeChat refused, and what is known of the refused one.
    /// Many may report the same token: it is dropped once, and a newer one is kept. Cancel safe.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn replace(
        &self,
        refused: &AccessToken,
    ) -> Result<(AccessToken, TokenRefusal), Arc<TokenError>> {
        let refusal = self.renewal.state.drop_refused(refused);
        let newer = self.get().await?;
        let superseded = self.renewal.state.is_adopted(&newer);
        let refusal = if superseded {
            TokenRefusal::Superseded
        } else {
            refusal
        };
        Ok((newer, refusal))
    }

    /// Notes that WeChat accepted this token in a call.
    pub fn accepted(&self, token: &AccessToken) {
        self.renewal.state.accept(token);
    }

    /// Returns when the held token ends; none while there is none.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.renewal.state.expires_at(self.renewal.clock.now())
    }

    fn refresh(&self, reason: &'static str) -> Call<(), AccessToken, TokenError> {
        let renewal = Arc::clone(&self.renewal);
        self.calls
            .join_or_start(&(), (), || async move { renewal.renew(reason).await })
            .0
    }

    /// Takes the first token and renews each before its end, so that no visitor waits. Returns when
    /// `stop` is cancelled.
    pub async fn keep_renewed(&self, stop: CancellationToken) {
        loop {
            let _ = self.get().await; // A failure is logged by the call.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.renewal.until_renewal()) => {}
            }
        }
    }
}
