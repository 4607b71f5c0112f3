//! Who may do what, and how often. Knows nothing of HTTP: it is given texts and addresses.
//!
//! - [`keys`]: API keys and their scopes.

mod keys;

pub use keys::{Caller, Key, KeyProblem, Keyring, KeyringError, Scope};
