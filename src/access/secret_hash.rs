//! SHA-256 hashes of the secrets of API keys.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// SHA-256 hash of a secret. A fast hash suffices: secrets are long and random, unlike passwords.
#[derive(Clone)]
pub(super) struct SecretHash([u8; SecretHash::LEN]);

impl SecretHash {
    const LEN: usize = 32;

    /// The word before the hash in an entry that holds no secret.
    pub(super) const METHOD: &str = "sha256";

    pub(super) fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Reads 64 hex digits, as `sha256sum` prints them.
    pub(super) fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 2 * Self::LEN || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let mut hash = [0; Self::LEN];
        for (byte, place) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[place..place + 2], 16).ok()?;
        }
        Some(Self(hash))
    }

    /// Compares in constant time.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    pub(super) fn bytes(&self) -> [u8; Self::LEN] {
        self.0
    }
}

impl fmt::Display for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_what_sha256sum_prints() {
        // `printf abc | sha256sum`
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(SecretHash::of("abc").to_string(), hex);
        for (text, want) in [
            (hex, true),
            (&hex.to_uppercase(), true),
            (&hex[1..], false),
            (&format!("{hex}0"), false),
            (&format!("+{}", &hex[1..]), false),
            (&format!("é{}", &hex[2..]), false),
            ("", false),
        ] {
            let read = SecretHash::from_hex(text);
            let is_read = read.is_some_and(|hash| hash.equals(&SecretHash::of("abc")));
            assert_eq!(is_read, want, "{text}");
        }
    }
}
