//! Signed links: whoever holds a link key decides which temporary codes visitors may mint. [`LinkKeys`] is the type to read
//! first.
//!
//! A link is signed by what decides the code and how long the link holds, not by how the code is shown: one signature covers
//! every representation, size and colour, behind whatever base path.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::form::escaped;
use crate::text::canonical_decimal;

/// What every signature is for, whatever base path and extension the link has.
const PATH: &str = "/qrcode";

/// Names of the parameters that a signature covers, in the order in which they are signed.
pub const SIGNED: [&str; 5] = [
    "exp",
    "expire_seconds",
    "permanent",
    "scene_id",
    "scene_str",
];

/// Length of HMAC-SHA256 in bytes.
const SIGNATURE_LEN: usize = 32;

/// The text that is signed for a link with these parameters, as they are after decoding. Those that a signature does not cover
/// are passed over.
///
/// Nothing is normalised: `permanent=false` and no `permanent` are two links. It is injective: two lists of covered parameters
/// have the same text only if they are the same but for the order of names.
pub fn canonical<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let parameters: Vec<_> = parameters.into_iter().collect();
    let covered: Vec<String> = SIGNED
        .iter()
        .flat_map(|name| parameters.iter().filter(move |(given, _)| given == name))
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    format!("{PATH}\n{}", covered.join("&"))
}

/// The keys of signed links: the first signs, all verify, so that a key can be replaced while its links are still about. None
/// by default, and then no signature is a good one.
#[derive(Clone, Default)]
pub struct LinkKeys(Vec<LinkKey>);

impl LinkKeys {
    /// The form that is read, in one line for a message.
    pub const FORM: &'static str = "comma-separated, each key once, 10 or more printable ASCII characters without spaces and commas; \
        the first signs, all verify";
    /// The shortest key, in characters. Whoever has a link can try keys on it at leisure, so a key should be random, and
    /// rather three times as long.
    pub const MIN_KEY_LEN: usize = 10;

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The `sig` of a link with these parameters, by the first key; none without keys.
    pub fn sign<'a>(
        &self,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Option<String> {
        let first = self.0.first()?;
        let signature = first.signature(&canonical(parameters));
        Some(BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// Checks a link: `parameters` as they are after decoding, `sig` the one that was given, `exp` being among the parameters.
    ///
    /// # Errors
    /// [`LinkError`]. A covered parameter that is there twice is a bad signature, because it is not known which one will be
    /// used, and so is an `exp` that is no [`Expiry`]; whoever wants to say more about them looks before.
    pub fn verify<'a>(
        &self,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        sig: Option<&str>,
        now: Timestamp,
    ) -> Result<Link, LinkError> {
        let covered: Vec<_> = parameters
            .into_iter()
            .filter(|(name, _)| SIGNED.contains(name))
            .collect();
        let values = |wanted| covered.iter().filter(move |(name, _)| *name == wanted);
        let exp = values("exp").next().map(|(_, value)| *value);
        let Some(sig) = sig else {
            return match exp {
                None => Ok(Link::Unsigned),
                Some(_) => Err(LinkError::ExpiryWithoutSignature),
            };
        };
        let is_clear = SIGNED.into_iter().all(|name| values(name).count() <= 1);
        if !is_clear || !self.has_signed(&canonical(covered), sig) {
            return Err(LinkError::BadSignature);
        }
        match exp.map(str::parse::<Expiry>) {
            None => Ok(Link::Signed { exp: None }),
            Some(Err(_)) => Err(LinkError::BadSignature),
            Some(Ok(exp)) if exp.has_passed(now) => Err(LinkError::Expired),
            Some(Ok(exp)) => Ok(Link::Signed { exp: Some(exp) }),
        }
    }

    /// Takes the same time whichever key it is, or none.
    fn has_signed(&self, canonical: &str, sig: &str) -> bool {
        let Some(given) = decoded(sig) else {
            return false;
        };
        let nobody = Choice::from(0);
        self.0
            .iter()
            .fold(nobody, |found, key| {
                found | key.signature(canonical).ct_eq(&given)
            })
            .into()
    }

    fn add(&mut self, key: LinkKey) -> Result<(), LinkKeyProblem> {
        let same = |known: &LinkKey| known.0.expose_secret() == key.0.expose_secret();
        if self.0.iter().any(same) {
            return Err(LinkKeyProblem::Twice);
        }
        self.0.push(key);
        Ok(())
    }
}

/// The bytes of a `sig`. One signature has one spelling: other alphabets, padding and bits behind the last byte are refused.
fn decoded(sig: &str) -> Option<[u8; SIGNATURE_LEN]> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(sig).ok()?;
    bytes.try_into().ok()
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkKeys({} keys)", self.0.len())
    }
}

