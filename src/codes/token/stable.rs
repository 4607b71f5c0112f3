//! The stable token: each call gives the same token until it expires or a refresh is forced.

use std::time::Duration;

use wechat::{AccessToken, TokenCall};

use super::error::TokenError;
use super::renewal::TokenRenewer;

/// The most forced refreshes of a day, by WeChat's documents.
const FORCED_A_DAY: usize = 20;

/// The least time between two forced refreshes, by WeChat's documents.
pub const FORCED_APART: Duration = Duration::from_secs(30);

/// How often, and how long apart, the ordinary call is asked for the token that another replica has
/// just forced.
const FORCED_ELSEWHERE_POLLS: u32 = 4;
const FORCED_ELSEWHERE_PAUSE: Duration = Duration::from_millis(500);

impl TokenRenewer {
    /// Fetches the token by the ordinary call. If that gives the one that WeChat refused, forces a
    /// refresh.
    pub(super) async fn take_stable(
        &self,
        reason: &'static str,
    ) -> Result<AccessToken, TokenError> {
        let (asked_at, granted) = self.fetch(TokenCall::Normal).await?;
        if !self.cache.is_refused(&granted.token) {
            return Ok(self.keep_fetched(asked_at, granted, reason));
        }
        let allowed = self
            .store
            .take_forced_refresh(FORCED_A_DAY, FORCED_APART)
            .await;
        if !allowed.map_err(TokenError::Database)? {
            return self.adopt_forced(reason).await;
        }
        let (asked_at, granted) = self.fetch(TokenCall::Forced).await?;
        Ok(self.keep_fetched(asked_at, granted, "forced"))
    }

    /// Polls the ordinary call for the token that another replica has just forced, which is why
    /// this one may not force a refresh.
    async fn adopt_forced(&self, reason: &'static str) -> Result<AccessToken, TokenError> {
        for _ in 0..FORCED_ELSEWHERE_POLLS {
            tokio::time::sleep(FORCED_ELSEWHERE_PAUSE).await;
            let (asked_at, granted) = self.fetch(TokenCall::Normal).await?;
            if !self.cache.is_refused(&granted.token) {
                return Ok(self.keep_fetched(asked_at, granted, reason));
            }
        }
        Err(TokenError::ForcedTooOften)
    }
}
