//! What the account's owner typed into WeChat's console for the callback, and gave to us as well.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret, SecretString};

/// The token, and the keys if messages are encrypted.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Signs every request.
    pub token: CallbackToken,
    /// Encrypt messages, in WeChat's compatible and safe mode; none: plain mode.
    pub keys: Option<AesKeys>,
}

/// The keys that may have encrypted a message.
#[derive(Debug, Clone)]
pub struct AesKeys {
    /// The one in force.
    pub current: EncodingAesKey,
    /// The one before it, which WeChat may use a little longer.
    pub previous: Option<EncodingAesKey>,
}

/// The token that WeChat signs with: 3 to 32 of `A-Za-z0-9`, as its console takes it. `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub struct CallbackToken(SecretString);

impl CallbackToken {
    /// The form that is read, in one line for a message.
    pub const FORM: &'static str = "3 to 32 of A-Za-z0-9, as in WeChat's console";

    pub(super) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for CallbackToken {
    type Err = CredentialsError;

    fn from_str(text: &str) -> Result<Self, CredentialsError> {
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !(3..=32).contains(&text.len()) || !is_word {
            return Err(CredentialsError::Token);
        }
        Ok(Self(text.into()))
    }
}

/// The key that WeChat encrypts with: 43 characters of base64, 32 bytes. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct EncodingAesKey([u8; 32]);

impl EncodingAesKey {
    /// The form that is read, in one line for a message.
    pub const FORM: &'static str =
        "43 characters of base64 without = at the end, as in WeChat's console";

    /// How many characters it has.
    pub const LEN: usize = 43;

    /// 43 characters are 258 bits, and WeChat does not care for the last two: a strict decoder refuses 3 of 4 keys.
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

/// What is wrong with a token or a key. Quotes nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// Not [`CallbackToken::FORM`].
    #[error("is not a callback token")]
    Token,
    /// Not 43 characters.
    #[error("has {got} bytes instead of 43 characters")]
    KeyLength {
        /// How many bytes it has.
        got: usize,
    },
    /// A character that base64 does not have.
    #[error("has characters that base64 does not have")]
    KeyCharacters,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_what_the_console_takes() {
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
    fn a_key_may_have_bits_to_spare() {
        let stem = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
        // The last character's upper four bits count; its lower two are whatever they are.
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
