//! API keys and their scopes. [`Keyring`] is the type to read first.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::SecretString;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::text::is_word;

/// A permission of an API key. Scopes are independent, except that `admin` implies all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Create temporary codes.
    Mint,
    /// Create permanent codes, which use up the account's stock.
    Permanent,
    /// Read statistics, events and lists.
    Stats,
    /// Read openids in events.
    People,
    /// Account binding.
    Bind,
    /// All scopes.
    Admin,
}

impl Scope {
    /// Every scope, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Mint,
        Self::Permanent,
        Self::Stats,
        Self::People,
        Self::Bind,
        Self::Admin,
    ];

    /// The name in settings and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mint => "mint",
            Self::Permanent => "permanent",
            Self::Stats => "stats",
            Self::People => "people",
            Self::Bind => "bind",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Quotation marks, which a value copied from a document or an editor may have.
const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];

/// One API key: name, scopes, and the SHA-256 hash of its secret.
#[derive(Clone)]
pub struct Key {
    name: String,
    hash: SecretHash,
    scopes: Vec<Scope>,
}

impl Key {
    /// Minimum length of a secret, in characters.
    pub const MIN_SECRET_LEN: usize = 16;
    /// Maximum length of a name, in characters.
    pub const MAX_NAME_LEN: usize = 32;

    /// The name that the operator chose: 1 to 32 of `A-Za-z0-9_-`, safe to log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of scopes that the key has, implied ones included.
    fn breadth(&self) -> usize {
        let allowed = Scope::ALL.into_iter().filter(|scope| self.allows(*scope));
        allowed.count()
    }

    /// Whether the key has this scope, directly or by `admin`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&Scope::Admin)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl FromStr for Key {
    type Err = KeyProblem;

    /// Parses `name:secret:scope+scope`.
    fn from_str(text: &str) -> Result<Self, KeyProblem> {
        if text.contains(QUOTES) {
            return Err(KeyProblem::Quotes);
        }
        let parts: Vec<&str> = text.split(':').collect();
        let [name, secret, scopes] = parts[..] else {
            return Err(KeyProblem::Form);
        };
        if name.len() > Self::MAX_NAME_LEN || !is_word(name) {
            return Err(KeyProblem::Name);
        }
        if secret.len() < Self::MIN_SECRET_LEN || !is_word(secret) {
            return Err(KeyProblem::Secret);
        }
        Ok(Self {
            name: name.to_owned(),
            hash: SecretHash::of(secret),
            scopes: parse_scopes(scopes)?,
        })
    }
}

fn parse_scopes(text: &str) -> Result<Vec<Scope>, KeyProblem> {
    text.split('+')
        .map(|word| {
            Scope::ALL
                .into_iter()
                .find(|scope| scope.as_str() == word)
                .ok_or(KeyProblem::Scope)
        })
        .collect()
}

/// SHA-256 hash of a secret. A fast hash suffices: secrets are long and random, unlike passwords.
#[derive(Clone)]
struct SecretHash([u8; 32]);

