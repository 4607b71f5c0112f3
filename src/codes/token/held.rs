//! The token that is held, the last one that WeChat refused, and the cooldown after refusals.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use wechat::{AccessToken, Api, ApiError, GrantedToken};

use super::error::{TokenError, TokenRefusal};
use crate::codes::cooldown::Cooldown;

/// How long before its end a token is renewed, at most. WeChat renews a stable token 5 minutes
/// before the end, so an earlier call would give the same token again.
const RENEW_AHEAD: Duration = Duration::from_mins(5);

/// How long an unexpired token is used on after its renewal failed, before the next attempt.
const RENEWAL_PAUSE: Duration = Duration::from_secs(15);

/// The cooldown after WeChat refused a token, such as for a wrong secret: a second, twice as long
/// after each further refusal, a minute at most. The classic call has 2,000 a day, fewer than one a
/// second would use.
const COOLDOWNS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));

/// Whether this process fetched a token from WeChat, or another replica did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenOrigin {
    /// A call of this process.
    Fetched,
    /// Another replica, through the database.
    Adopted,
}

/// The cached access token by its freshness.
pub(super) enum CachedToken {
    /// A token that need not be renewed yet.
    Fresh(AccessToken),
    /// A token that is good, and is to be renewed in the background.
    DueForRenewal(AccessToken),
    /// No token, and the reason why one is needed, as metrics name it.
    None(&'static str),
}

/// Cache of the access token in this process, with the last token that WeChat refused and the
/// cooldown after refused calls for one.
#[derive(Debug, Default)]
pub(super) struct TokenCache(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    held: Option<HeldToken>,
    /// The last token that WeChat refused.
    refused: Option<AccessToken>,
    /// The cooldown after the refusals since the last token.
    cooldown: Option<Cooldown<ApiError>>,
}

#[derive(Debug)]
struct HeldToken {
    token: AccessToken,
    renew_at: Timestamp,
    expires_at: Timestamp,
    origin: TokenOrigin,
    /// Whether a call was accepted with it.
    accepted: bool,
}

impl TokenCache {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("no one panics while holding the state")
    }

    pub(super) fn usable(&self, now: Timestamp) -> CachedToken {
        let state = self.state();
        match &state.held {
            Some(held) if now < held.renew_at => CachedToken::Fresh(held.token.clone()),
            Some(held) if now < held.expires_at => CachedToken::DueForRenewal(held.token.clone()),
            Some(_) => CachedToken::None("expired"),
            None if state.refused.is_some() => CachedToken::None("refused"),
            None => CachedToken::None("first"),
        }
    }

    /// Keeps a token whose lifetime counts from `asked_at`.
    pub(super) fn keep(&self, asked_at: Timestamp, granted: &GrantedToken, origin: TokenOrigin) {
        let expires_at = asked_at + granted.expires_in;
        let mut state = self.state();
        state.cooldown = None;
        state.held = Some(HeldToken {
            token: granted.token.clone(),
            renew_at: expires_at - RENEW_AHEAD.min(granted.expires_in / 10),
            expires_at,
            origin,
            accepted: false,
        });
    }

    /// Drops a token that WeChat refused, unless a newer one is held.
    pub(super) fn drop_refused(&self, token: &AccessToken) -> TokenRefusal {
        let mut state = self.state();
        let Some(held) = state.held.take_if(|held| held.token == *token) else {
            return TokenRefusal::Superseded;
        };
        state.refused = Some(token.clone());
        if held.accepted {
            TokenRefusal::Revoked
        } else {
            TokenRefusal::NeverAccepted
        }
    }

    /// Notes that WeChat accepted the token in a call.
    pub(super) fn accept(&self, token: &AccessToken) {
        if let Some(held) = &mut self.state().held {
            held.accepted |= held.token == *token;
        }
    }

    /// Whether WeChat refused this token last.
    pub(super) fn is_refused(&self, token: &AccessToken) -> bool {
        self.state().refused.as_ref() == Some(token)
    }

    pub(super) fn is_held(&self, token: &AccessToken) -> bool {
        let state = self.state();
        state.held.as_ref().is_some_and(|held| held.token == *token)
    }

    /// Whether this token is held, and another replica fetched it.
    pub(super) fn is_adopted(&self, token: &AccessToken) -> bool {
        let state = self.state();
        let held = state.held.as_ref();
        held.is_some_and(|held| held.token == *token && held.origin == TokenOrigin::Adopted)
    }

    /// When the held token ends; none without one that is good.
    pub(super) fn expires_at(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.state().held.as_ref().map(|held| held.expires_at);
        end.filter(|&end| now < end)
    }

    /// When the held token is to be renewed.
    pub(super) fn renew_at(&self) -> Option<Timestamp> {
        self.state().held.as_ref().map(|held| held.renew_at)
    }

    /// Returns the refusal, during its cooldown.
    pub(super) fn cooling_down(&self, now: Timestamp) -> Option<ApiError> {
        let state = self.state();
        state.cooldown.as_ref()?.failure(now).cloned()
    }

    /// Records a failed renewal: a held token is used on for [`RENEWAL_PAUSE`], and a refusal that
    /// only the account's owner can end starts a cooldown.
    pub(super) fn fail(&self, error: &TokenError, now: Timestamp) {
        let mut state = self.state();
        if let Some(held) = &mut state.held {
            held.renew_at = held
                .renew_at
                .max((now + RENEWAL_PAUSE).min(held.expires_at));
        }
        let refusal = error.refusal();
        if let Some(refusal) = refusal.filter(|no| no.errcode.requires_the_owner(Api::Token)) {
            let before = state.cooldown.as_ref();
            state.cooldown = Some(Cooldown::after(before, refusal.clone(), now, COOLDOWNS));
        }
    }
}
