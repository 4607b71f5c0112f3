//! Names for persons and events that tell nobody who they are, and are the same whenever the same comes again.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::event::Event;
use crate::openid::OpenId;

/// How much of a hash a name has, in bytes: two of 2⁴⁰ persons then share one with a chance of 2⁻⁴⁹.
const NAME_BYTES: usize = 16;

/// The secret of a store, with which it names. `Debug` does not show it.
#[derive(Clone)]
pub struct PersonKey([u8; Self::LEN]);

/// A person, without saying who.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Person(String);

/// An event. A repeat has the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(String);

impl PersonKey {
    /// The length of a key in bytes.
    pub const LEN: usize = 32;

    /// A new one.
    pub fn random() -> Self {
        let mut key = [0; Self::LEN];
        getrandom::fill(&mut key).expect("the operating system has randomness");
        Self(key)
    }

    /// As [`PersonKey::to_text`] wrote it; none if it did not.
    pub fn from_text(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// For the store only, which keeps it.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// The name of a person.
    pub fn person(&self, openid: &OpenId) -> Person {
        Person(self.name(&["person", openid.as_str()]))
    }

    /// The name of an event, by all that tells a repeat.
    pub fn event(&self, event: &Event) -> EventId {
        let second = event.created_at.as_second().to_string();
        let openid = event.openid.as_str();
        EventId(self.name(&["event", openid, &second, event.kind.as_str(), &event.key]))
    }

    /// 22 characters of `A-Za-z0-9_-`. No part but the last may have a NUL in it, and parts with the same first one are equally many.
    fn name(&self, parts: &[&str]) -> String {
        let mut hmac =
            Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        for part in parts {
            hmac.update(part.as_bytes());
            hmac.update(b"\0");
        }
        URL_SAFE_NO_PAD.encode(&hmac.finalize().into_bytes()[..NAME_BYTES])
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKey(…)")
    }
}

impl Person {
    /// The name as it was written down.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// 22 characters of `A-Za-z0-9_-`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EventId {
    /// 22 characters of `A-Za-z0-9_-`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::EventKind;

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
    fn a_name_is_the_beginning_of_a_keyed_hash() {
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
        assert_eq!(PersonKey::from_text(&text).unwrap().0, made.0);
        assert_ne!(PersonKey::random().0, made.0);
        assert_eq!(format!("{made:?}"), "PersonKey(…)");
        for bad in ["", "AAAA", &text[1..], &format!("{text}AAAA"), "?"] {
            assert!(PersonKey::from_text(bad).is_none(), "text {bad:?}");
        }
    }
}
