//! Who is asking.

use std::sync::Arc;

use super::{Key, Link, Mode, Scope, Visitor};

/// The sender of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key of ours that was presented.
    pub key: Option<Arc<Key>>,
    /// Whom the visitors' rate counts, unless a key pays.
    pub visitor: Visitor,
    /// The link that was followed.
    pub link: Link,
}

/// On whose account a mint goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Payer {
    /// Nobody's: a key with the scope may mint.
    Key,
    /// This visitor's rate and all visitors' budget.
    Visitor(Visitor),
}

/// What a caller would need to mint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needed {
    /// A key with this scope.
    Key(Scope),
    /// A signed link, or a key with the scope `mint`.
    SignedLink,
}

impl Caller {
    /// Whether the caller holds a key with this scope.
    pub fn allows(&self, scope: Scope) -> bool {
        self.key.as_ref().is_some_and(|key| key.allows(scope))
    }

    /// Who pays for a temporary code that this caller has minted. A key without the scope `mint` makes its holder no less
    /// than any visitor.
    ///
    /// # Errors
    /// What the caller lacks.
    pub fn may_mint(&self, mode: Mode) -> Result<Payer, Needed> {
        if self.allows(Scope::Mint) {
            return Ok(Payer::Key);
        }
        if mode.admits(self.link) {
            return Ok(Payer::Visitor(self.visitor));
        }
        Err(match mode {
            Mode::Open | Mode::Signed => Needed::SignedLink,
            Mode::Keyed => Needed::Key(Scope::Mint),
        })
    }

    /// Who pays for a permanent code that this caller has minted: only ever a key.
    ///
    /// # Errors
    /// What the caller lacks.
    pub fn may_mint_permanent(&self) -> Result<Payer, Needed> {
        if self.allows(Scope::Permanent) {
            Ok(Payer::Key)
        } else {
            Err(Needed::Key(Scope::Permanent))
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
        }
    }

    #[test]
    fn a_key_mints_what_its_scope_says_and_is_a_visitor_otherwise() {
        let visitor = Ok(Payer::Visitor(IpAddr::V4(Ipv4Addr::LOCALHOST).into()));
        let (none, signed) = (Link::Unsigned, Link::Signed { exp: None });
        let (link, key) = (Err(Needed::SignedLink), Err(Needed::Key(Scope::Mint)));
        for (scopes, followed, [open, in_signed, keyed]) in [
            (None, none, [visitor, link, key]),
            (None, signed, [visitor, visitor, key]),
            (Some("permanent+stats"), none, [visitor, link, key]),
            (Some("mint"), none, [Ok(Payer::Key); 3]),
            (Some("admin"), none, [Ok(Payer::Key); 3]),
        ] {
            let caller = caller(scopes, followed);
            assert_eq!(caller.may_mint(Mode::Open), open, "{scopes:?}");
            assert_eq!(caller.may_mint(Mode::Signed), in_signed, "{scopes:?}");
            assert_eq!(caller.may_mint(Mode::Keyed), keyed, "{scopes:?}");
        }
    }

    #[test]
    fn a_permanent_code_takes_a_key_with_its_scope_and_no_link() {
        let signed = Link::Signed { exp: None };
        for (scopes, may) in [
            (None, false),
            (Some("mint+stats+people+bind"), false),
            (Some("permanent"), true),
            (Some("admin"), true),
        ] {
            let got = caller(scopes, signed).may_mint_permanent();
            assert_eq!(got.is_ok(), may, "{scopes:?}");
        }
    }
}
