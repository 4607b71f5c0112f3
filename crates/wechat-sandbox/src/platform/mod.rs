//! The state of the imitated platform: accounts with their tokens, quotas and followers, and the
//! codes. Pure and synchronous; every method takes the time as an argument, and none knows HTTP.

pub(crate) mod code;
pub(crate) mod followers;
mod quota;
mod ticket;
pub(crate) mod token;

use std::collections::HashMap;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use crate::credentials::Credentials;
use crate::errcode::Errcode;
use crate::platform::code::{Code, CodeStore, CreateRequest};
use crate::platform::followers::{FollowerAction, Followers, NoEvent};
use crate::platform::quota::DailyQuota;
use crate::platform::token::{IssuedToken, Refresh, Tokens};
use crate::push::callback::Callback;
use crate::push::event::{Event, EventKind, FollowSource, ScannedCode};

/// How many permanent codes an account can ever create, both kinds together.
const PERMANENT_STOCK: u32 = 100_000;

/// The whole state. Read its methods for what a call does.
#[derive(Debug)]
pub(crate) struct State {
    base: String,
    accounts: HashMap<String, Account>,
    codes: CodeStore,
}

/// The credentials of a token call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokenRequest<'a> {
    pub(crate) grant_type: &'a str,
    pub(crate) app_id: &'a str,
    pub(crate) app_secret: &'a str,
}

#[derive(Debug)]
struct Account {
    app_secret: SecretString,
    tokens: Tokens,
    /// Documented for new accounts.
    classic_calls: DailyQuota<2_000>,
    /// Documented. The 10 000 a minute are not imitated.
    stable_calls: DailyQuota<500_000>,
    /// Documented for accounts of up to 100 000 followers.
    create_calls: DailyQuota<100_000>,
    permanent_codes: u32,
    callback: Option<Callback>,
    followers: Followers,
}

/// An event that an action made, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct FollowerEvent {
    /// The account that is notified.
    pub(crate) app_id: String,
    pub(crate) event: Event,
}

impl State {
    pub(crate) fn new(base: &str, accounts: Vec<Credentials>) -> Self {
        let mut state = Self {
            base: String::new(),
            accounts: accounts
                .into_iter()
                .map(|credentials| (credentials.app_id, Account::new(credentials.app_secret)))
                .collect(),
            codes: CodeStore::default(),
        };
        state.set_base(base);
        state
    }

