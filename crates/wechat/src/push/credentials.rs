//! Callback secrets: Token and `EncodingAESKey`, as entered in WeChat's console.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};

/// Secrets that verify and decrypt pushes.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Secret of every signature.
    pub token: CallbackToken,
    /// Keys of the compatible and the safe mode; `None`: plain mode.
    pub keys: Option<AesKeys>,
}

/// Encryption keys, with rotation.
#[derive(Debug, Clone)]
pub struct AesKeys {
    /// The key that is set in WeChat's console.
    pub current: EncodingAesKey,
    /// The key before it, which WeChat may use for a while after a change.
    pub previous: Option<EncodingAesKey>,
}

/// WeChat's Token: 3 to 32 of `A-Za-z0-9`, the form that its console accepts. `Debug` is redacted.
#[derive(Debug, Clone)]
pub struct CallbackToken(SecretString);

impl CallbackToken {
    /// The fewest characters.
    pub const MIN_LEN: usize = 3;

    /// The most characters.
    pub const MAX_LEN: usize = 32;

    /// The accepted form, in one line for error messages.
    pub const FORM: &'static str = "3 to 32 of A-Za-z0-9, as in WeChat's console";

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for CallbackToken {
    type Err = CredentialsError;

    fn from_str(text: &str) -> Result<Self, CredentialsError> {
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !(Self::MIN_LEN..=Self::MAX_LEN).contains(&text.len()) || !is_word {
            return Err(CredentialsError::Token);
        }
        Ok(Self(text.into()))
    }
}

/// WeChat's `EncodingAESKey`: 43 characters of base64, 32 bytes. `Debug` is redacted.
#[derive(Clone)]
pub struct EncodingAesKey([u8; 32]);

impl EncodingAesKey {
    /// The accepted form, in one line for error messages.
    pub const FORM: &'static str =
        "43 characters of base64 without = at the end, as in WeChat's console";

    /// Length, in characters.
    pub const LEN: usize = 43;

    /// Base64 that accepts trailing bits. 43 characters are 258 bits, and WeChat's keys have
    /// arbitrary last two bits: a strict decoder refuses 3 of 4 keys.
    const BASE64: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_allow_trailing_bits(true)
            .with_decode_padding_mode(DecodePaddingMode::RequireNone),
    );

    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for EncodingAesKey {
    type Err = CredentialsError;

    fn from_str(text: &str) -> Result<Self, CredentialsError> {
        if text.len() != Self::LEN {
            return Err(CredentialsError::KeyLength { got: text.len() });
        }
        let bytes = Self::BASE64
            .decode(text)
            .map_err(|_| CredentialsError::KeyCharacters)?;
        let key = bytes.try_into().expect("43 characters make 32 bytes");
        Ok(Self(key))
    }
}

impl fmt::Debug for EncodingAesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodingAesKey(…)")
    }
}

/// Why a token or a key is invalid. Quotes no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Not [`CallbackToken::FORM`].
    #[error("is not a callback token")]
    Token,
    /// A length other than 43 characters.
    #[error("has {got} bytes instead of 43 characters")]
    KeyLength {
        /// The length, in bytes.
        got: usize,
    },
    /// A character outside of base64.
    #[error("has characters that base64 does not have")]
    KeyCharacters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_the_form_of_the_console() {
        for (text, want) in [
            ("abc", true),
            ("ABCxyz0189", true),
            (&"t".repeat(32), true),
            (&"t".repeat(33), false),
            ("ab", false),
            ("", false),
            ("a-b-c", false),
            ("abc ", false),
            ("令牌令牌", false),
        ] {
            let got = text.parse::<CallbackToken>();
            assert_eq!(got.is_ok(), want, "input {text:?}");
            assert!(!format!("{got:?}").contains("ABCxyz"), "{got:?}");
        }
    }

    #[test]
    fn a_key_may_have_trailing_bits() {
        let stem = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
        // Only the upper four bits of the last character are used.
        for (last, want) in [
            ("A", 0),
            ("B", 0),
            ("C", 0),
            ("D", 0),
            ("E", 1),
            ("/", 15),
            ("+", 15),
        ] {
            let key: EncodingAesKey = format!("{stem}{last}").parse().unwrap();
            assert_eq!(key.expose()[31] & 15, want, "last character {last:?}");
            assert_eq!(format!("{key:?}"), "EncodingAesKey(…)");
        }
        let refused = |text: &str| text.parse::<EncodingAesKey>().unwrap_err();
        let short = CredentialsError::KeyLength { got: 42 };
        assert_eq!(refused(stem), short);
        let long = CredentialsError::KeyLength { got: 44 };
        assert_eq!(refused(&format!("{stem}A=")), long);
        for last in ["=", "-", "_", " ", "\n"] {
            let got = refused(&format!("{stem}{last}"));
            assert_eq!(got, CredentialsError::KeyCharacters, "{last:?}");
        }
    }
}
