//! Authorization: what an authenticated caller may have created, and what it counts against.

use std::sync::Arc;

use super::Mode;
use super::keys::Key;
use super::link::Link;
use super::scope::Scope;
use super::visitor::Visitor;

/// An authenticated request: API key, visitor address and link signature.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The API key, if one was presented.
    pub key: Option<Arc<Key>>,
    /// The identity that the rate limit counts, unless a key with the scope `mint` is used.
    pub visitor: Visitor,
    /// The verified link.
    pub link: Link,
    /// Whether the request is a `HEAD` or a browser's prefetch. Neither may mint a code.
    pub is_prefetch: bool,
}

/// The party that a mint is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Requester {
    /// An API key with the scope: no rate limit, no budget.
    Key,
    /// A visitor: charged to its own rate and to the budget that all visitors share.
    Visitor(Visitor),
}

/// The permission that a caller lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingPermission {
    /// An API key with this scope.
    Key(Scope),
    /// A signed link, or an API key with the scope `mint`.
    SignedLink,
    /// An ordinary request: a `HEAD` or a prefetch may mint nothing.
    NotPrefetch,
}

impl Caller {
    /// Whether the caller's key has this scope.
    pub fn allows(&self, scope: Scope) -> bool {
        self.key.as_ref().is_some_and(|key| key.allows(scope))
    }

    /// Authorizes a temporary code, and returns the party to charge. A key without the scope `mint`
    /// has the same rights as a visitor without a key.
    ///
    /// # Errors
    /// The missing permission.
    pub fn authorize_mint(&self, mode: Mode) -> Result<Requester, MissingPermission> {
        if self.allows(Scope::Mint) {
            return self.charge(Requester::Key);
        }
        if mode.admits(self.link) {
            return self.charge(Requester::Visitor(self.visitor));
        }
        Err(match mode {
            Mode::Open | Mode::Signed => MissingPermission::SignedLink,
            Mode::Keyed => MissingPermission::Key(Scope::Mint),
        })
    }

    /// Authorizes a permanent code, which always requires a key.
    ///
    /// # Errors
    /// The missing permission.
    pub fn authorize_permanent_mint(&self) -> Result<Requester, MissingPermission> {
        if self.allows(Scope::Permanent) {
            self.charge(Requester::Key)
        } else {
            Err(MissingPermission::Key(Scope::Permanent))
        }
    }

    /// Returns the party to charge, unless the request is a prefetch, whose code may never be
    /// shown.
    fn charge(&self, requester: Requester) -> Result<Requester, MissingPermission> {
        if self.is_prefetch {
            Err(MissingPermission::NotPrefetch)
        } else {
            Ok(requester)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn caller(scopes: Option<&str>, link: Link) -> Caller {
        let key = scopes.map(|scopes| format!("k:0123456789abcdef:{scopes}").parse().unwrap());
        Caller {
            key: key.map(Arc::new),
            visitor: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
            link,
            is_prefetch: false,
        }
    }

    #[test]
    fn scope_mint_authorizes_and_other_keys_count_as_visitors() {
        let visitor = Ok(Requester::Visitor(IpAddr::V4(Ipv4Addr::LOCALHOST).into()));
        let (none, signed) = (Link::Unsigned, Link::Signed { exp: None });
        let (link, key) = (
            Err(MissingPermission::SignedLink),
            Err(MissingPermission::Key(Scope::Mint)),
        );
        for (scopes, followed, [open, in_signed, keyed]) in [
            (None, none, [visitor, link, key]),
            (None, signed, [visitor, visitor, key]),
            (Some("permanent+stats"), none, [visitor, link, key]),
            (Some("mint"), none, [Ok(Requester::Key); 3]),
            (Some("admin"), none, [Ok(Requester::Key); 3]),
        ] {
            let caller = caller(scopes, followed);
            assert_eq!(caller.authorize_mint(Mode::Open), open, "{scopes:?}");
            assert_eq!(caller.authorize_mint(Mode::Signed), in_signed, "{scopes:?}");
            assert_eq!(caller.authorize_mint(Mode::Keyed), keyed, "{scopes:?}");
        }
    }

    #[test]
    fn a_prefetch_mints_nothing_whatever_its_key() {
        let caller = Caller {
            is_prefetch: true,
            ..caller(Some("admin"), Link::Signed { exp: None })
        };
        let refused = Err(MissingPermission::NotPrefetch);
        assert_eq!(caller.authorize_mint(Mode::Open), refused);
        assert_eq!(caller.authorize_permanent_mint(), refused);
    }

    #[test]
    fn permanent_codes_require_a_key_with_the_scope() {
        let signed = Link::Signed { exp: None };
        for (scopes, may) in [
            (None, false),
            (Some("mint+stats+people+bind"), false),
            (Some("permanent"), true),
            (Some("admin"), true),
        ] {
            let got = caller(scopes, signed).authorize_permanent_mint();
            assert_eq!(got.is_ok(), may, "{scopes:?}");
        }
    }
}
