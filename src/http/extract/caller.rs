//! Who asks: what a request says about its sender, and what of that is believed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use jiff::Timestamp;

use crate::access::{
    Caller, Forwarded, Key, Keyring, LinkKeys, Mode, Scope, TrustedProxies, Verdict, Visitor,
};
use crate::http::AppState;
use crate::http::extract::query::Query;
use crate::http::i18n::message::Message;
use crate::http::middleware::access_log::log_key;
use crate::http::problem::{Code, Problem};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What it takes to tell who asks.
#[derive(Debug)]
pub struct Access {
    mode: Mode,
    keys: Keyring,
    link_keys: LinkKeys,
    trusted_proxies: TrustedProxies,
    /// Whether the log has a line about a header from a stranger.
    told_of_stranger: AtomicBool,
    /// The same about one that makes no sense.
    told_of_garble: AtomicBool,
}

impl Access {
    /// By the settings.
    pub fn new(
        mode: Mode,
        keys: Keyring,
        link_keys: LinkKeys,
        trusted_proxies: TrustedProxies,
    ) -> Self {
        Self {
            mode,
            keys,
            link_keys,
            trusted_proxies,
            told_of_stranger: AtomicBool::default(),
            told_of_garble: AtomicBool::default(),
        }
    }

    /// The caller as the link has it that was followed. A signature that is given must be good, whatever the mode.
    pub(crate) fn of_link(
        &self,
        caller: Caller,
        query: &Query,
        now: Timestamp,
    ) -> Result<Caller, Problem> {
        query.exp()?;
        let link = self.link_keys.verify(query.pairs(), query.get("sig"), now);
        match link {
            Verdict::NoSignature | Verdict::Valid { .. } => Ok(Caller { link, ..caller }),
            Verdict::Bad => Err(Problem::new(Code::BadSignature, bad_signature())),
            Verdict::Expired => Err(Problem::new(Code::LinkExpired, link_expired())),
            Verdict::ExpiryWithoutSignature => {
                let message = Message::new("须与 sig 一同使用", "goes with sig only");
                Err(Problem::invalid_parameter("exp", message))
            }
        }
    }

    /// Whether links to temporary codes are signed in an answer to this caller: for one who could mint the code anyway.
    pub(crate) fn signs_for(&self, caller: &Caller) -> bool {
        self.signs() && caller.allows(Scope::Mint)
    }

    /// Whether an answer may have signed links for one caller and others for the next.
    pub(crate) fn signs(&self) -> bool {
        self.mode == Mode::Signed
    }

    /// The `sig` of a link of ours with these parameters.
    pub(crate) fn sign<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Option<String> {
        self.link_keys.sign(pairs)
    }

    fn key(&self, header: &HeaderValue) -> Result<Arc<Key>, Problem> {
        let secret = header.to_str().ok().and_then(bearer);
        let key = self.keys.find(secret.ok_or_else(not_a_key)?);
        let key = key.ok_or_else(unknown_key)?;
        log_key(key);
        Ok(Arc::clone(key))
    }

    fn visitor(&self, peer: SocketAddr, headers: &HeaderMap) -> Visitor {
        let lines = headers.get_all(FORWARDED_FOR).iter();
        // What is no text is no address either.
        let lines = lines.map(|line| line.to_str().unwrap_or("?"));
        let trace = self.trusted_proxies.trace(peer.ip(), lines);
        match trace.forwarded {
            Forwarded::Absent | Forwarded::Believed => {}
            Forwarded::FromStranger => once(&self.told_of_stranger, || {
                tracing::warn!(
                    %peer,
                    "X-Forwarded-For from an address that is not in WXQR_TRUSTED_PROXIES is not believed; not told again"
                );
            }),
            Forwarded::Garbled => once(&self.told_of_garble, || {
                tracing::warn!(
                    %peer,
                    "X-Forwarded-For from a trusted proxy has something that is no address; not told again"
                );
            }),
        }
        trace.address.into()
    }
}

fn once(told: &AtomicBool, tell: impl FnOnce()) {
    if !told.swap(true, Ordering::Relaxed) {
        tell();
    }
}

fn bad_signature() -> Message {
    Message::new(
        "签名与链接不符，请使用完整的原始链接",
        "the signature is not that of this link; use the link as it was given, whole and unchanged",
    )
}

fn link_expired() -> Message {
    Message::new(
        "请索取新的链接",
        "the link is no longer good; ask for a new one",
    )
}

/// The caller, by `Authorization: Bearer SECRET` and by address. Without the header it is a visitor; with an unknown key it
/// is an error. What the link is worth is seen later: [`Access::of_link`].
#[derive(Debug)]
pub(crate) struct Authenticated(pub(crate) Caller);

impl FromRequestParts<AppState> for Authenticated {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let &ConnectInfo(peer) = peer.ok_or_else(Problem::internal)?;
        let header = parts.headers.get(header::AUTHORIZATION);
        let key = header.map(|header| app.access.key(header)).transpose()?;
        Ok(Self(Caller {
            key,
            visitor: app.access.visitor(peer, &parts.headers),
            link: Verdict::NoSignature,
        }))
    }
}

fn not_a_key() -> Problem {
    let message = Message::new(
        "请求头 Authorization 须写作“Bearer 密钥”",
        "the Authorization header must be \"Bearer KEY\"",
    );
    Problem::new(Code::Unauthorized, message)
}

fn unknown_key() -> Problem {
    let message = Message::new(
        "请求头 Authorization 中的密钥无效",
        "the key in the Authorization header is not known",
    );
    Problem::new(Code::Unauthorized, message)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, secret) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
