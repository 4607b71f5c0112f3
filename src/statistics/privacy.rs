//! Pseudonyms by a keyed hash (HMAC): the same person or event always has the same one, which
//! reveals nothing.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use wechat::event::Event;
use wechat::openid::OpenId;

/// How much of a hash a pseudonym has, in bytes: two of 2⁴⁰ persons then share one with a chance of
/// 2⁻⁴⁹.
const PSEUDONYM_BYTES: usize = 16;

/// Secret key of the HMAC that makes pseudonyms. `Debug` does not show it.
#[derive(Clone)]
pub struct PersonKey([u8; Self::LEN]);

/// Why a text is not a key. The message does not quote the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PersonKeyError {
    /// It has another length, or other characters.
    #[error("is not a key of 32 bytes")]
    Form,
    /// All bytes are the same, as in 64 zeros: a placeholder, which protects nothing.
    #[error("is one byte repeated, not a random key")]
    Repeated,
}

/// Pseudonym of a person: a keyed hash of the openid.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Person(String);

/// Pseudonymous id of an event, equal for repeated pushes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(String);

impl PersonKey {
    /// The length of a key in bytes.
    pub const LEN: usize = 32;

    /// Creates a random key.
    pub fn random() -> Self {
        let mut key = [0; Self::LEN];
        getrandom::fill(&mut key).expect("the operating system has randomness");
        Self(key)
    }

    /// The accepted forms of a key, for help and errors.
    pub const FORM: &str = "32 random bytes, as 64 hex digits (`openssl rand -hex 32`) or in base64 (43 or 44 characters)";

    /// Encodes the key for the database, the only place that keeps it.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Computes what identifies the key without revealing it.
    pub fn fingerprint(&self) -> String {
        self.pseudonym(&["fingerprint"])
    }

    /// Computes the pseudonym of a person.
    pub fn person(&self, openid: &OpenId) -> Person {
        Person(self.pseudonym(&["person", openid.as_str()]))
    }

    /// Computes the id of an event, from all that identifies a repeat.
    pub fn event(&self, event: &Event) -> EventId {
        let second = event.created_at.as_second().to_string();
        let openid = event.openid.as_str();
        EventId(self.pseudonym(&["event", openid, &second, event.kind.as_str(), &event.key]))
    }

    /// Hashes parts into 22 characters of `A-Za-z0-9_-`. No part but the last may have a NUL in it,
    /// and parts with the same first one are equally many.
    fn pseudonym(&self, parts: &[&str]) -> String {
        let mut hmac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in parts {
            hmac.update(part.as_bytes());
            hmac.update(b"\0");
        }
        URL_SAFE_NO_PAD.encode(&hmac.finalize().into_bytes()[..PSEUDONYM_BYTES])
    }
}

impl FromStr for PersonKey {
    type Err = PersonKeyError;

    /// Parses a key as [`PersonKey::to_text`] wrote it, or as people make one.
    fn from_str(text: &str) -> Result<Self, PersonKeyError> {
        let bytes = from_hex(text).or_else(|| from_base64(text));
        let bytes: [u8; Self::LEN] = bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(PersonKeyError::Form)?;
        if bytes == [bytes[0]; Self::LEN] {
            return Err(PersonKeyError::Repeated);
        }
        Ok(Self(bytes))
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
        .collect::<Option<_>>()?;
    // 43 hex digits would be base64.
    let is_key = digits.len() == 2 * PersonKey::LEN;
    is_key.then(|| {
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    })
}

/// Decodes standard or URL-safe base64, with or without its padding.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_suffix('=').unwrap_or(text);
    let text = text.replace('+', "-").replace('/', "_");
    URL_SAFE_NO_PAD.decode(text).ok()
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKey(…)")
    }
}

impl Person {
    /// Takes a pseudonym that was stored.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// Returns the pseudonym: 22 characters of `A-Za-z0-9_-`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EventId {
    /// Returns the id: 22 characters of `A-Za-z0-9_-`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use wechat::event::EventKind;

    use super::*;

    fn key() -> PersonKey {
        PersonKey([7; PersonKey::LEN])
    }

