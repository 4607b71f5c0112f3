//! What an account's owner sets in WeChat's console for the callback.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::random;

/// Where an account's events go, and in which form.
#[derive(Debug, Clone)]
pub struct Callback {
    /// `http` or `https`, with any port, where WeChat takes 80 and 443 only. A query of its own is
    /// kept.
    pub url: Url,
    /// Signs every request.
    pub token: CallbackToken,
    /// Whether messages are encrypted.
    pub mode: Mode,
    /// How messages are written.
    pub format: DataFormat,
}

/// The console's three ways to send a message.
#[derive(Debug, Clone)]
pub enum Mode {
    /// As it is.
    Plain,
    /// As it is and, in the same document, encrypted.
    Compatible(EncodingAesKey),
    /// Encrypted.
    Safe(EncodingAesKey),
}

impl Mode {
    pub(super) fn key(&self) -> Option<&EncodingAesKey> {
        match self {
            Self::Plain => None,
            Self::Compatible(key) | Self::Safe(key) => Some(key),
        }
    }
}

/// The console's two ways to write a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataFormat {
    /// One element for each field.
    Xml,
    /// One member for each field.
    Json,
}

/// The word that signs: 3 to 32 of `A-Za-z0-9`. `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub struct CallbackToken(SecretString);

impl CallbackToken {
    /// A new one.
    pub fn made_up() -> Self {
        Self(random::word(32).into())
    }

    /// As it is typed into a form.
    pub fn as_str(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for CallbackToken {
    type Err = Unacceptable;

    fn from_str(text: &str) -> Result<Self, Unacceptable> {
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_word && (3..=32).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(Unacceptable("accepted: 3 to 32 of A-Za-z0-9"))
        }
    }
}

/// The 43 characters from which the key comes. `Debug` shows nothing of them.
#[derive(Clone)]
pub struct EncodingAesKey {
    text: SecretString,
    bytes: [u8; 32],
}

impl EncodingAesKey {
    /// A new one, of letters and digits as the console makes it.
    pub fn made_up() -> Self {
        random::word(43)
            .parse()
            .expect("43 letters and digits are a key")
    }

    /// As it is typed into a form.
    pub fn as_str(&self) -> &str {
        self.text.expose_secret()
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl FromStr for EncodingAesKey {
    type Err = Unacceptable;

    /// As the documents say: append `=`, and decode. The last two bits that the characters hold
    /// belong to no byte.
    fn from_str(text: &str) -> Result<Self, Unacceptable> {
        let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let decoded = GeneralPurpose::new(&alphabet::STANDARD, config).decode(format!("{text}="));
        let bytes = decoded.ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            text: text.into(),
            bytes: bytes.ok_or(Unacceptable(
                "accepted: 43 characters of base64 without = at the end",
            ))?,
        })
    }
}

impl fmt::Debug for EncodingAesKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncodingAesKey(…)")
    }
}

/// What the console would not take. Says what it would, and quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unacceptable(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_console_takes_what_it_says() {
        for (text, want) in [
            ("abc", true),
            ("ABCxyz0189", true),
            (&"t".repeat(32), true),
            (&"t".repeat(33), false),
            ("ab", false),
            ("", false),
            ("a-b", false),
            ("令牌令牌", false),
        ] {
            assert_eq!(text.parse::<CallbackToken>().is_ok(), want, "{text:?}");
        }
        let stem = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
        for (key, want) in [
            (format!("{stem}A"), true),
            // Bits to spare.
            (format!("{stem}f"), true),
            (format!("{stem}+"), true),
            (stem.to_owned(), false),
            (format!("{stem}AA"), false),
            (format!("{stem}="), false),
            (format!("{stem}_"), false),
            (String::new(), false),
        ] {
            let got = key.parse::<EncodingAesKey>();
            assert_eq!(got.is_ok(), want, "{key:?}");
            assert!(
                got.is_err() || !format!("{got:?}").contains(stem),
                "{got:?}"
            );
        }
    }

    #[test]
    fn what_is_made_up_is_new_and_taken() {
        let (one, other) = (CallbackToken::made_up(), CallbackToken::made_up());
        assert_ne!(one.as_str(), other.as_str());
        assert!(one.as_str().parse::<CallbackToken>().is_ok());
        assert!(!format!("{one:?}").contains(one.as_str()));
        let (one, other) = (EncodingAesKey::made_up(), EncodingAesKey::made_up());
        assert_ne!(one.bytes(), other.bytes());
        assert_eq!(
            one.as_str().parse::<EncodingAesKey>().unwrap().bytes(),
            one.bytes()
        );
        assert!(one.as_str().bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}
