//! The platform behind the API: accounts with their tokens and quotas, and the codes. Pure and
//! synchronous; every method is told the time.

use std::collections::HashMap;

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::Credentials;
use super::callback::Callback;
use super::code::{Code, Order, Shelf};
use super::event::{Event, EventKind, ScannedCode, Source};
use super::people::{Act, Idle, People};
use super::quota::DailyQuota;
use super::refusal::Refusal;
use super::token::{IssuedToken, Refresh, Tokens};

/// How many permanent codes an account has, both kinds together, for ever.
const PERMANENT_STOCK: u32 = 100_000;

/// Everything that the platform knows.
#[derive(Debug)]
pub(super) struct State {
    base: String,
    accounts: HashMap<String, Account>,
    shelf: Shelf,
}

/// Who asks for a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) grant_type: &'a str,
    pub(super) app_id: &'a str,
    pub(super) app_secret: &'a str,
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
    people: People,
}

/// What somebody did with a code.
#[derive(Debug, Clone)]
pub(super) struct Acted {
    /// The account that is told.
    pub(super) app_id: String,
    pub(super) event: Event,
}

impl State {
    pub(super) fn new(base: &str, accounts: Vec<Credentials>) -> Self {
        let mut state = Self {
            base: String::new(),
            accounts: accounts
                .into_iter()
                .map(|credentials| (credentials.app_id, Account::new(credentials.app_secret)))
                .collect(),
            shelf: Shelf::default(),
        };
        state.set_base(base);
        state
    }

    /// What comes before `/q/ID` in the codes made from now on.
    pub(super) fn set_base(&mut self, base: &str) {
        base.trim_end_matches('/').clone_into(&mut self.base);
    }

    /// What comes before `/q/ID`.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// `/cgi-bin/token`. A wrong secret is 40001 here.
    pub(super) fn classic_token(
        &mut self,
        claim: Claim<'_>,
        now: Timestamp,
    ) -> Result<IssuedToken, Refusal> {
        let account = self.claimed(claim, Refusal::INVALID_CREDENTIAL)?;
        account.classic_calls.take(now)?;
        Ok(account.tokens.classic(now))
    }

    /// `/cgi-bin/stable_token`. A wrong secret is 40125 here.
    pub(super) fn stable_token(
        &mut self,
        claim: Claim<'_>,
        refresh: Refresh,
        now: Timestamp,
    ) -> Result<IssuedToken, Refusal> {
        let account = self.claimed(claim, Refusal::INVALID_APP_SECRET)?;
        account.stable_calls.take(now)?;
        account.tokens.stable(refresh, now)
    }

