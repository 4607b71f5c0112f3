//! The signature of Standard Webhooks: HMAC-SHA256 over id, timestamp and body.
//!
//! Ten lines of our own: the crate of the standard brings another base64 and another HMAC.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// The secrets that sign webhooks, one or more. All of them sign, so that a receiver may know the
/// old one or the new one (rotation). `Debug` does not show them.
#[derive(Clone)]
pub struct SigningSecrets(Vec<Vec<u8>>);

/// Why a text is no list of secrets. It quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningSecretsError {
    #[error("secret {0} does not begin with whsec_")]
    Prefix(usize),
    #[error("secret {0} is not base64 after whsec_")]
    Base64(usize),
    #[error("secret {0} has {1} bytes instead of 24 to 64")]
    Length(usize, usize),
    #[error("secret {0} is the same as an earlier one")]
    Repeated(usize),
}

impl SigningSecrets {
    /// The shortest secret, in bytes.
    pub const MIN_LEN: usize = 24;

    /// The longest secret, in bytes.
    pub const MAX_LEN: usize = 64;

    /// The accepted form, for help and errors.
    pub const FORM: &str = "comma-separated, each whsec_ and 24 to 64 random bytes in base64, such as whsec_ and the output of `openssl rand -base64 32`";

    /// Makes the header `webhook-signature`: a signature by each secret.
    pub(super) fn sign(&self, id: &str, at: Timestamp, body: &[u8]) -> String {
        let signatures = self.0.iter().map(|secret| {
            let mut hmac =
                Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
            hmac.update(format!("{id}.{}.", at.as_second()).as_bytes());
            hmac.update(body);
            let signature = BASE64_STANDARD.encode(hmac.finalize().into_bytes());
            format!("v1,{signature}")
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

const _: () = assert!(SigningSecrets::MIN_LEN == 24 && SigningSecrets::MAX_LEN == 64);

impl FromStr for SigningSecrets {
    type Err = SigningSecretsError;

    fn from_str(text: &str) -> Result<Self, SigningSecretsError> {
        let mut secrets = Vec::new();
        for (number, text) in (1..).zip(text.split(',')) {
            let secret = secret(number, text.trim())?;
            if secrets.contains(&secret) {
                return Err(SigningSecretsError::Repeated(number));
            }
            secrets.push(secret);
        }
        Ok(Self(secrets))
    }
}

fn secret(number: usize, text: &str) -> Result<Vec<u8>, SigningSecretsError> {
    let text = text
        .strip_prefix(PREFIX)
        .ok_or(SigningSecretsError::Prefix(number))?;
    let secret = BASE64_STANDARD
        .decode(text)
        .map_err(|_| SigningSecretsError::Base64(number))?;
    match secret.len() {
        SigningSecrets::MIN_LEN..=SigningSecrets::MAX_LEN => Ok(secret),
        other => Err(SigningSecretsError::Length(number, other)),
    }
}

impl fmt::Debug for SigningSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningSecrets({} of them)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The vector of the standard's own libraries.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let secrets: SigningSecrets = SECRET.parse().unwrap();
        let at = Timestamp::from_second(1_614_265_330).unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let signature = secrets.sign(id, at, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn every_secret_signs() {
        let new = "whsec_YSBuZXcgc2VjcmV0IG9mIDI0IGJ5dGVz";
        let sign = |secrets: &str| {
            let secrets: SigningSecrets = secrets.parse().unwrap();
            secrets.sign("id", Timestamp::UNIX_EPOCH, b"{}")
        };
        let both = sign(&format!("{new}, {SECRET}"));
        assert_eq!(both, format!("{} {}", sign(new), sign(SECRET)));
    }

    #[test]
    fn what_is_no_secret_says_why_and_is_not_quoted() {
        use SigningSecretsError::{Base64, Length, Prefix, Repeated};
        let of = |bytes: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![7; bytes]));
        for (text, want) in [
            (SECRET.to_owned(), None),
            (of(24), None),
            (of(64), None),
            (format!("{SECRET},{}", of(32)), None),
            (of(23), Some(Length(1, 23))),
            (of(65), Some(Length(1, 65))),
            (String::new(), Some(Prefix(1))),
            (
                "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
                Some(Prefix(1)),
            ),
            (format!("{SECRET},"), Some(Prefix(2))),
            (format!("{SECRET},whsec_s3cret!"), Some(Base64(2))),
            (format!("{SECRET}, {SECRET}"), Some(Repeated(2))),
        ] {
            let got = text.parse::<SigningSecrets>();
            assert_eq!(got.as_ref().err().copied(), want, "{text}");
            assert!(!format!("{got:?}").contains("MfKQ"), "{got:?}");
        }
    }
}
