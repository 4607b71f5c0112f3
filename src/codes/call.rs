//! The call to WeChat that creates a code, with a token that works.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use wechat::scene::CodeSpec;
use wechat::ticket::{IssuedCode, Life};
use wechat::{AccessToken, Api, Class, CreatedCode, WeChat};

use super::breaker::{CircuitBreaker, Priority};
use super::error::MintError;
use super::sql::CodeStore;
use super::token::{TokenError, TokenRefusal, Tokens};
use crate::clock::Clock;
use crate::telemetry;

/// Dependencies of a mint, and its call to WeChat: through the circuit breaker, with an access
/// token, and again with a newer one while WeChat refuses the token, a few times at most.
#[derive(Debug, Clone)]
pub struct MintDependencies {
    pub wechat: Arc<WeChat>,
    pub tokens: Arc<Tokens>,
    pub breaker: Arc<CircuitBreaker>,
    pub store: CodeStore,
    /// Tests replace it.
    pub clock: Arc<dyn Clock>,
}

impl MintDependencies {
    /// Creates the ticket. A refused token is replaced and the call sent again, as [`Renewals`]
    /// allows; after `deadline` nothing is waited for. Nothing is looked up or kept. Not cancel
    /// safe: a ticket that WeChat made meanwhile would be lost.
    pub(crate) async fn create(
        &self,
        spec: &CodeSpec,
        priority: Priority,
        deadline: Instant,
    ) -> Result<IssuedCode, MintError> {
        let mut token = token_by(deadline, self.tokens.get()).await?;
        let mut renewals = Renewals::default();
        loop {
            let refused = match self.call(&token, spec, priority, deadline).await {
                Err(MintError::WeChat(error)) if error.class() == Some(Class::TokenInvalid) => {
                    error
                }
                result => {
                    if result.is_ok() {
                        self.tokens.accepted(&token);
                    }
                    return result;
                }
            };
            let (newer, refusal) = token_by(deadline, self.tokens.replace(&token)).await?;
            if !renewals.allow(refusal) {
                return Err(MintError::WeChat(refused));
            }
            telemetry::token_retry(refusal.as_str());
            token = newer;
        }
    }

    /// Calls WeChat once, if the circuit breaker admits the call.
    async fn call(
        &self,
        token: &AccessToken,
        spec: &CodeSpec,
        priority: Priority,
        deadline: Instant,
    ) -> Result<IssuedCode, MintError> {
        let acquiring = self.breaker.acquire_by(deadline, Api::Create, priority);
        let permit = acquiring.await.map_err(MintError::CircuitOpen)?;
        let minted_at = self.clock.now();
        let called = timeout_at(deadline, self.wechat.create_code(token, spec)).await;
        let result = called.map_err(|_| MintError::Timeout)?;
        self.breaker.record(permit, &result).await;
        result
            .map(|created| issued_code(spec, minted_at, created))
            .map_err(|error| MintError::of_call(error, priority))
    }
}

/// Bounds how often one mint goes on with a newer token after WeChat refused the one that it had.
///
/// A second refusal of the newest token that never worked ends the mint, because the account is at
/// fault then. A token that another holder of the account ended meanwhile says nothing about the
/// account.
#[derive(Debug, Default)]
struct Renewals {
    all: u32,
    of_newest: u32,
}

impl Renewals {
    /// The most newer tokens for one mint. Chosen: a mint takes part of a second. Where the token
    /// is replaced more often than that, no caller has one that works.
    const MOST: u32 = 4;

    fn allow(&mut self, refusal: TokenRefusal) -> bool {
        self.all += 1;
        self.of_newest += u32::from(refusal != TokenRefusal::Superseded);
        let account_at_fault = refusal == TokenRefusal::NeverAccepted && self.of_newest > 1;
        self.all <= Self::MOST && !account_at_fault
    }
}

async fn token_by<T>(
    deadline: Instant,
    taking: impl Future<Output = Result<T, Arc<TokenError>>>,
) -> Result<T, MintError> {
    let in_time = timeout_at(deadline, taking).await;
    in_time
        .map_err(|_| MintError::TokenTimeout)?
        .map_err(MintError::Token)
}

fn issued_code(spec: &CodeSpec, minted_at: Timestamp, created: CreatedCode) -> IssuedCode {
    let life = match (spec.lifetime(), created.granted) {
        (Some(asked), granted) => Life::Temporary {
            minted_at,
            asked,
            granted: granted.unwrap_or(asked),
        },
        (None, _) => Life::Permanent,
    };
    IssuedCode {
        ticket: created.ticket,
        url: created.url,
        life,
    }
}
