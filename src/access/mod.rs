//! Who may do what, and how often. Knows nothing of HTTP: it is given texts and addresses.
//!
//! | file | answers |
//! |---|---|
//! | `caller` | who asks, and on whose account a mint goes |
//! | `keys` | which key of ours a caller holds, and what it allows |
//! | `link` | whether a link was signed by somebody who may |
//! | `proxies` | from which address a request comes |
//! | `visitor` | whom a limit counts as one |
//! | `rate` | whether one visitor may mint now |
//! | `pace` | when the next mint of all visitors together may be made |
//!
//! [`Mode`] says which of them a visitor without a key must pass.

mod caller;
mod keys;
mod link;
mod pace;
mod proxies;
mod rate;
mod visitor;

pub use caller::{Caller, Needed, Payer};
pub use keys::{Key, KeyProblem, Keyring, KeyringError, Scope};
pub use link::{
    Expiry, ExpiryError, Link, LinkError, LinkKeyProblem, LinkKeys, LinkKeysError, SIGNED,
    canonical,
};
pub use pace::{PaceExceeded, Pacer};
pub use proxies::{Forwarded, ProxiesError, ProxyProblem, Trace, TrustedProxies};
pub use rate::{Payment, Rate, RateError, RateExceeded, RateLimiter};
pub use visitor::Visitor;

/// Who may mint temporary codes without a key. Permanent ones always need a key, and a code that exists is for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Every visitor, within rate and budget.
    #[default]
    Open,
    /// Visitors with a signed link, within rate and budget.
    Signed,
    /// Nobody.
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
    fn the_mode_says_which_links_mint() {
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
