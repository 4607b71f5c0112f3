//! Client of WeChat's API: three calls, with timeouts, failover between hosts, and retries.
//!
//! [`WeChat`] is the type to read first. Independent of caches, visitors and HTTP answers. All
//! results are validated; no result or log line contains a token or a secret.

mod api;
mod call;
mod errcode;
mod error;
mod observer;
mod wire;

use std::fmt;
use std::time::Duration;

use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

pub use self::api::Api;
pub use self::call::{ATTEMPT_TIMEOUT, MAX_CALL};
pub use self::errcode::{Class, Errcode};
pub use self::error::{ApiError, Error};
pub use self::observer::{Attempt, Observer};

use self::call::{Hosts, Request, RetryPolicy};
use self::wire::{CreateAnswer, CreateBody, LenientInteger, StableTokenBody, TokenAnswer};
use crate::scene::{CodeSpec, Lifetime};
use crate::ticket::{CodeUrl, Ticket};

/// `grant_type` of both token calls.
const GRANT_TYPE: &str = "client_credential";

/// Which of WeChat's two token calls to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenSource {
    /// `/cgi-bin/stable_token`: every caller gets the same token, so several services can share an
    /// account.
    #[default]
    Stable,
    /// `/cgi-bin/token`: each call invalidates the previous token (after five minutes).
    Classic,
}

/// How a token is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCall {
    /// WeChat decides whether the token changes.
    Normal,
    /// Replaces the present stable token: 20 a day, 30 s apart. The same as [`Self::Normal`] for a
    /// classic token.
    Forced,
}

/// Access token of WeChat's business calls. `Debug` is redacted.
#[derive(Clone)]
pub struct AccessToken(SecretString);

impl AccessToken {
    /// Maximum length. WeChat asks to reserve 512 characters; twice that is not a token.
    const MAX_LEN: usize = 1024;

    fn parse(text: String) -> Result<Self, Error> {
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.is_empty() || text.len() > Self::MAX_LEN || !printable {
            return Err(Error::Invalid("access_token is not one"));
        }
        Ok(Self(text.into()))
    }

    /// A token that another process has fetched and shared.
    pub fn from_shared(secret: SecretString) -> Self {
        Self(secret)
    }

    /// The secret, to share with other processes.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl PartialEq for AccessToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

/// A token with its remaining lifetime, counted from before the call.
#[derive(Debug, Clone)]
pub struct GrantedToken {
    /// The token, for calls until it expires.
    pub token: AccessToken,
    /// The remaining lifetime, clamped to a day.
    pub expires_in: Duration,
}

impl GrantedToken {
    /// Decodes and validates the body of a token call's answer.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Invalid`].
    pub fn decode(body: &[u8]) -> Result<Self, Error> {
        Self::checked(wire::decode(body)?)
    }

    fn checked(answer: TokenAnswer) -> Result<Self, Error> {
        let seconds = u64::try_from(answer.expires_in.0).unwrap_or(0);
        if seconds == 0 {
            return Err(Error::Invalid("expires_in is not positive"));
        }
        let expires_in = Duration::from_secs(seconds).min(Duration::from_hours(24));
        Ok(Self {
            token: AccessToken::parse(answer.access_token)?,
            expires_in,
        })
    }
}

/// A code that WeChat has just created.
#[derive(Debug, Clone)]
pub struct CreatedCode {
    /// For `showqrcode`.
    pub ticket: Ticket,
    /// The text to draw.
    pub url: CodeUrl,
    /// The lifetime that WeChat granted, for a temporary code and if the answer has one.
    pub granted: Option<Lifetime>,
}

impl CreatedCode {
    /// Decodes and validates the body of the answer to this request.
    ///
    /// # Errors
    /// [`Error::Refused`] or [`Error::Invalid`].
    pub fn decode(spec: &CodeSpec, body: &[u8]) -> Result<Self, Error> {
        Self::checked(spec, &wire::decode(body)?)
    }

    fn checked(spec: &CodeSpec, answer: &CreateAnswer) -> Result<Self, Error> {
        Ok(Self {
            ticket: answer
                .ticket
                .parse()
                .map_err(|_| Error::Invalid("ticket is not one"))?,
            url: answer
                .url
                .parse()
                .map_err(|_| Error::Invalid("url is not one"))?,
            granted: granted_lifetime(spec, &answer.expire_seconds)?,
        })
    }
}

/// Settings of the client: account and hosts.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// The account's `AppID`.
    pub app_id: String,
    /// The account's `AppSecret`.
    pub app_secret: SecretString,
    /// API hosts in order of preference; at least one.
    pub api_bases: Vec<Url>,
    /// Which token call to use.
    pub token_source: TokenSource,
}