    /// `/cgi-bin/qrcode/create`. A call with a good token counts against the day's quota, whatever
    /// becomes of it.
    pub(super) fn create(
        &mut self,
        access_token: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Code, Refusal> {
        if access_token.is_empty() {
            return Err(Refusal::ACCESS_TOKEN_MISSING);
        }
        let (app_id, account, verdict) = self
            .accounts
            .iter_mut()
            .find_map(|(app_id, account)| {
                let verdict = account.tokens.verdict(access_token, now)?;
                Some((app_id, account, verdict))
            })
            .ok_or(Refusal::INVALID_CREDENTIAL)?;
        verdict?;
        account.create_calls.take(now)?;
        let order = Order::parse(body)?;
        if order.action.is_permanent() {
            // Whether a known scene consumes again is not documented: the cautious reading is that
            // it does.
            if account.permanent_codes == PERMANENT_STOCK {
                return Err(Refusal::STOCK_EXHAUSTED);
            }
            account.permanent_codes += 1;
        }
        Ok(self.shelf.make(app_id, order, &self.base, now))
    }

    /// The living code of a ticket.
    pub(super) fn code_of_ticket(&self, ticket: &str, now: Timestamp) -> Option<&Code> {
        self.shelf.by_ticket(ticket, now)
    }

    /// The living code whose url ends in `id`.
    pub(super) fn code(&self, id: &str, now: Timestamp) -> Option<&Code> {
        self.shelf.by_id(id, now)
    }

    /// The codes that were made last and live, newest first.
    pub(super) fn recent_codes(&self, now: Timestamp) -> impl Iterator<Item = (&str, &Code)> {
        self.shelf.recent(now)
    }

    /// Every account's `AppID`, how many permanent codes it has used up, and its callback; in a
    /// fixed order.
    pub(super) fn overview(&self) -> Vec<(&str, u32, Option<&Callback>)> {
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

    /// The account whose `AppID` or whose access token a call names.
    pub(super) fn account_of(
        &self,
        app_id: &str,
        access_token: &str,
        now: Timestamp,
    ) -> Option<&str> {
        let named = self.accounts.get_key_value(app_id);
        let mut accounts = self.accounts.iter();
        let owner =
            || accounts.find(|(_, account)| account.tokens.verdict(access_token, now).is_some());
        let (app_id, _) = named.or_else(owner)?;
        Some(app_id)
    }

    /// Somebody does something, with the code before their eyes whose url ends in `id`.
    pub(super) fn act(
        &mut self,
        id: &str,
        act: Act,
        openid: &str,
        now: Timestamp,
    ) -> Result<Acted, Idle> {
        let code = self.shelf.by_id(id, now).ok_or(Idle::NoSuchCode)?;
        let account = self.accounts.get_mut(&code.app_id);
        let account = account.ok_or(Idle::NoSuchCode)?;
        let created_at = account.people.act(openid, act, now)?;
        let scanned = ScannedCode {
            scene: code.order.scene.to_string(),
            ticket: code.ticket.clone(),
        };
        Ok(Acted {
            app_id: code.app_id.clone(),
            event: Event {
                openid: openid.to_owned(),
                created_at,
                kind: match act {
                    Act::Follow => EventKind::Subscribe(Source::Code(scanned)),
                    Act::Scan => EventKind::Scan(scanned),
                    Act::Unfollow => EventKind::Unsubscribe,
                },
            },
        })
    }

    /// Whether somebody follows an account.
    pub(super) fn follows(&self, app_id: &str, openid: &str) -> bool {
        let account = self.accounts.get(app_id);
        account.is_some_and(|account| account.people.follows(openid))
    }

    /// What an account's owner has set, if the account exists.
    pub(super) fn callback(&self, app_id: &str) -> Option<&Callback> {
        self.accounts.get(app_id)?.callback.as_ref()
    }

    /// Sets it; nothing happens if the account does not exist.
    pub(super) fn set_callback(&mut self, app_id: &str, callback: Option<Callback>) {
        if let Some(account) = self.accounts.get_mut(app_id) {
            account.callback = callback;
        }
    }

    /// The accounts that have a callback, in a fixed order.
    pub(super) fn accounts_with_callback(&self) -> Vec<String> {
        let accounts = self.accounts.iter();
        let mut found: Vec<_> = accounts
            .filter(|(_, account)| account.callback.is_some())
            .map(|(app_id, _)| app_id.clone())
            .collect();
        found.sort_unstable();
        found
    }

    /// The tokens of every account, for the hands that make them die.
    pub(super) fn every_tokens(&mut self) -> impl Iterator<Item = &mut Tokens> {
        self.accounts
            .values_mut()
            .map(|account| &mut account.tokens)
    }

    fn claimed(
        &mut self,
        claim: Claim<'_>,
        wrong_secret: Refusal,
    ) -> Result<&mut Account, Refusal> {
        if claim.grant_type != "client_credential" {
            return Err(Refusal::INVALID_GRANT_TYPE);
        }
        if claim.app_id.is_empty() {
            return Err(Refusal::APP_ID_MISSING);
        }
        if claim.app_secret.is_empty() {
            return Err(Refusal::APP_SECRET_MISSING);
        }
        let account = self
            .accounts
            .get_mut(claim.app_id)
            .ok_or(Refusal::INVALID_APP_ID)?;
        if account.app_secret.expose_secret() != claim.app_secret {
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
            people: People::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock as _, ManualClock};

    const CLAIM: Claim<'_> = Claim {
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
    fn clock() -> ManualClock {
        ManualClock::starting_at("2026-11-22T04:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_claim_is_checked_in_wechats_order() {
        let mut state = state();
        let now = clock().now();
        for (grant_type, app_id, app_secret, classic, stable) in [
            ("", "", "", 40002, 40002),
            ("password", "wx1", "secret-1", 40002, 40002),
            ("client_credential", "", "secret-1", 41002, 41002),
            ("client_credential", "wx1", "", 41004, 41004),
            ("client_credential", "wx3", "secret-1", 40013, 40013),
            ("client_credential", "wx1", "secret-2", 40001, 40125),
        ] {
            let claim = Claim {
                grant_type,
                app_id,
                app_secret,
            };
            assert_eq!(
                state.classic_token(claim, now),
                Err(Refusal(classic)),
                "{claim:?}"
            );
            assert_eq!(
                state.stable_token(claim, Refresh::Normal, now),
                Err(Refusal(stable)),
                "{claim:?}"
            );
        }
    }

    #[test]
    fn a_code_needs_a_token_that_works() {
        let mut state = state();
        let clock = clock();
        let token = state.classic_token(CLAIM, clock.now()).unwrap().text;
        let code = state.create(&token, TEMPORARY, clock.now()).unwrap();
        assert_eq!(code.app_id, "wx1");
        assert!(
            code.url.starts_with("http://localhost:8081/q/02"),
            "{}",
            code.url
        );
        for (token, want) in [
            ("", Refusal::ACCESS_TOKEN_MISSING),
            ("88_nobody", Refusal::INVALID_CREDENTIAL),
        ] {
            assert_eq!(
                state.create(token, TEMPORARY, clock.now()).unwrap_err(),
                want
            );
        }
        clock.advance(Duration::from_hours(2));
        assert_eq!(
            state.create(&token, TEMPORARY, clock.now()).unwrap_err(),
            Refusal::ACCESS_TOKEN_EXPIRED
        );
    }

    #[test]
    fn the_daily_quotas_are_per_account_and_come_back_at_midnight() {
        let mut state = state();
        let clock = clock();
        for _ in 0..2_000 {
            state.classic_token(CLAIM, clock.now()).unwrap();
        }
        assert_eq!(
            state.classic_token(CLAIM, clock.now()),
            Err(Refusal::DAILY_LIMIT)
        );
        let other = Claim {
            app_id: "wx2",
            app_secret: "secret-2",
            ..CLAIM
        };
        assert!(state.classic_token(other, clock.now()).is_ok());

        let token = state
            .stable_token(CLAIM, Refresh::Normal, clock.now())
            .unwrap()
            .text;
        for _ in 0..99_999 {
            let refused = state.create(&token, b"", clock.now()).unwrap_err();
            assert_eq!(refused, Refusal::EMPTY_BODY);
        }
        state.create(&token, TEMPORARY, clock.now()).unwrap();
        assert_eq!(
            state.create(&token, TEMPORARY, clock.now()).unwrap_err(),
            Refusal::DAILY_LIMIT
        );
        clock.advance(Duration::from_hours(12));
        let token = state.classic_token(CLAIM, clock.now()).unwrap().text;
        state.create(&token, TEMPORARY, clock.now()).unwrap();
    }

    #[test]
    fn the_permanent_stock_ends_and_repeating_a_scene_consumes() {
        let mut state = state();
        let clock = clock();
        let token = state.classic_token(CLAIM, clock.now()).unwrap().text;
        let first = state.create(&token, PERMANENT, clock.now()).unwrap();
        let again = state.create(&token, PERMANENT, clock.now()).unwrap();
        assert_ne!(first.ticket, again.ticket);
        for _ in 2..100_000 {
            state.create(&token, PERMANENT, clock.now()).unwrap();
        }
        clock.advance(Duration::from_hours(12));
        let token = state.classic_token(CLAIM, clock.now()).unwrap().text;
        assert_eq!(
            state.create(&token, PERMANENT, clock.now()).unwrap_err(),
            Refusal::STOCK_EXHAUSTED
        );
        assert!(state.create(&token, TEMPORARY, clock.now()).is_ok());
        assert!(state.code_of_ticket(&first.ticket, clock.now()).is_some());
    }
}
