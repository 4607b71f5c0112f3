//! The settings of a callback, as WeChat's console takes them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::random;

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
    pub(crate) fn key(&self) -> Option<&EncodingAesKey> {
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

/// The token that signs requests: 3 to 32 of `A-Za-z0-9`. `Debug` shows nothing of it.
#[derive(Debug, Clone)]
pub struct CallbackToken(SecretString);

impl CallbackToken {
    /// Makes a new random one.
    pub fn random() -> Self {
        Self(random::alphanumeric(32).into())
    }

    /// The text that is typed into a form.
    pub fn as_str(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for CallbackToken {
    type Err = InvalidCallbackSetting;

    fn from_str(text: &str) -> Result<Self, InvalidCallbackSetting> {
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_word && (3..=32).contains(&text.len()) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidCallbackSetting("accepted: 3 to 32 of A-Za-z0-9"))
        }
    }
}

/// `EncodingAESKey`: the 43 characters of base64 that hold the AES-256 key. `Debug` shows nothing
/// of them.
#[derive(Clone)]
pub struct EncodingAesKey {
    text: SecretString,
    bytes: [u8; 32],
}

impl EncodingAesKey {
    /// Makes a new random one, of letters and digits as the console makes it.
    pub fn random() -> Self {
        random::alphanumeric(43)
            .parse()
            .expect("43 letters and digits are a key")
    }

    /// The text that is typed into a form.
    pub fn as_str(&self) -> &str {
        self.text.expose_secret()
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }
}

impl FromStr for EncodingAesKey {
    type Err = InvalidCallbackSetting;

    /// Decodes a key as the documents say, after appending `=`. The last two bits that the
    /// characters hold belong to no byte.
    fn from_str(text: &str) -> Result<Self, InvalidCallbackSetting> {
        let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true);
        let decoded = GeneralPurpose::new(&alphabet::STANDARD, config).decode(format!("{text}="));
        let bytes = decoded.ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            text: text.into(),
            bytes: bytes.ok_or(InvalidCallbackSetting(
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

/// A setting that the console would refuse. Says what it would accept, and quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCallbackSetting(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callback_settings_are_checked_as_in_the_console() {
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
    fn random_settings_are_new_and_accepted() {
        let (one, other) = (CallbackToken::random(), CallbackToken::random());
        assert_ne!(one.as_str(), other.as_str());
        assert!(one.as_str().parse::<CallbackToken>().is_ok());
        assert!(!format!("{one:?}").contains(one.as_str()));
        let (one, other) = (EncodingAesKey::random(), EncodingAesKey::random());
        assert_ne!(one.bytes(), other.bytes());
        assert_eq!(
            one.as_str().parse::<EncodingAesKey>().unwrap().bytes(),
            one.bytes()
        );
        assert!(one.as_str().bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}
