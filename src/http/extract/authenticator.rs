//! Identifies the sender of a request by API key and address, and checks the link that it followed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::{ConnectInfo, FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::Timestamp;

use crate::access::{Caller, Forwarded, Key, Keyring, Link, LinkKeys, TrustedProxies, Visitor};
use crate::http::extract::prefetch::is_prefetch;
use crate::http::extract::query::QrcodeQuery;
use crate::http::i18n::message::Message;
use crate::http::middleware::request_id::record_key;
use crate::http::problem::{ErrorCode, Problem};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The keys and proxies by which callers are identified.
#[derive(Debug)]
pub struct Authenticator {
    keys: Keyring,
    link_keys: LinkKeys,
    trusted_proxies: TrustedProxies,
    /// Whether `X-Forwarded-For` from an untrusted address was logged.
    logged_untrusted: AtomicBool,
    /// Whether a malformed `X-Forwarded-For` was logged.
    logged_malformed: AtomicBool,
}

/// A sender whose key, if any, is known. It becomes a [`Caller`] by [`Authenticator::caller`],
/// which checks its link.
#[derive(Debug)]
pub(crate) struct Identity {
    key: Option<Arc<Key>>,
    visitor: Visitor,
    is_prefetch: bool,
}

impl Authenticator {
    pub fn new(keys: Keyring, link_keys: LinkKeys, trusted_proxies: TrustedProxies) -> Self {
        Self {
            keys,
            link_keys,
            trusted_proxies,
            logged_untrusted: AtomicBool::default(),
            logged_malformed: AtomicBool::default(),
        }
    }

    /// Checks the link with this query.
    ///
    /// # Errors
    /// When it is signed and the signature is not valid, whatever the mode.
    pub(crate) fn caller(
        &self,
        identity: Identity,
        query: &QrcodeQuery,
        now: Timestamp,
    ) -> Result<Caller, Problem> {
        query.exp()?;
        let link = self
            .link_keys
            .verify(query.pairs(), query.get("sig"), now)?;
        Ok(Caller {
            key: identity.key,
            visitor: identity.visitor,
            link,
            is_prefetch: identity.is_prefetch,
        })
    }

    /// Reads `Authorization: Bearer SECRET`. Without the header the sender is a visitor.
    fn identify(&self, parts: &Parts) -> Result<Identity, Problem> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let &ConnectInfo(peer) = peer.ok_or_else(Problem::internal)?;
        let header = parts.headers.get(header::AUTHORIZATION);
        Ok(Identity {
            key: header.map(|header| self.key(header)).transpose()?,
            visitor: self.visitor(peer, &parts.headers),
            is_prefetch: is_prefetch(parts),
        })
    }

    fn key(&self, header: &HeaderValue) -> Result<Arc<Key>, Problem> {
        let secret = header.to_str().ok().and_then(bearer);
        let key = self.keys.find(secret.ok_or_else(not_a_key)?);
        let key = key.ok_or_else(unknown_key)?;
        record_key(key);
        Ok(Arc::clone(key))
    }

    fn visitor(&self, peer: SocketAddr, headers: &HeaderMap) -> Visitor {
        let lines = forwarded_for(headers);
        let client = self.trusted_proxies.client_address(peer.ip(), lines);
        match client.forwarded {
            Forwarded::Absent | Forwarded::Trusted => {}
            Forwarded::UntrustedPeer => once(&self.logged_untrusted, || {
                tracing::warn!(
                    %peer,
                    "X-Forwarded-For ignored: the address is not in WXQR_TRUSTED_PROXIES (logged once)"
                );
            }),
            Forwarded::Malformed => once(&self.logged_malformed, || {
                tracing::warn!(
                    %peer,
                    "X-Forwarded-For from a trusted proxy contains an invalid address (logged once)"
                );
            }),
        }
        client.address.into()
    }
}

impl Identity {
    /// The caller of a route that has no signed links.
    pub(crate) fn without_link(self) -> Caller {
        Caller {
            key: self.key,
            visitor: self.visitor,
            link: Link::Unsigned,
            is_prefetch: self.is_prefetch,
        }
    }
}

impl<S> FromRequestParts<S> for Identity
where
    Arc<Authenticator>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Arc::<Authenticator>::from_ref(state).identify(parts)
    }
}

/// The lines of `X-Forwarded-For`. What is no text is no address either.
pub(crate) fn forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(FORWARDED_FOR).iter();
    lines.map(|line| line.to_str().unwrap_or("?"))
}

fn once(logged: &AtomicBool, log: impl FnOnce()) {
    if !logged.swap(true, Ordering::Relaxed) {
        log();
    }
}

fn not_a_key() -> Problem {
    let message = Message::new(
        "请求头 Authorization 须写作“Bearer 密钥”",
        "the Authorization header must be \"Bearer KEY\"",
    );
    Problem::new(ErrorCode::Unauthorized, message)
}

fn unknown_key() -> Problem {
    let message = Message::new(
        "请求头 Authorization 中的密钥无效",
        "the key in the Authorization header is not valid",
    );
    Problem::new(ErrorCode::Unauthorized, message)
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, secret) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}