/// HTTP clients. They must not follow redirects, which would carry the access token to another
/// host.
#[derive(Debug, Clone)]
pub struct Clients {
    /// For calls that may be retried.
    pub pooled: Client,
    /// For calls that may not: each request has a connection of its own.
    pub unpooled: Client,
}

/// The API client. Created once and shared.
#[derive(Debug)]
pub struct WeChat {
    http: Clients,
    hosts: Hosts,
    app_id: String,
    app_secret: SecretString,
    token_source: TokenSource,
    observer: Observer,
}

impl WeChat {
    /// A client with these HTTP clients and settings, which reports each attempt to the observer.
    pub fn new(http: Clients, settings: ClientSettings, observer: Observer) -> Self {
        Self {
            http,
            hosts: Hosts::new(settings.api_bases),
            app_id: settings.app_id,
            app_secret: settings.app_secret,
            token_source: settings.token_source,
            observer,
        }
    }

    /// Which token call this client uses.
    pub fn token_source(&self) -> TokenSource {
        self.token_source
    }

    /// Fetches a token. Not cancel safe: a classic token that WeChat has just issued would be lost.
    ///
    /// # Errors
    /// See [`Error`]. An `errcode` here never means a refused token, but a fault of the account.
    pub async fn fetch_token(&self, how: TokenCall) -> Result<GrantedToken, Error> {
        let secret = self.app_secret.expose_secret();
        let request = match self.token_source {
            TokenSource::Classic => Request::get("/cgi-bin/token").query(&[
                ("grant_type", GRANT_TYPE),
                ("appid", &self.app_id),
                ("secret", secret),
            ]),
            TokenSource::Stable => {
                Request::post("/cgi-bin/stable_token", self.stable_token_body(how))
            }
        };
        // Such a call invalidates the previous token, and forced ones have a quota.
        let invalidates_another =
            how == TokenCall::Forced || self.token_source == TokenSource::Classic;
        let request = request.redacting(secret).unpooled(invalidates_another);
        let answer: TokenAnswer = self.call(Api::Token, RetryPolicy::Always, request).await?;
        GrantedToken::checked(answer)
    }

    fn stable_token_body(&self, how: TokenCall) -> String {
        let body = StableTokenBody {
            grant_type: GRANT_TYPE,
            appid: &self.app_id,
            secret: self.app_secret.expose_secret(),
            force_refresh: how == TokenCall::Forced,
        };
        serde_json::to_string(&body).expect("strings and a flag are always JSON")
    }

    /// Creates a code. Uses up quota, and stock for a permanent code: such a call is retried only
    /// if it certainly had no effect. Not cancel safe: a code that WeChat has just created would be
    /// lost.
    ///
    /// # Errors
    /// See [`Error`]; with [`Error::is_ambiguous`], a code may have been created all the same.
    pub async fn create_code(
        &self,
        token: &AccessToken,
        spec: &CodeSpec,
    ) -> Result<CreatedCode, Error> {
        let token = token.0.expose_secret();
        let retry = match spec {
            CodeSpec::Temporary { .. } => RetryPolicy::Always,
            CodeSpec::Permanent { .. } => RetryPolicy::IfWithoutEffect,
        };
        let request = Request::post("/cgi-bin/qrcode/create", CreateBody::json(spec))
            .query(&[("access_token", token)])
            .redacting(token)
            .unpooled(retry == RetryPolicy::IfWithoutEffect);
        let answer: CreateAnswer = self.call(Api::Create, retry, request).await?;
        CreatedCode::checked(spec, &answer)
    }
}

/// The lifetime that WeChat granted: the requested one if the answer has none. A permanent code has
/// none, whatever the answer says.
fn granted_lifetime(spec: &CodeSpec, said: &Value) -> Result<Option<Lifetime>, Error> {
    const INVALID: Error = Error::Invalid("expire_seconds is not a positive integer");
    let Some(asked) = spec.lifetime() else {
        return Ok(None);
    };
    let Some(LenientInteger(seconds)) = LenientInteger::optional(said).map_err(|_| INVALID)? else {
        return Ok(Some(asked));
    };
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let bounded = seconds.min(Lifetime::MAX_SECONDS.into());
    let granted = Lifetime::try_from(bounded).map_err(|_| INVALID)?;
    Ok(Some(granted))
}
