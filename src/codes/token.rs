//! The access token: one for all callers, renewed ahead of its expiry and after WeChat refused it.
//!
//! It must not know who needs the token or for what.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wechat::{AccessToken, Api, ApiError, GrantedToken, TokenCall, TokenSource, WeChat};

use super::breaker::{CircuitBreaker, Open, Priority};
use super::cooldown::Cooldown;
use super::single_flight::{Call, SingleFlight, TaskAborted};
use super::sql::CodeStore;
use crate::clock::Clock;
use crate::db;
use crate::remedy;
use crate::telemetry::{self, Causes};

/// How long before its end a token is renewed, at most. WeChat renews a stable token 5 minutes
/// before the end, so an earlier call would give the same token again.
const RENEW_AHEAD: Duration = Duration::from_mins(5);

/// How long a living token is used on after its renewal failed, before the next attempt.
const RENEWAL_PAUSE: Duration = Duration::from_secs(15);

/// How often the background task tries while there is no token at all.
const IDLE_RETRY: Duration = Duration::from_mins(1);

/// WeChat's bounds for `force_refresh`: 20 a day, at least 30 s apart.
const FORCED_A_DAY: usize = 20;
const FORCED_APART: Duration = Duration::from_secs(30);

/// How often, and how long apart, the ordinary call is asked for the token that another replica has
/// just forced.
const FORCED_ELSEWHERE_LOOKS: u32 = 4;
const FORCED_ELSEWHERE_PAUSE: Duration = Duration::from_millis(500);

/// The cooldown after WeChat refused a token, such as for a wrong secret: a second, twice as long
/// after each further refusal, a minute at most. The classic call has 2,000 a day, fewer than one a
/// second would use.
const COOLDOWNS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// How long one replica may take to fetch the classic token for all.
const CLASSIC_LEASE: Duration = Duration::from_secs(30);

/// How often the others look whether it has.
const LEASE_POLL: Duration = Duration::from_millis(100);

/// The reason of a renewal that took the token of another replica.
const ADOPTED: &str = "shared";

/// A shared token with less life than this is not worth taking.
const LEAST_WORTH_TAKING: Duration = Duration::from_secs(10);

/// Keeps the access token. Shared by all callers of WeChat.
#[derive(Debug)]
pub struct Tokens {
    inner: Arc<Inner>,
    calls: SingleFlight<(), (), AccessToken, TokenError>,
}

#[derive(Debug)]
struct Inner {
    wechat: Arc<WeChat>,
    breaker: Arc<CircuitBreaker>,
    store: CodeStore,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    /// The last token that WeChat refused, and when we learnt it.
    dead: Option<AccessToken>,
    /// The cooldown after the refusals since the last token.
    cooldown: Option<Cooldown<ApiError>>,
}

#[derive(Debug)]
struct Held {
    token: AccessToken,
    renew_at: Timestamp,
    expires_at: Timestamp,
    /// Whether another replica took it.
    adopted: bool,
    /// Whether a call was accepted with it.
    accepted: bool,
}

/// A newer token, and what is known of the one that it replaces.
pub type Replaced = Result<(AccessToken, Death), Arc<TokenError>>;

/// What is known of a token that WeChat refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// A newer token had replaced it already: the renewal of another call, in this replica or in
    /// another.
    Superseded,
    /// It was the newest one, and had been accepted before: another holder's renewal has just ended
    /// it.
    Revoked,
    /// It was the newest one, and had never been accepted.
    NeverAccepted,
}

