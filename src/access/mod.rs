//! Access control and rate limits. Independent of HTTP: the inputs are texts and addresses.
//!
//! | file | what it decides |
//! |---|---|
//! | `caller` | authorization: which codes a caller may create, and what is charged |
//! | `keys`, `scope` | API keys and their scopes |
//! | `new_key` | generation of a key |
//! | `link` | HMAC signatures of links |
//! | `proxies` | the client's address behind trusted proxies |
//! | `visitor` | which addresses count as one visitor |
//! | `rate` | token bucket of each visitor |
//! | `pace` | token bucket of all visitors together |
//!
//! [`Mode`] decides which of these checks apply to a visitor without a key.

mod caller;
mod keys;
mod link;
mod new_key;
mod pace;
mod proxies;
mod rate;
mod scope;
mod secret_hash;
mod visitor;

pub use caller::{Caller, MissingPermission, Requester};
pub use keys::{Key, KeyName, KeyProblem, Keyring, KeyringError};
pub use link::{
    Link, LinkError, LinkExpiry, LinkExpiryError, LinkKeyProblem, LinkKeys, LinkKeysError, SIGNED,
    canonical,
};
pub use new_key::NewKey;
pub use pace::{PaceExceeded, Pacer};
pub use proxies::{ClientAddress, Forwarded, ProxiesError, ProxyProblem, TrustedProxies};
pub use rate::{Rate, RateError, RateExceeded, RateLimiter, RateToken};
pub use scope::{Scope, Scopes, UnknownScope};
pub use visitor::Visitor;

/// Access mode: which visitors may have temporary codes created without an API key. Permanent codes
/// always require a key; codes that exist are public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every visitor, within rate limit and budget.
    #[default]
    Open,
    /// Visitors with a signed link, within rate limit and budget.
    Signed,
    /// API keys only.
    Keyed,
}

impl Mode {
    /// Whether a visitor with such a link may mint a temporary code, if rate and budget allow it.
    pub fn admits(self, link: Link) -> bool {
        match (self, link) {
            (Self::Open, Link::Unsigned) | (Self::Open | Self::Signed, Link::Signed { .. }) => true,
            (Self::Signed, Link::Unsigned) | (Self::Keyed, _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_decides_which_links_may_mint() {
        for (mode, unsigned, signed) in [
            (Mode::Open, true, true),
            (Mode::Signed, false, true),
            (Mode::Keyed, false, false),
        ] {
            assert_eq!(mode.admits(Link::Unsigned), unsigned, "{mode:?}");
            assert_eq!(mode.admits(Link::Signed { exp: None }), signed, "{mode:?}");
        }
    }
}