    /// What comes before `/q/ID` in the codes made from now on.
    pub(crate) fn set_base(&mut self, base: &str) {
        base.trim_end_matches('/').clone_into(&mut self.base);
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// `/cgi-bin/token`. A wrong secret is 40001 here.
    pub(crate) fn classic_token(
        &mut self,
        request: TokenRequest<'_>,
        now: Timestamp,
    ) -> Result<IssuedToken, Errcode> {
        let account = self.account_for(request, Errcode::INVALID_CREDENTIAL)?;
        account.classic_calls.take(now)?;
        Ok(account.tokens.classic(now))
    }

    /// `/cgi-bin/stable_token`. A wrong secret is 40125 here.
    pub(crate) fn stable_token(
        &mut self,
        request: TokenRequest<'_>,
        refresh: Refresh,
        now: Timestamp,
    ) -> Result<IssuedToken, Errcode> {
        let account = self.account_for(request, Errcode::INVALID_APP_SECRET)?;
        account.stable_calls.take(now)?;
        account.tokens.stable(refresh, now)
    }

    /// `/cgi-bin/qrcode/create`. A call with a good token counts against the day's quota, whatever
    /// becomes of it.
    pub(crate) fn create(
        &mut self,
        access_token: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Code, Errcode> {
        if access_token.is_empty() {
            return Err(Errcode::ACCESS_TOKEN_MISSING);
        }
        let (app_id, account, checked) = self
            .accounts
            .iter_mut()
            .find_map(|(app_id, account)| {
                let checked = account.tokens.check(access_token, now)?;
                Some((app_id, account, checked))
            })
            .ok_or(Errcode::INVALID_CREDENTIAL)?;
        checked?;
        account.create_calls.take(now)?;
        let request = CreateRequest::parse(body)?;
        if request.action.is_permanent() {
            // Whether a known scene consumes again is not documented: the cautious reading is that
            // it does.
            if account.permanent_codes == PERMANENT_STOCK {
                return Err(Errcode::STOCK_EXHAUSTED);
            }
            account.permanent_codes += 1;
        }
        Ok(self.codes.create(app_id, request, &self.base, now))
    }

    /// Finds the unexpired code of a ticket.
    pub(crate) fn code_of_ticket(&self, ticket: &str, now: Timestamp) -> Option<&Code> {
        self.codes.by_ticket(ticket, now)
    }

    /// Finds the unexpired code whose URL ends in `id`.
    pub(crate) fn code(&self, id: &str, now: Timestamp) -> Option<&Code> {
        self.codes.by_id(id, now)
    }

    /// The codes that were created last and have not expired, newest first.
    pub(crate) fn recent_codes(&self, now: Timestamp) -> impl Iterator<Item = (&str, &Code)> {
        self.codes.recent(now)
    }

    /// Every account's `AppID`, how many permanent codes it has used up, and its callback; in a
    /// fixed order.
    pub(crate) fn overview(&self) -> Vec<(&str, u32, Option<&Callback>)> {
        let accounts = self.accounts.iter();
        let mut rows: Vec<_> = accounts
            .map(|(app_id, account)| {
                let callback = account.callback.as_ref();
                (app_id.as_str(), account.permanent_codes, callback)
            })
            .collect();
        rows.sort_unstable_by_key(|(app_id, ..)| *app_id);
        rows
    }

    /// Finds the account whose `AppID` or access token a call names.
    pub(crate) fn account_of(
        &self,
        app_id: &str,
        access_token: &str,
        now: Timestamp,
    ) -> Option<&str> {
        let named = self.accounts.get_key_value(app_id);
        let mut accounts = self.accounts.iter();
        let owner =
            || accounts.find(|(_, account)| account.tokens.check(access_token, now).is_some());
        let (app_id, _) = named.or_else(owner)?;
        Some(app_id)
    }

    /// Applies what a person does with the code whose URL ends in `id`.
    pub(crate) fn act(
        &mut self,
        id: &str,
        act: FollowerAction,
        openid: &str,
        now: Timestamp,
    ) -> Result<FollowerEvent, NoEvent> {
        let code = self.codes.by_id(id, now).ok_or(NoEvent::NoSuchCode)?;
        let account = self.accounts.get_mut(&code.app_id);
        let account = account.ok_or(NoEvent::NoSuchCode)?;
        let created_at = account.followers.act(openid, act, now)?;
        let scanned = ScannedCode {
            scene: code.request.scene.to_string(),
            ticket: code.ticket.clone(),
        };
        Ok(FollowerEvent {
            app_id: code.app_id.clone(),
            event: Event {
                openid: openid.to_owned(),
                created_at,
                kind: match act {
                    FollowerAction::Follow => EventKind::Subscribe(FollowSource::Code(scanned)),
                    FollowerAction::Scan => EventKind::Scan(scanned),
                    FollowerAction::Unfollow => EventKind::Unsubscribe,
                },
            },
        })
    }

    pub(crate) fn follows(&self, app_id: &str, openid: &str) -> bool {
        let account = self.accounts.get(app_id);
        account.is_some_and(|account| account.followers.follows(openid))
    }

    /// The callback that the account's owner has configured.
    pub(crate) fn callback(&self, app_id: &str) -> Option<&Callback> {
        self.accounts.get(app_id)?.callback.as_ref()
    }

    /// Does nothing if the account does not exist.
    pub(crate) fn set_callback(&mut self, app_id: &str, callback: Option<Callback>) {
        if let Some(account) = self.accounts.get_mut(app_id) {
            account.callback = callback;
        }
    }

    /// The accounts that have a callback, in a fixed order.
    pub(crate) fn accounts_with_callback(&self) -> Vec<String> {
        let accounts = self.accounts.iter();
        let mut found: Vec<_> = accounts
            .filter(|(_, account)| account.callback.is_some())
            .map(|(app_id, _)| app_id.clone())
            .collect();
        found.sort_unstable();
        found
    }

    /// The tokens of every account, for the controls that end them.
    pub(crate) fn all_tokens_mut(&mut self) -> impl Iterator<Item = &mut Tokens> {
        self.accounts
            .values_mut()
            .map(|account| &mut account.tokens)
    }

    fn account_for(
        &mut self,
        request: TokenRequest<'_>,
        wrong_secret: Errcode,
    ) -> Result<&mut Account, Errcode> {
        if request.grant_type != "client_credential" {
            return Err(Errcode::INVALID_GRANT_TYPE);
        }
        if request.app_id.is_empty() {
            return Err(Errcode::APP_ID_MISSING);
        }
        if request.app_secret.is_empty() {
            return Err(Errcode::APP_SECRET_MISSING);
        }
        let account = self
            .accounts
            .get_mut(request.app_id)
            .ok_or(Errcode::INVALID_APP_ID)?;
        if account.app_secret.expose_secret() != request.app_secret {
            return Err(wrong_secret);
        }
        Ok(account)
    }
}

impl Account {
    fn new(app_secret: SecretString) -> Self {
        Self {
            app_secret,
            tokens: Tokens::default(),
            classic_calls: DailyQuota::default(),
            stable_calls: DailyQuota::default(),
            create_calls: DailyQuota::default(),
            permanent_codes: 0,
            callback: None,
            followers: Followers::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const REQUEST: TokenRequest<'_> = TokenRequest {
        grant_type: "client_credential",
        app_id: "wx1",
        app_secret: "secret-1",
    };
    const TEMPORARY: &[u8] =
        br#"{"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":1}}}"#;
    const PERMANENT: &[u8] =
        br#"{"action_name":"QR_LIMIT_SCENE","action_info":{"scene":{"scene_id":1}}}"#;

    fn state() -> State {
        let account = |n: u8| Credentials {
            app_id: format!("wx{n}"),
            app_secret: format!("secret-{n}").into(),
        };
        State::new("http://localhost:8081/", vec![account(1), account(2)])
    }

    /// Noon in China.
    fn noon() -> Timestamp {
        "2026-11-22T04:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_token_request_is_checked_in_wechats_order() {
        let mut state = state();
        let now = noon();
        for (grant_type, app_id, app_secret, classic, stable) in [
            ("", "", "", 40002, 40002),
            ("password", "wx1", "secret-1", 40002, 40002),
            ("client_credential", "", "secret-1", 41002, 41002),
            ("client_credential", "wx1", "", 41004, 41004),
            ("client_credential", "wx3", "secret-1", 40013, 40013),
            ("client_credential", "wx1", "secret-2", 40001, 40125),
        ] {
            let request = TokenRequest {
                grant_type,
                app_id,
                app_secret,
            };
            assert_eq!(
                state.classic_token(request, now),
                Err(Errcode(classic)),
                "{request:?}"
            );
            assert_eq!(
                state.stable_token(request, Refresh::Normal, now),
                Err(Errcode(stable)),
                "{request:?}"
            );
        }
    }

    #[test]
    fn a_code_needs_a_token_that_works() {
        let mut state = state();
        let mut now = noon();
        let token = state.classic_token(REQUEST, now).unwrap().text;
        let code = state.create(&token, TEMPORARY, now).unwrap();
        assert_eq!(code.app_id, "wx1");
        assert!(
            code.url.starts_with("http://localhost:8081/q/02"),
            "{}",
            code.url
        );
        for (token, want) in [
            ("", Errcode::ACCESS_TOKEN_MISSING),
            ("88_nobody", Errcode::INVALID_CREDENTIAL),
        ] {
            assert_eq!(state.create(token, TEMPORARY, now).unwrap_err(), want);
        }
        now += Duration::from_hours(2);
        assert_eq!(
            state.create(&token, TEMPORARY, now).unwrap_err(),
            Errcode::ACCESS_TOKEN_EXPIRED
        );
    }

    #[test]
    fn the_daily_quotas_are_per_account_and_come_back_at_midnight() {
        let mut state = state();
        let mut now = noon();
        for _ in 0..2_000 {
            state.classic_token(REQUEST, now).unwrap();
        }
        assert_eq!(state.classic_token(REQUEST, now), Err(Errcode::DAILY_LIMIT));
        let other = TokenRequest {
            app_id: "wx2",
            app_secret: "secret-2",
            ..REQUEST
        };
        assert!(state.classic_token(other, now).is_ok());

        let token = state
            .stable_token(REQUEST, Refresh::Normal, now)
            .unwrap()
            .text;
        for _ in 0..99_999 {
            let refused = state.create(&token, b"", now).unwrap_err();
            assert_eq!(refused, Errcode::EMPTY_BODY);
        }
        state.create(&token, TEMPORARY, now).unwrap();
        assert_eq!(
            state.create(&token, TEMPORARY, now).unwrap_err(),
            Errcode::DAILY_LIMIT
        );
        now += Duration::from_hours(12);
        let token = state.classic_token(REQUEST, now).unwrap().text;
        state.create(&token, TEMPORARY, now).unwrap();
    }

    #[test]
    fn the_permanent_stock_ends_and_repeating_a_scene_consumes() {
        let mut state = state();
        let mut now = noon();
        let token = state.classic_token(REQUEST, now).unwrap().text;
        let first = state.create(&token, PERMANENT, now).unwrap();
        let again = state.create(&token, PERMANENT, now).unwrap();
        assert_ne!(first.ticket, again.ticket);
        for _ in 2..100_000 {
            state.create(&token, PERMANENT, now).unwrap();
        }
        now += Duration::from_hours(12);
        let token = state.classic_token(REQUEST, now).unwrap().text;
        assert_eq!(
            state.create(&token, PERMANENT, now).unwrap_err(),
            Errcode::STOCK_EXHAUSTED
        );
        assert!(state.create(&token, TEMPORARY, now).is_ok());
        assert!(state.code_of_ticket(&first.ticket, now).is_some());
    }
}