impl Death {
    /// The name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Superseded => "superseded",
            Self::Revoked => "revoked",
            Self::NeverAccepted => "never_accepted",
        }
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The call failed.
    #[error("no access token")]
    WeChat(#[source] wechat::Error),
    /// The call's quota is used up.
    #[error("no access token")]
    CircuitOpen(#[source] Open),
    /// The replicas cannot agree on a token: one is neither fetched nor forced then.
    #[error("no access token without the database")]
    Store(#[source] db::Error),
    /// WeChat keeps giving a token that it refuses, and may not be forced to give another one yet.
    #[error("WeChat gives a token that it refuses; the next forced refresh must wait")]
    ForcedTooOften,
}

impl Tokens {
    /// The tracker sees the calls, so that a shutdown can wait for them.
    pub fn new(
        wechat: Arc<WeChat>,
        breaker: Arc<CircuitBreaker>,
        store: CodeStore,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> Self {
        let inner = Inner {
            wechat,
            breaker,
            store,
            clock,
            state: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
            calls: SingleFlight::new(tasks),
        }
    }

    /// The token that is good now. Waits only if there is none; near its end it is renewed behind
    /// the caller's back. Cancel safe.
    ///
    /// # Errors
    /// [`TokenError`], shared by all who waited, or [`TaskAborted`].
    pub async fn get(&self) -> Result<Result<AccessToken, Arc<TokenError>>, TaskAborted> {
        match self.inner.usable() {
            Usable::Fresh(token) => Ok(Ok(token)),
            Usable::Ageing(token) => {
                self.refresh("ahead");
                Ok(Ok(token))
            }
            Usable::None(reason) => match self.inner.cooling_down() {
                Some(refusal) => Ok(Err(Arc::new(refusal.into()))),
                None => self.refresh(reason).wait().await,
            },
        }
    }

    /// A token instead of one that WeChat refused. Many may report the same token: it is dropped
    /// once, and a newer one is left alone. Cancel safe.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn replace(&self, dead: &AccessToken) -> Result<Replaced, TaskAborted> {
        let death = self.inner.drop_dead(dead);
        let newer = self.get().await?;
        Ok(newer.map(|newer| {
            let superseded = self.inner.is_adopted(&newer);
            let death = if superseded { Death::Superseded } else { death };
            (newer, death)
        }))
    }

    /// Notes that WeChat accepted this token in a call.
    pub fn accepted(&self, token: &AccessToken) {
        if let Some(held) = &mut self.inner.state().held {
            held.accepted |= held.token == *token;
        }
    }

    /// When the token that is held ends; none while there is none.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let now = self.inner.clock.now();
        let end = self.inner.state().held.as_ref().map(|held| held.expires_at);
        end.filter(|&end| now < end)
    }

    fn refresh(&self, reason: &'static str) -> Call<(), AccessToken, TokenError> {
        let inner = Arc::clone(&self.inner);
        self.calls
            .join_or_start(&(), (), || async move { inner.renew(reason).await })
            .0
    }

    /// Takes the first token and renews each before its end, so that no visitor waits. Returns when
    /// `stop` is cancelled.
    pub async fn keep_renewed(&self, stop: CancellationToken) {
        loop {
            let _ = self.get().await; // A failure is logged by the call.
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.inner.until_renewal()) => {}
            }
        }
    }
}

/// What the state offers to a caller.
enum Usable {
    Fresh(AccessToken),
    Ageing(AccessToken),
    None(&'static str),
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no one panics while holding the state")
    }

    fn usable(&self) -> Usable {
        let now = self.clock.now();
        let state = self.state();
        match &state.held {
            Some(held) if now < held.renew_at => Usable::Fresh(held.token.clone()),
            Some(held) if now < held.expires_at => Usable::Ageing(held.token.clone()),
            Some(_) => Usable::None("expired"),
            None if state.dead.is_some() => Usable::None("refused"),
            None => Usable::None("first"),
        }
    }

    fn drop_dead(&self, dead: &AccessToken) -> Death {
        let mut state = self.state();
        let Some(held) = state.held.take_if(|held| held.token == *dead) else {
            return Death::Superseded;
        };
        state.dead = Some(dead.clone());
        if held.accepted {
            Death::Revoked
        } else {
            Death::NeverAccepted
        }
    }

    /// How long the background task may sleep.
    fn until_renewal(&self) -> Duration {
        let now = self.clock.now();
        let renew_at = self.state().held.as_ref().map(|held| held.renew_at);
        renew_at.map_or(IDLE_RETRY, |at| {
            Duration::try_from(now.duration_until(at))
                .unwrap_or_default()
                .max(Duration::from_secs(1))
        })
    }

