//! Generation of API keys.

use super::keys::KeyName;
use super::scope::Scopes;
use super::secret_hash::SecretHash;
use crate::text::random_token;

/// What every generated secret begins with, so that programs that search for leaked secrets, and
/// people, recognise it.
const PREFIX: &str = "wxqr_";

/// A key that was just generated. Only its entry is kept, which does not hold the secret.
pub struct NewKey {
    /// What its holder sends: 128 random bits after the prefix `wxqr_`.
    pub secret: String,
    /// The entry for `WXQR_API_KEYS`, `name:sha256:HASH:scope+scope`.
    pub entry: String,
}

impl NewKey {
    /// Generates the secret from the randomness of the operating system.
    pub fn generate(name: &KeyName, scopes: &Scopes) -> Self {
        let secret = format!("{PREFIX}{}", random_token());
        let hash = SecretHash::of(&secret);
        let entry = format!("{name}:{}:{hash}:{scopes}", SecretHash::METHOD);
        Self { secret, entry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Keyring, Scope};
    use crate::text::RANDOM_TOKEN_LEN;

    #[test]
    fn a_generated_key_is_found_by_its_secret_and_not_by_its_hash() {
        let (name, scopes) = ("shop".parse().unwrap(), "stats+mint".parse().unwrap());
        let made = NewKey::generate(&name, &scopes);
        assert_eq!(made.secret.len(), PREFIX.len() + RANDOM_TOKEN_LEN);
        assert!(!made.entry.contains(&made.secret));
        assert!(made.entry.ends_with(":stats+mint"), "{}", made.entry);
        let keyring: Keyring = made.entry.parse().unwrap();
        let found = keyring.find(&made.secret).unwrap();
        assert_eq!(found.name(), "shop");
        assert!(found.allows(Scope::Stats) && !found.allows(Scope::Bind));
        let hash = made.entry.split(':').nth(2).unwrap();
        assert!(keyring.find(hash).is_none());
        let other = NewKey::generate(&name, &scopes);
        assert_ne!(made.secret, other.secret);
    }
}
