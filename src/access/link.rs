//! Signed links: HMAC-SHA256 over the parameters that decide a temporary code. [`LinkKeys`] is the
//! type to read first.
//!
//! The signature covers what decides the code and the link's expiry, not the representation: one
//! signature is valid for every format, size and colour, under any base path.

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

/// The path in the signed text, whatever base path and extension the link has.
const PATH: &str = "/qrcode";

/// Names of the parameters that the signature covers, in signing order.
pub const SIGNED: [&str; 5] = [
    "exp",
    "expire_seconds",
    "permanent",
    "scene_id",
    "scene_str",
];

/// Length of an HMAC-SHA256, in bytes.
const SIGNATURE_LEN: usize = 32;

/// Returns the canonical text that is signed. `parameters` are decoded; those that the signature
/// does not cover are skipped.
///
/// Values are not normalized: `permanent=false` and an absent `permanent` are two links. The
/// encoding is injective: equal texts imply equal covered parameters, up to the order of their
/// names.
pub fn canonical<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let parameters: Vec<_> = parameters.into_iter().collect();
    let covered: Vec<String> = SIGNED
        .iter()
        .flat_map(|name| parameters.iter().filter(move |(given, _)| given == name))
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    format!("{PATH}\n{}", covered.join("&"))
}

/// Keys of signed links, with rotation: the first key signs, all verify. Empty by default, and then
/// no signature is valid.
#[derive(Clone, Default)]
pub struct LinkKeys(Vec<LinkKey>);

impl LinkKeys {
    /// The accepted form, in one line for error messages.
    pub const FORM: &'static str = "comma-separated, each key once, 10 or more printable ASCII characters without spaces and commas; \
        the first signs, all verify";
    /// Minimum length of a key, in characters. A link allows offline guessing of its key, so a key
    /// should be random and about three times as long.
    pub const MIN_KEY_LEN: usize = 10;

    /// Whether no key is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Signs a link with the first key, and returns its `sig`; `None` without keys.
    pub fn sign<'a>(
        &self,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Option<String> {
        let first = self.0.first()?;
        let signature = first.signature(&canonical(parameters));
        Some(BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// Verifies a link. `parameters` are decoded and contain `exp`; `sig` is the given signature.
    ///
    /// # Errors
    /// [`LinkError`]. A duplicate covered parameter is a bad signature, because it is ambiguous
    /// which one will be used, and so is an `exp` that does not parse as [`LinkExpiry`]. Callers
    /// that report these errors in detail check them first.
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
        let is_unambiguous = SIGNED.into_iter().all(|name| values(name).count() <= 1);
        if !is_unambiguous || !self.has_valid_signature(&canonical(covered), sig) {
            return Err(LinkError::BadSignature);
        }
        match exp.map(str::parse::<LinkExpiry>) {
            None => Ok(Link::Signed { exp: None }),
            Some(Err(_)) => Err(LinkError::BadSignature),
            Some(Ok(exp)) if exp.has_passed(now) => Err(LinkError::Expired),
            Some(Ok(exp)) => Ok(Link::Signed { exp: Some(exp) }),
        }
    }

    /// Compares with all keys in constant time.
    fn has_valid_signature(&self, canonical: &str, sig: &str) -> bool {
        let Some(given) = decoded(sig) else {
            return false;
        };
        let no_match = Choice::from(0);
        self.0
            .iter()
            .fold(no_match, |found, key| {
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

/// Decodes a `sig`. Only the canonical base64url encoding is accepted: no padding, no other
/// alphabet, no stray bits after the last byte.
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

    /// Parses keys, comma-separated; white space around a key is ignored.
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

/// An invalid entry in a list of link keys. Quotes no part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {position} {problem}")]
pub struct LinkKeysError {
    /// Position in the list, from 1.
    pub position: usize,
    pub problem: LinkKeyProblem,
}

/// Why a link key is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkKeyProblem {
    #[error("has less than {} characters", LinkKeys::MIN_KEY_LEN)]
    Short,
    /// A character other than printable ASCII.
    #[error("has a space or another character that a key cannot have")]
    Character,
    /// The same key is listed twice.
    #[error("is the same as an earlier one")]
    Twice,
}

/// A verified link. Only [`LinkKeys::verify`] returns a signed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Link {
    /// A link without signature.
    #[default]
    Unsigned,
    /// A link with a valid signature that has not expired.
    Signed {
        /// When the signature expires; `None`: never.
        exp: Option<LinkExpiry>,
    },
}

/// Why a link is refused, in every mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The signature is not valid for this link.
    #[error("the signature does not match this link")]
    BadSignature,
    /// The signature is valid but has expired.
    #[error("the link has expired")]
    Expired,
    /// An `exp` without a signature, which has no meaning.
    #[error("exp goes with sig only")]
    ExpiryWithoutSignature,
}

/// Expiry of a link: unix seconds as a decimal number without leading zeros. The instant itself is
/// excluded: the link is valid before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkExpiry(Timestamp);

impl LinkExpiry {
    /// The instant at which the link expires.
    pub fn at(self) -> Timestamp {
        self.0
    }

    /// Whether the link has expired.
    pub fn has_passed(self, now: Timestamp) -> bool {
        self.0 <= now
    }
}

impl From<Timestamp> for LinkExpiry {
    /// Truncates to the whole second.
    fn from(at: Timestamp) -> Self {
        Self(Timestamp::from_second(at.as_second()).expect("the second of an instant is one too"))
    }
}

impl FromStr for LinkExpiry {
    type Err = LinkExpiryError;

    fn from_str(text: &str) -> Result<Self, LinkExpiryError> {
        let second = canonical_decimal(text).ok_or(LinkExpiryError)?;
        let at = Timestamp::from_second(second).map_err(|_| LinkExpiryError)?;
        Ok(Self(at))
    }
}

impl fmt::Display for LinkExpiry {
    /// Writes the form of the parameter `exp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_second().fmt(f)
    }
}

/// An `exp` that is not a time. The message names the accepted form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a time in whole seconds since 1970-01-01 UTC, written in digits only, such as 1924963200"
)]
pub struct LinkExpiryError;

#[cfg(test)]
mod tests;
