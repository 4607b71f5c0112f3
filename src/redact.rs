//! Redaction of the service's own secrets from untrusted text, before it is logged.

use std::collections::HashSet;
use std::fmt;

use sha2::{Digest, Sha256};

use crate::text::is_word_character;

/// Replacement of a secret.
pub(crate) const MASK: &str = "********";

/// SHA-256 hashes of all words of the secret settings. API keys get into links by mistake, and
/// links are logged.
///
/// A word is a run of `A-Za-z0-9_-`. Words shorter than [`SecretWords::SHORTEST`] are left out,
/// because scopes and paths contain them too.
#[derive(Default)]
pub struct SecretWords(HashSet<[u8; 32]>);

impl SecretWords {
    /// Minimum length of a redacted word. API keys have at least 16 characters, an `AppSecret` 32.
    pub const SHORTEST: usize = 8;

    /// Adds the words of a secret setting.
    pub fn add(&mut self, secret: &str) {
        let words = secret.split(|c| !is_word_character(c));
        let long = words.filter(|word| word.len() >= Self::SHORTEST);
        self.0.extend(long.map(hash));
    }

    /// Adds a word by its SHA-256 hash.
    pub fn add_hash(&mut self, hash: [u8; 32]) {
        self.0.insert(hash);
    }

    /// Masks all known words in the text.
    pub fn redact(&self, text: &str) -> String {
        text.split_inclusive(|c| !is_word_character(c))
            .map(|piece| {
                let word = piece.trim_end_matches(|c| !is_word_character(c));
                let rest = &piece[word.len()..];
                if self.0.contains(&hash(word)) {
                    format!("{MASK}{rest}")
                } else {
                    piece.to_owned()
                }
            })
            .collect()
    }
}

impl fmt::Debug for SecretWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretWords").finish_non_exhaustive()
    }
}

fn hash(word: &str) -> [u8; 32] {
    Sha256::digest(word).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_a_secret_is_redacted() {
        let mut words = SecretWords::default();
        words.add("web:a-key-of-the-tests:stats+mint,old:another_key_01234:admin");
        words.add_hash(hash("a-hashed-key-alone"));
        words.add("postgres://wxqr:pa55-word-of-db@db.example/wxqr");
        for (text, want) in [
            ("/nothing/a-key-of-the-tests", "/nothing/********"),
            ("/a-key-of-the-tests/x?y", "/********/x?y"),
            ("another_key_01234", "********"),
            ("/a-hashed-key-alone/", "/********/"),
            ("/:pa55-word-of-db@", "/:********@"),
            ("/a-key-of-the-tests2", "/a-key-of-the-tests2"),
            ("/stats/mint/web", "/stats/mint/web"),
            ("//é/%E5/", "//é/%E5/"),
            ("", ""),
        ] {
            assert_eq!(words.redact(text), want, "{text}");
        }
        assert!(!format!("{words:?}").contains("key"));
    }
}