impl FromStr for LinkKeys {
    type Err = LinkKeysError;

    /// Reads keys, comma-separated; white space around a key is ignored.
    fn from_str(text: &str) -> Result<Self, LinkKeysError> {
        let mut keys = Self::default();
        for (index, entry) in text.split(',').enumerate() {
            LinkKey::new(entry.trim())
                .and_then(|key| keys.add(key))
                .map_err(|problem| LinkKeysError {
                    position: index + 1,
                    problem,
                })?;
        }
        Ok(keys)
    }
}

#[derive(Clone)]
struct LinkKey(SecretString);

impl LinkKey {
    fn new(text: &str) -> Result<Self, LinkKeyProblem> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(LinkKeyProblem::Character);
        }
        if text.len() < LinkKeys::MIN_KEY_LEN {
            return Err(LinkKeyProblem::Short);
        }
        Ok(Self(text.into()))
    }

    fn signature(&self, canonical: &str) -> [u8; SIGNATURE_LEN] {
        let mut hmac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes())
            .expect("HMAC takes keys of any length");
        hmac.update(canonical.as_bytes());
        hmac.finalize().into_bytes().into()
    }
}

/// Which key of a list was refused, and why. Quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {position} {problem}")]
pub struct LinkKeysError {
    /// Position in the list, from 1.
    pub position: usize,
    /// What is wrong with it.
    pub problem: LinkKeyProblem,
}

/// Why a link key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkKeyProblem {
    /// Fewer characters than a key must have.
    #[error("has less than 10 characters")]
    Short,
    /// Something else than printable ASCII.
    #[error("has a space or another character that a key cannot have")]
    Character,
    /// An earlier key is the same.
    #[error("is the same as an earlier one")]
    Twice,
}

/// What a link that was followed is worth. Only [`LinkKeys::verify`] makes a signed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// It has no signature.
    #[default]
    Unsigned,
    /// Its signature is valid.
    Signed {
        /// When it ends, if ever.
        exp: Option<Expiry>,
    },
}

/// Why a link is refused, whatever the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The signature is not that of this link.
    #[error("the signature is not that of this link")]
    BadSignature,
    /// The signature is valid, and the link has ended.
    #[error("the link has expired")]
    Expired,
    /// It says when it ends and has no signature.
    #[error("exp goes with sig only")]
    ExpiryWithoutSignature,
}

/// When a link ends: seconds since 1970-01-01 UTC, in the one spelling of digits without leading zeros. The link holds before
/// that instant, not at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry(Timestamp);

impl Expiry {
    /// The instant.
    pub fn at(self) -> Timestamp {
        self.0
    }

    /// Whether the link has ended.
    pub fn has_passed(self, now: Timestamp) -> bool {
        self.0 <= now
    }
}

impl From<Timestamp> for Expiry {
    /// At the whole second.
    fn from(at: Timestamp) -> Self {
        Self(Timestamp::from_second(at.as_second()).expect("the second of an instant is one too"))
    }
}

impl FromStr for Expiry {
    type Err = ExpiryError;

    fn from_str(text: &str) -> Result<Self, ExpiryError> {
        let second = canonical_decimal(text).ok_or(ExpiryError)?;
        let at = Timestamp::from_second(second).map_err(|_| ExpiryError)?;
        Ok(Self(at))
    }
}

impl fmt::Display for Expiry {
    /// As `exp` spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_second().fmt(f)
    }
}

/// An `exp` that is no time. The message says what would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a time in whole seconds since 1970-01-01 UTC, written in digits only, such as 1924963200"
)]
pub struct ExpiryError;

#[cfg(test)]
mod tests;
