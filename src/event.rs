//! What happened between a follower and the account: somebody followed, scanned a code, or left.

use jiff::Timestamp;

use crate::openid::OpenId;
use crate::ticket::Ticket;

/// An event that is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Which one.
    pub kind: EventKind,
    /// Who.
    pub openid: OpenId,
    /// When, by WeChat's clock, in whole seconds.
    pub created_at: Timestamp,
    /// `EventKey` as it came, at most [`Event::MAX_KEY`] bytes without NUL; empty if there is none. With kind, time and
    /// openid it tells a repeat.
    pub key: String,
    /// The code that was scanned; none if there was none.
    pub scan: Option<Scan>,
}

impl Event {
    /// The longest `EventKey`, in bytes: a scene has 64 characters, which are 256 bytes at most, and other senders have been
    /// seen to put more there. Chosen, not documented.
    pub const MAX_KEY: usize = 1024;
}

/// Which event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// Somebody became a follower, by a scan or otherwise.
    Subscribe,
    /// A follower scanned a code.
    Scan,
    /// A follower left.
    Unsubscribe,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Subscribe, Self::Scan, Self::Unsubscribe];

    /// The name in answers, in the store and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Scan => "scan",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}

/// The code that was scanned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What it carries, as it came: a number or a text, which WeChat does not tell apart. May be empty.
    pub scene: String,
    /// What it is known by. None if WeChat gave none, or one that we could not have kept.
    pub ticket: Option<Ticket>,
}
