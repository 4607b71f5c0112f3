//! API keys. [`Keyring`] is the type to read first.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use secrecy::SecretString;

use super::scope::{Scope, Scopes, UnknownScope};
use super::secret_hash::SecretHash;
use crate::text::is_word;

/// Quotation marks, which a value copied from a document or an editor may have.
const QUOTES: [char; 7] = ['"', '\'', '`', '“', '”', '‘', '’'];

/// Name of a key, which the operator chose: 1 to 32 of `A-Za-z0-9_-`, safe to log. Not `sha256`: an
/// entry `sha256:HASH:scopes`, whose name was forgotten, would make the hash a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    /// Maximum length, in characters.
    pub const MAX_LEN: usize = 32;
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = KeyProblem;

    fn from_str(text: &str) -> Result<Self, KeyProblem> {
        if text == SecretHash::METHOD {
            return Err(KeyProblem::ReservedName);
        }
        if text.len() > Self::MAX_LEN || !is_word(text) {
            return Err(KeyProblem::Name);
        }
        Ok(Self(text.to_owned()))
    }
}

/// One API key: name, scopes, and the SHA-256 hash of its secret.
#[derive(Clone)]
pub struct Key {
    name: KeyName,
    hash: SecretHash,
    scopes: Scopes,
}

impl Key {
    /// Minimum length of a secret, in characters.
    pub const MIN_SECRET_LEN: usize = 16;

    pub fn name(&self) -> &str {
        &self.name.0
    }

    /// The number of scopes that the key has, implied ones included.
    fn breadth(&self) -> usize {
        let allowed = Scope::ALL.into_iter().filter(|scope| self.allows(*scope));
        allowed.count()
    }

    /// Whether the key has this scope, directly or by `admin`.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
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

    /// Parses `name:secret:scope+scope` or `name:sha256:HASH:scope+scope`.
    fn from_str(text: &str) -> Result<Self, KeyProblem> {
        let entry = Entry::split(text)?;
        Ok(Self {
            name: entry.name.parse()?,
            hash: entry.secret.hash()?,
            scopes: entry.scopes.parse()?,
        })
    }
}

/// The parts of an entry, unchecked.
struct Entry<'a> {
    name: &'a str,
    secret: EntrySecret<'a>,
    scopes: &'a str,
}

/// How an entry gives its secret.
enum EntrySecret<'a> {
    Plain(&'a str),
    /// As the hex digits of its hash.
    Hashed(&'a str),
}

impl<'a> Entry<'a> {
    /// Splits an entry into its parts. A plain secret is longer than the word that marks a hash, so
    /// that the forms cannot be confused.
    fn split(text: &'a str) -> Result<Self, KeyProblem> {
        const { assert!(SecretHash::METHOD.len() < Key::MIN_SECRET_LEN) };
        if text.contains(QUOTES) {
            return Err(KeyProblem::Quotes);
        }
        let parts: Vec<&str> = text.split(':').collect();
        let (name, secret, scopes) = match parts[..] {
            [_, SecretHash::METHOD, _] => return Err(KeyProblem::HashedForm),
            [name, secret, scopes] => (name, EntrySecret::Plain(secret), scopes),
            [name, SecretHash::METHOD, hex, scopes] => (name, EntrySecret::Hashed(hex), scopes),
            _ => return Err(KeyProblem::Form),
        };
        Ok(Self {
            name,
            secret,
            scopes,
        })
    }
}

impl EntrySecret<'_> {
    fn hash(&self) -> Result<SecretHash, KeyProblem> {
        match self {
            Self::Plain(secret) if secret.len() < Key::MIN_SECRET_LEN || !is_word(secret) => {
                Err(KeyProblem::Secret)
            }
            Self::Plain(secret) => Ok(SecretHash::of(secret)),
            Self::Hashed(hex) => SecretHash::from_hex(hex).ok_or(KeyProblem::Hash),
        }
    }
}

/// The configured API keys. Empty by default.
#[derive(Debug, Clone, Default)]
pub struct Keyring(Vec<Arc<Key>>);

impl Keyring {
    /// The accepted form, in one line for error messages.
    pub const FORM: &'static str = "name:secret:scope+scope or, as `wxqr key` prints it, name:sha256:HASH:scope+scope, \
        comma-separated, each name and each secret once; name 1 to 32 and secret 16 or more of A-Za-z0-9_-; \
        scopes mint, permanent, stats, people, bind, admin (= all)";

