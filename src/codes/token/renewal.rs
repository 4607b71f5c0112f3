//! Renews the access token: one call to WeChat, or the token of another replica.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use wechat::{AccessToken, Api, GrantedToken, TokenCall, TokenSource, WeChat};

use super::error::TokenError;
use super::held::{TokenCache, TokenOrigin};
use crate::clock::Clock;
use crate::codes::breaker::{CircuitBreaker, Priority};
use crate::codes::sql::CodeStore;
use crate::remedy;
use crate::telemetry::{self, Causes};

/// How often the background task tries while there is no token at all.
const IDLE_RETRY: Duration = Duration::from_mins(1);

/// Renews the access token, by a call to WeChat or from another replica, and keeps its cache.
#[derive(Debug)]
pub(super) struct TokenRenewer {
    pub(super) wechat: Arc<WeChat>,
    pub(super) breaker: Arc<CircuitBreaker>,
    pub(super) store: CodeStore,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cache: TokenCache,
}

impl TokenRenewer {
    /// Returns how long the background task may sleep.
    pub(super) fn until_renewal(&self) -> Duration {
        let now = self.clock.now();
        let renew_at = self.cache.renew_at();
        renew_at.map_or(IDLE_RETRY, |at| {
            Duration::try_from(now.duration_until(at))
                .unwrap_or_default()
                .max(Duration::from_secs(1))
        })
    }

    /// Renews the token, and logs it, because no caller may be waiting.
    pub(super) async fn renew(&self, reason: &'static str) -> Result<AccessToken, TokenError> {
        let result = self.take(reason).await;
        match &result {
            Ok(_) => tracing::info!(reason, "access token fetched"),
            Err(error) => {
                let refusal = error.refusal();
                tracing::error!(
                    reason,
                    errcode = refusal.map(|refusal| refusal.errcode.0),
                    errmsg = refusal.map(|refusal| refusal.errmsg.as_str()),
                    action = refusal.map(|refusal| remedy::for_errcode(refusal.errcode)),
                    error = %Causes(error),
                    "no access token"
                );
                self.cache.fail(error, self.clock.now());
            }
        }
        result
    }

    async fn take(&self, reason: &'static str) -> Result<AccessToken, TokenError> {
        match self.wechat.token_source() {
            TokenSource::Stable => self.take_stable(reason).await,
            TokenSource::Classic => self.take_classic(reason).await,
        }
    }

    /// Calls WeChat for a token, through the circuit breaker; also returns when the call began.
    pub(super) async fn fetch(
        &self,
        how: TokenCall,
    ) -> Result<(Timestamp, GrantedToken), TokenError> {
        self.breaker.refresh(Api::Token).await;
        let permit = self.breaker.acquire(Api::Token, Priority::High).await;
        let permit = permit.map_err(TokenError::CircuitOpen)?;
        let asked_at = self.clock.now();
        let result = self.wechat.fetch_token(how).await;
        self.breaker.record(permit, &result).await;
        Ok((asked_at, result.map_err(TokenError::WeChat)?))
    }

    /// Keeps a token that this process fetched.
    pub(super) fn keep_fetched(
        &self,
        asked_at: Timestamp,
        granted: GrantedToken,
        reason: &'static str,
    ) -> AccessToken {
        self.cache.keep(asked_at, &granted, TokenOrigin::Fetched);
        telemetry::token_refreshed(reason, asked_at + granted.expires_in);
        granted.token
    }
}