    /// Renews the token, and logs it, because no caller may be waiting.
    async fn renew(&self, reason: &'static str) -> Result<AccessToken, TokenError> {
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
                self.postpone_renewal();
                self.cool_down_after(error);
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

    async fn take_stable(&self, reason: &'static str) -> Result<AccessToken, TokenError> {
        let (asked_at, granted) = self.fetch(TokenCall::Normal).await?;
        if !self.is_known_dead(&granted.token) {
            return Ok(self.keep(asked_at, granted, reason));
        }
        let allowed = self
            .store
            .take_forced_refresh(FORCED_A_DAY, FORCED_APART)
            .await;
        if !allowed.map_err(TokenError::Store)? {
            return self.take_forced_elsewhere(reason).await;
        }
        let (asked_at, granted) = self.fetch(TokenCall::Forced).await?;
        Ok(self.keep(asked_at, granted, "forced"))
    }

    /// A refresh is not allowed when another replica has just had one, so its token comes with the
    /// ordinary call soon.
    async fn take_forced_elsewhere(&self, reason: &'static str) -> Result<AccessToken, TokenError> {
        for _ in 0..FORCED_ELSEWHERE_LOOKS {
            tokio::time::sleep(FORCED_ELSEWHERE_PAUSE).await;
            let (asked_at, granted) = self.fetch(TokenCall::Normal).await?;
            if !self.is_known_dead(&granted.token) {
                return Ok(self.keep(asked_at, granted, reason));
            }
        }
        Err(TokenError::ForcedTooOften)
    }

    /// Each classic call kills the token before it, so one replica calls and the others take its
    /// token from the store.
    async fn take_classic(&self, reason: &'static str) -> Result<AccessToken, TokenError> {
        let patience = Instant::now() + CLASSIC_LEASE;
        loop {
            let lease = self
                .store
                .lease("token", CLASSIC_LEASE)
                .await
                .map_err(TokenError::Store)?;
            if let Some(token) = self.adopt_shared().await? {
                return Ok(token);
            }
            if let Some(lease) = lease {
                let token = self.fetch_and_share(reason).await;
                lease.release().await;
                return token;
            }
            if Instant::now() >= patience {
                return Err(TokenError::Store(db::Error::Timeout));
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
        Ok(self.keep(asked_at, granted, reason))
    }

    /// The token that another replica took, if it is not one that we know to be dead or ageing.
    async fn adopt_shared(&self) -> Result<Option<AccessToken>, TokenError> {
        let shared = self
            .store
            .classic_token()
            .await
            .map_err(TokenError::Store)?;
        let Some((secret, expires_at)) = shared else {
            return Ok(None);
        };
        let now = self.clock.now();
        let left = Duration::try_from(now.duration_until(expires_at)).unwrap_or_default();
        let token = AccessToken::from_shared(secret);
        if self.is_held(&token) || self.is_known_dead(&token) || left < LEAST_WORTH_TAKING {
            return Ok(None);
        }
        Ok(Some(self.keep(
            now,
            GrantedToken {
                token,
                expires_in: left,
            },
            ADOPTED,
        )))
    }

    async fn fetch(&self, how: TokenCall) -> Result<(Timestamp, GrantedToken), TokenError> {
        self.breaker.refresh(Api::Token).await;
        let permit = self.breaker.acquire(Api::Token, Priority::High).await;
        let permit = permit.map_err(TokenError::CircuitOpen)?;
        let asked_at = self.clock.now();
        let result = self.wechat.fetch_token(how).await;
        self.breaker.record(permit, &result).await;
        Ok((asked_at, result.map_err(TokenError::WeChat)?))
    }

    fn is_known_dead(&self, token: &AccessToken) -> bool {
        self.state().dead.as_ref() == Some(token)
    }

    fn is_adopted(&self, token: &AccessToken) -> bool {
        let state = self.state();
        let held = state.held.as_ref();
        held.is_some_and(|held| held.token == *token && held.adopted)
    }

    fn is_held(&self, token: &AccessToken) -> bool {
        self.state()
            .held
            .as_ref()
            .is_some_and(|held| held.token == *token)
    }

    fn keep(
        &self,
        asked_at: Timestamp,
        granted: GrantedToken,
        reason: &'static str,
    ) -> AccessToken {
        let expires_at = asked_at + granted.expires_in;
        let renew_at = expires_at - RENEW_AHEAD.min(granted.expires_in / 10);
        telemetry::token_refreshed(reason, expires_at);
        let token = granted.token;
        let mut state = self.state();
        state.cooldown = None;
        state.held = Some(Held {
            token: token.clone(),
            renew_at,
            expires_at,
            adopted: reason == ADOPTED,
            accepted: false,
        });
        token
    }

    /// The refusal, during its cooldown.
    fn cooling_down(&self) -> Option<ApiError> {
        let now = self.clock.now();
        let state = self.state();
        state.cooldown.as_ref()?.failure(now).cloned()
    }

    fn cool_down_after(&self, error: &TokenError) {
        let Some(refusal) = error
            .refusal()
            .filter(|refusal| refusal.errcode.requires_the_owner(Api::Token))
        else {
            return;
        };
        let mut state = self.state();
        let (before, now) = (state.cooldown.as_ref(), self.clock.now());
        state.cooldown = Some(Cooldown::after(before, refusal.clone(), now, COOLDOWNS));
    }

    fn postpone_renewal(&self) {
        let next = self.clock.now() + RENEWAL_PAUSE;
        if let Some(held) = &mut self.state().held {
            held.renew_at = held.renew_at.max(next.min(held.expires_at));
        }
    }
}

impl From<ApiError> for TokenError {
    fn from(refusal: ApiError) -> Self {
        Self::WeChat(wechat::Error::Refused(refusal))
    }
}

impl TokenError {
    /// WeChat's "no", if that was it.
    pub fn refusal(&self) -> Option<&wechat::ApiError> {
        match self {
            Self::WeChat(wechat::Error::Refused(refusal)) => Some(refusal),
            _ => None,
        }
    }
}
