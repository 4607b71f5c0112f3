//! Events of WeChat's callback: follow, scan, unfollow.

use jiff::Timestamp;

use crate::openid::OpenId;
use crate::ticket::Ticket;

/// An event that the statistics count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What the follower did.
    pub kind: EventKind,
    /// The follower that the event is about.
    pub openid: OpenId,
    /// Time by WeChat's clock, in whole seconds.
    pub created_at: Timestamp,
    /// `EventKey` as received, at most [`Event::MAX_KEY`] bytes without NUL; empty if there is
    /// none. With kind, time and openid it identifies repeated deliveries.
    pub key: String,
    /// The scanned code; `None` without a scan.
    pub scan: Option<Scan>,
}

impl Event {
    /// Maximum length of `EventKey`, in bytes. A scene has 64 characters, which are 256 bytes at
    /// most, and other senders have been observed to put more there. Chosen, not documented.
    pub const MAX_KEY: usize = 1024;
}

/// What a follower did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A new follower, by a scan or otherwise.
    Subscribe,
    /// A scan by a follower.
    Scan,
    /// A follower left.
    Unsubscribe,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Subscribe, Self::Scan, Self::Unsubscribe];

    /// The name in WeChat's documentation, in lower case. What stores, answers or counts events has
    /// names of its own. Ids of events contain it, so it must not change.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe",
            Self::Scan => "scan",
            Self::Unsubscribe => "unsubscribe",
        }
    }
}

/// The scanned code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The scene as received. WeChat does not distinguish numbers and texts here. May be empty.
    pub scene: String,
    /// The code's ticket; `None` if WeChat sent none, or an invalid one.
    pub ticket: Option<Ticket>,
}