    fn event(openid: &str, second: i64, kind: EventKind, text: &str) -> Event {
        Event {
            kind,
            openid: openid.parse().unwrap(),
            created_at: Timestamp::from_second(second).unwrap(),
            key: text.to_owned(),
            scan: None,
        }
    }

    /// Computed by Python's `hmac`.
    #[test]
    fn a_pseudonym_is_the_beginning_of_a_keyed_hash() {
        let person = key().person(&"o6_bmjrPTlm6_2sgVt7hMZOPfL2M".parse().unwrap());
        assert_eq!(person.as_str(), "3EaQzQ7uGTdnUFDBDZiE2w");
        let event = event("o6", 1_700_000_000, EventKind::Scan, "展会");
        assert_eq!(key().event(&event).as_str(), "a9NpXPUl17C0pV9qyshorw");
    }

    #[test]
    fn names_differ_when_anything_does() {
        let person = |key: &PersonKey, openid: &str| key.person(&openid.parse().unwrap());
        let other = PersonKey([8; PersonKey::LEN]);
        assert_eq!(person(&key(), "a"), person(&key(), "a"));
        assert_ne!(person(&key(), "a"), person(&key(), "A"));
        assert_ne!(person(&key(), "a"), person(&other, "a"));
        let events = [
            ("a", 1, EventKind::Scan, "1"),
            ("a", 1, EventKind::Scan, "2"),
            ("a", 11, EventKind::Scan, ""),
            ("a", 1, EventKind::Scan, ""),
            ("a", 1, EventKind::Subscribe, "1"),
            ("a", 1, EventKind::Unsubscribe, ""),
            ("a1", 1, EventKind::Scan, "1"),
        ];
        let names = events
            .map(|(openid, second, kind, text)| key().event(&event(openid, second, kind, text)));
        for (n, name) in names.iter().enumerate() {
            assert!(!names[..n].contains(name), "{:?}", events[n]);
        }
    }

    #[test]
    fn a_key_is_written_and_read_and_not_shown() {
        let made = PersonKey::random();
        let text = made.to_text();
        assert_eq!(text.parse::<PersonKey>().unwrap().0, made.0);
        assert_ne!(PersonKey::random().0, made.0);
        assert_eq!(format!("{made:?}"), "PersonKey(…)");
        for bad in ["", "AAAA", &text[1..], &format!("{text}AAAA"), "?"] {
            assert!(bad.parse::<PersonKey>().is_err(), "text {bad:?}");
        }
    }

    #[test]
    fn a_key_may_be_given_in_hex_or_base64() {
        let bytes: [u8; PersonKey::LEN] = std::array::from_fn(|n| 0xf0 ^ u8::try_from(n).unwrap());
        let hex = bytes
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let padded = base64::engine::general_purpose::STANDARD.encode(bytes);
        for text in [
            hex.as_str(),
            &hex.to_uppercase(),
            &padded,
            padded.trim_end_matches('='),
            &URL_SAFE_NO_PAD.encode(bytes),
        ] {
            assert_eq!(
                text.parse::<PersonKey>().map(|key| key.0),
                Ok(bytes),
                "{text}"
            );
        }
        for bad in [
            &hex[1..],
            &format!("{hex}0"),
            &format!("0x{hex}"),
            &format!(" {padded}"),
            &format!("{padded}="),
            "correct horse battery staple",
        ] {
            assert_eq!(
                bad.parse::<PersonKey>().unwrap_err(),
                PersonKeyError::Form,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_byte_repeated_is_no_key() {
        let repeated = |byte: u8| {
            let bytes = [byte; PersonKey::LEN];
            let hex = format!("{byte:02x}").repeat(PersonKey::LEN);
            [hex, URL_SAFE_NO_PAD.encode(bytes)]
        };
        for text in (0..=u8::MAX).flat_map(repeated) {
            let got = text.parse::<PersonKey>().map(|_| ());
            assert_eq!(got, Err(PersonKeyError::Repeated), "{text}");
        }
        let nearly = format!("{}1", "0".repeat(63));
        assert!(nearly.parse::<PersonKey>().is_ok());
    }

    #[test]
    fn fingerprints_of_keys_differ() {
        let other = PersonKey([8; PersonKey::LEN]);
        assert_eq!(key().fingerprint(), key().fingerprint());
        assert_ne!(key().fingerprint(), other.fingerprint());
    }
}