    /// Looks up the key with this secret, in constant time over all keys.
    pub fn find(&self, presented: &str) -> Option<&Arc<Key>> {
        // Of a hashed entry the secret's length is known here only.
        if presented.len() < Key::MIN_SECRET_LEN {
            return None;
        }
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

    /// SHA-256 hashes of all secrets, for redaction.
    pub fn secret_hashes(&self) -> impl Iterator<Item = [u8; 32]> {
        self.0.iter().map(|key| key.hash.bytes())
    }

    /// Returns the secret of the least privileged key in `text` that has this scope, of those that
    /// are not hashed. A command that calls the running service needs it, and a keyring itself
    /// holds hashes only. `text` has the form that [`Keyring::from_str`] parses.
    pub fn secret_with(text: &str, scope: Scope) -> Option<SecretString> {
        let entries = text.split(',').map(str::trim);
        let allowed = entries.filter_map(|entry| {
            let key = entry.parse::<Key>().ok()?;
            match Entry::split(entry).ok()?.secret {
                EntrySecret::Plain(secret) if key.allows(scope) => Some((secret, key.breadth())),
                EntrySecret::Plain(_) | EntrySecret::Hashed(_) => None,
            }
        });
        let (secret, _) = allowed.min_by_key(|(_, breadth)| *breadth)?;
        Some(SecretString::from(secret))
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

    /// Parses entries as [`Keyring::FORM`] says, comma-separated; white space around one is
    /// ignored.
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
    pub problem: KeyProblem,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// Not as many parts as either form has.
    #[error("is not of the form name:secret:scope+scope or name:sha256:HASH:scope+scope")]
    Form,
    /// A hash without scopes or without name.
    #[error("has a hash, but is not of the form name:sha256:HASH:scope+scope")]
    HashedForm,
    #[error("has quotation marks, which are no part of a key")]
    Quotes,
    /// An empty or too long name, or one with other characters.
    #[error("its name is not 1 to 32 of A-Za-z0-9_-")]
    Name,
    /// The word before a hash in the place of the name.
    #[error("its name is sha256, the word before a hash; the form is name:sha256:HASH:scope+scope")]
    ReservedName,
    /// A too short secret, or one with other characters.
    #[error("its secret is not 16 or more of A-Za-z0-9_-")]
    Secret,
    #[error("its hash is not 64 hex digits")]
    Hash,
    #[error("has an unknown scope")]
    Scope,
    #[error("its name is taken by an earlier key")]
    NameTwice,
    #[error("its secret is that of an earlier key")]
    SecretTwice,
}

impl From<UnknownScope> for KeyProblem {
    fn from(_: UnknownScope) -> Self {
        Self::Scope
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHOP: &str = "shop:0123456789abcdef:mint+stats";

    /// `printf 0123456789abcdef | sha256sum`
    const HASH: &str = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";

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
            ("a:sha256:mint", refused(1, KeyProblem::HashedForm)),
            ("a:sha256:mint:mint", refused(1, KeyProblem::Hash)),
            ("a:sha256:mint:mint:x", refused(1, KeyProblem::Form)),
            (
                &format!("a:sha256:{HASH}"),
                refused(1, KeyProblem::HashedForm),
            ),
            (
                &format!("sha256:{HASH}:mint"),
                refused(1, KeyProblem::ReservedName),
            ),
            (
                &format!("sha256:sha256:{HASH}:mint"),
                refused(1, KeyProblem::ReservedName),
            ),
            (
                &format!("a:SHA256:{HASH}:mint"),
                refused(1, KeyProblem::Form),
            ),
            (&format!("a:sha256:{HASH}:mint"), Ok(1)),
            (
                &format!("a:sha256:{HASH}:Mint"),
                refused(1, KeyProblem::Scope),
            ),
            (
                &format!("a b:sha256:{HASH}:mint"),
                refused(1, KeyProblem::Name),
            ),
            (
                &format!("a:sha256:{}:mint", &HASH[1..]),
                refused(1, KeyProblem::Hash),
            ),
            (
                &format!("a:0123456789abcdef:mint,b:sha256:{HASH}:bind"),
                refused(2, KeyProblem::SecretTwice),
            ),
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
    fn a_hashed_key_is_found_by_its_secret_alone() {
        let keyring: Keyring = format!("a:sha256:{HASH}:mint").parse().unwrap();
        assert_eq!(keyring.find("0123456789abcdef").unwrap().name(), "a");
        assert!(keyring.find(HASH).is_none());
        assert!(keyring.find(&format!("sha256:{HASH}")).is_none());
        let short = SecretHash::of("short");
        let keyring: Keyring = format!("a:sha256:{short}:mint").parse().unwrap();
        assert!(keyring.find("short").is_none());
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
        fn no_message_quotes_a_secret(secret in "[A-Za-z0-9_-]{12,40}", entry in 0..6_usize) {
            let text = [
                format!("a:{secret}:mint"),
                format!("{secret}:a:mint"),
                format!("a:mint:{secret}"),
                format!("a:sha256:{secret}:mint"),
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
