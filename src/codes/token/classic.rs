//! The classic token: each call gives a new token and ends the one before it, so replicas share one
//! through the database.

use std::time::Duration;

use tokio::time::Instant;
use wechat::{AccessToken, GrantedToken, MAX_CALL, TokenCall};

use super::error::TokenError;
use super::held::TokenOrigin;
use super::renewal::TokenRenewer;
use crate::codes::sql::LEASE_POLL;
use crate::db;
use crate::telemetry::{self, Causes};

/// The reason of a renewal that took the token of another replica.
const ADOPTED: &str = "shared";

/// How long one replica may take to fetch the classic token for all: to read what is shared, for
/// the call, and to write what it gave.
const CLASSIC_LEASE: Duration = db::DEADLINE
    .saturating_add(MAX_CALL)
    .saturating_add(db::WRITE_TIMEOUT);

/// A shared token that ends sooner than this is not worth taking.
const LEAST_WORTH_TAKING: Duration = Duration::from_secs(10);

impl TokenRenewer {
    /// Fetches the classic token under a lease, or adopts the one that another replica fetched.
    /// Each call ends the token before it, so one replica calls for all.
    pub(super) async fn take_classic(
        &self,
        reason: &'static str,
    ) -> Result<AccessToken, TokenError> {
        let deadline = Instant::now() + CLASSIC_LEASE;
        loop {
            let lease = self
                .store
                .lease("token", CLASSIC_LEASE)
                .await
                .map_err(TokenError::Database)?;
            if let Some(token) = self.adopt_shared().await? {
                return Ok(token);
            }
            if let Some(lease) = lease {
                let token = self.fetch_and_share(reason).await;
                lease.release().await;
                return token;
            }
            if Instant::now() >= deadline {
                return Err(TokenError::Database(db::Error::Timeout));
            }
            tokio::time::sleep(LEASE_POLL).await;
        }
    }

    async fn fetch_and_share(&self, reason: &'static str) -> Result<AccessToken, TokenError> {
        let (asked_at, granted) = self.fetch(TokenCall::Normal).await?;
        let expires_at = asked_at + granted.expires_in;
        if let Err(error) = self
            .store
            .share_classic_token(granted.token.secret(), expires_at)
            .await
        {
            // It works here all the same, until another replica takes its own.
            tracing::warn!(
                error = %Causes(&error),
                "the access token could not be shared with other replicas"
            );
        }
        Ok(self.keep_fetched(asked_at, granted, reason))
    }

    /// Adopts the token that another replica fetched, unless it is held already, was refused, or
    /// ends soon.
    async fn adopt_shared(&self) -> Result<Option<AccessToken>, TokenError> {
        let shared = self
            .store
            .classic_token()
            .await
            .map_err(TokenError::Database)?;
        let Some((secret, expires_at)) = shared else {
            return Ok(None);
        };
        let now = self.clock.now();
        let left = Duration::try_from(now.duration_until(expires_at)).unwrap_or_default();
        let token = AccessToken::from_shared(secret);
        if self.cache.is_held(&token) || self.cache.is_refused(&token) || left < LEAST_WORTH_TAKING
        {
            return Ok(None);
        }
        let expires_in = left;
        let granted = GrantedToken { token, expires_in };
        self.cache.keep(now, &granted, TokenOrigin::Adopted);
        telemetry::token_refreshed(ADOPTED, expires_at);
        Ok(Some(granted.token))
    }
}
