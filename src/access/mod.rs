//! Who may do what, and how often. Knows nothing of HTTP: it is given texts and addresses.
//!
//! | file | answers |
//! |---|---|
//! | `keys` | which key of ours a caller holds, and what it allows |
//! | `proxies` | from which address a request comes |
//! | `visitor` | whom a limit counts as one |
//! | `rate` | whether one visitor may mint now |

mod keys;
mod proxies;
mod rate;
mod visitor;

pub use keys::{Caller, Key, KeyProblem, Keyring, KeyringError, Scope};
pub use proxies::{Forwarded, ProxiesError, ProxyProblem, Trace, TrustedProxies};
pub use rate::{Payment, Rate, RateError, RateExceeded, RateLimiter};
pub use visitor::Visitor;