impl SecretHash {
    fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Constant-time comparison.
    fn equals(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The configured API keys. Empty by default.
#[derive(Debug, Clone, Default)]
pub struct Keyring(Vec<Arc<Key>>);

impl Keyring {
    /// The accepted form, in one line for error messages.
    pub const FORM: &'static str = "name:secret:scope+scope, comma-separated, each name and each secret once; name 1 to 32 and \
        secret 16 or more of A-Za-z0-9_-; scopes mint, permanent, stats, people, bind, admin (= all)";

    /// Looks up the key with this secret, in constant time over all keys.
    pub fn find(&self, presented: &str) -> Option<&Arc<Key>> {
        let presented = SecretHash::of(presented);
        // No early exit: the time must not reveal the position of a match.
        self.0.iter().fold(None, |found, key| {
            if key.hash.equals(&presented) {
                Some(key)
            } else {
                found
            }
        })
    }

    /// Whether no key is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any key has this scope.
    pub fn allows(&self, scope: Scope) -> bool {
        self.0.iter().any(|key| key.allows(scope))
    }

    /// Returns the secret of the least privileged key in `text` that has this scope. A command that
    /// calls the running service needs it, and a keyring itself holds hashes only. `text` has the
    /// form that [`Keyring::from_str`] parses.
    pub fn secret_with(text: &str, scope: Scope) -> Option<SecretString> {
        let entries = text.split(',').map(str::trim);
        let allowed = entries.filter_map(|entry| {
            let key = entry.parse::<Key>().ok()?;
            key.allows(scope).then_some((entry, key.breadth()))
        });
        let (entry, _) = allowed.min_by_key(|(_, breadth)| *breadth)?;
        entry.split(':').nth(1).map(SecretString::from)
    }

    fn add(&mut self, key: Key) -> Result<(), KeyProblem> {
        if self.0.iter().any(|known| known.name == key.name) {
            return Err(KeyProblem::NameTwice);
        }
        if self.0.iter().any(|known| known.hash.equals(&key.hash)) {
            return Err(KeyProblem::SecretTwice);
        }
        self.0.push(Arc::new(key));
        Ok(())
    }
}

impl FromStr for Keyring {
    type Err = KeyringError;

    /// Parses `name:secret:scope+scope`, comma-separated; white space around a key is ignored.
    fn from_str(text: &str) -> Result<Self, KeyringError> {
        let mut keyring = Self::default();
        for (index, entry) in text.split(',').enumerate() {
            entry
                .trim()
                .parse()
                .and_then(|key| keyring.add(key))
                .map_err(|problem| KeyringError {
                    position: index + 1,
                    problem,
                })?;
        }
        Ok(keyring)
    }
}

/// An invalid entry in a list of keys. Quotes no part of it, because any part may be a misplaced
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {position}: {problem}")]
pub struct KeyringError {
    /// Position in the list, from 1.
    pub position: usize,
    /// Why the entry is invalid.
    pub problem: KeyProblem,
}

/// Why a key is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Not three parts.
    #[error("is not of the form name:secret:scope+scope")]
    Form,
    /// Contains a quotation mark.
    #[error("has quotation marks, which are no part of a key")]
    Quotes,
    /// An empty or too long name, or one with other characters.
    #[error("its name is not 1 to 32 of A-Za-z0-9_-")]
    Name,
    /// A too short secret, or one with other characters.
    #[error("its secret is not 16 or more of A-Za-z0-9_-")]
    Secret,
    /// An unknown scope.
    #[error("has an unknown scope")]
    Scope,
    /// A duplicate name.
    #[error("its name is taken by an earlier key")]
    NameTwice,
    /// A duplicate secret.
    #[error("its secret is that of an earlier key")]
    SecretTwice,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHOP: &str = "shop:0123456789abcdef:mint+stats";

    #[test]
    fn a_keyring_reads_names_secrets_and_scopes() {
        let refused = |position, problem| Err(KeyringError { position, problem });
        for (text, want) in [
            (SHOP, Ok(1)),
            (
                " a:AAAAAAAAAAAAAAAA:mint ,\n b:BBBB-BBBB_BBBBBB:bind ",
                Ok(2),
            ),
            ("", refused(1, KeyProblem::Form)),
            ("shop:0123456789abcdef", refused(1, KeyProblem::Form)),
            ("a:0123456789abcdef:mint:x", refused(1, KeyProblem::Form)),
            (":0123456789abcdef:mint", refused(1, KeyProblem::Name)),
            ("a b:0123456789abcdef:mint", refused(1, KeyProblem::Name)),
            (
                "a2345678901234567890123456789012:0123456789abcdef:mint",
                Ok(1),
            ),
            (
                "a23456789012345678901234567890123:0123456789abcdef:mint",
                refused(1, KeyProblem::Name),
            ),
            ("a:0123456789abcde:mint", refused(1, KeyProblem::Secret)),
            (
                "a:\"0123456789abcdef\":mint",
                refused(1, KeyProblem::Quotes),
            ),
            ("a:0123456789abcdef:‘mint’", refused(1, KeyProblem::Quotes)),
            ("a:0123456789abcde!:mint", refused(1, KeyProblem::Secret)),
            ("a:0123456789abcdef:", refused(1, KeyProblem::Scope)),
            ("a:0123456789abcdef:Mint", refused(1, KeyProblem::Scope)),
            ("a:0123456789abcdef:mint+", refused(1, KeyProblem::Scope)),
            ("a:0123456789abcdef:mint,", refused(2, KeyProblem::Form)),
            (
                "a:0123456789abcdef:mint,a:fedcba9876543210:bind",
                refused(2, KeyProblem::NameTwice),
            ),
            (
                "a:0123456789abcdef:mint,b:0123456789abcdef:bind",
                refused(2, KeyProblem::SecretTwice),
            ),
        ] {
            let got = text.parse::<Keyring>().map(|keyring| keyring.0.len());
            assert_eq!(got, want, "input {text:?}");
        }
    }

    #[test]
    fn a_key_is_found_by_its_whole_secret_only() {
        let keyring: Keyring =
            "a:AAAAAAAAAAAAAAAA:mint,b:BBBBBBBBBBBBBBBB:bind,c:CCCCCCCCCCCCCCCC:admin"
                .parse()
                .unwrap();
        for (presented, want) in [
            ("AAAAAAAAAAAAAAAA", Some("a")),
            ("BBBBBBBBBBBBBBBB", Some("b")),
            ("CCCCCCCCCCCCCCCC", Some("c")),
            ("AAAAAAAAAAAAAAA", None),
            ("AAAAAAAAAAAAAAAAA", None),
            ("aaaaaaaaaaaaaaaa", None),
            ("a", None),
            ("", None),
        ] {
            let got = keyring.find(presented).map(|key| key.name());
            assert_eq!(got, want, "presented {presented:?}");
        }
        assert!(Keyring::default().find("").is_none());
    }

    #[test]
    fn scopes_are_independent_and_admin_is_all() {
        for granted in Scope::ALL {
            let key: Key = format!("k:0123456789abcdef:{granted}").parse().unwrap();
            for asked in Scope::ALL {
                let want = granted == asked || granted == Scope::Admin;
                assert_eq!(key.allows(asked), want, "{granted} for {asked}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_message_quotes_a_secret(secret in "[A-Za-z0-9_-]{12,40}", entry in 0..5_usize) {
            let text = [
                format!("a:{secret}:mint"),
                format!("{secret}:a:mint"),
                format!("a:mint:{secret}"),
                format!("{SHOP},a:{secret}!:mint"),
                secret.clone(),
            ][entry].clone();
            let said = match text.parse::<Keyring>() {
                Ok(keyring) => format!("{keyring:?}"),
                Err(error) => format!("{error} {error:?}"),
            };
            prop_assert!(!said.contains(&secret), "{}", said);
        }
    }
}
