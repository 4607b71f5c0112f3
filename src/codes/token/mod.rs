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
use self::held::{CachedToken, TokenCache};
use self::renewal::TokenRenewer;
pub use self::stable::FORCED_APART;
use super::breaker::CircuitBreaker;
use super::single_flight::{Call, SingleFlight};
use super::sql::CodeStore;
use crate::clock::Clock;

/// Provider of the access token: one for all callers of WeChat, cached, and renewed ahead of its
/// expiry by one call at a time (single flight).
#[derive(Debug)]
pub struct Tokens {
    renewer: Arc<TokenRenewer>,
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
        let renewer = TokenRenewer {
            wechat,
            breaker,
            store,
            clock,
            cache: TokenCache::default(),
        };
        Self {
            renewer: Arc::new(renewer),
            calls: SingleFlight::new(tasks),
        }
    }

    /// Returns the token that is good now. Waits only if there is none; near its end it is renewed
    /// in the background. Cancel safe.
    ///
    /// # Errors
    /// [`TokenError`], shared by all who waited.
    pub async fn get(&self) -> Result<AccessToken, Arc<TokenError>> {
        let now = self.renewer.clock.now();
        match self.renewer.cache.usable(now) {
            CachedToken::Fresh(token) => Ok(token),
            CachedToken::DueForRenewal(token) => {
                self.refresh("ahead");
                Ok(token)
            }
            CachedToken::None(reason) => match self.renewer.cache.cooling_down(now) {
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
        let refusal = self.renewer.cache.drop_refused(refused);
        let newer = self.get().await?;
        let superseded = self.renewer.cache.is_adopted(&newer);
        let refusal = if superseded {
            TokenRefusal::Superseded
        } else {
            refusal
        };
        Ok((newer, refusal))
    }

    /// Notes that WeChat accepted this token in a call.
    pub fn accepted(&self, token: &AccessToken) {
        self.renewer.cache.accept(token);
    }

    /// Returns when the held token ends; none while there is none.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.renewer.cache.expires_at(self.renewer.clock.now())
    }

    fn refresh(&self, reason: &'static str) -> Call<(), AccessToken, TokenError> {
        let renewer = Arc::clone(&self.renewer);
        self.calls
            .join_or_start(&(), (), || async move { renewer.renew(reason).await })
            .0
    }

    /// Takes the first token and renews each before its end, so that no visitor waits. Returns when
    /// `stop` is cancelled.
    pub async fn keep_renewed(&self, stop: CancellationToken) {
        loop {
            let _ = self.get().await; // A failure is logged by the call.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.renewer.until_renewal()) => {}
            }
        }
    }
}
