//! What followers did: stored once each, counted, listed, and forgotten in time.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::event::{Event, EventKind};
use crate::openid::OpenId;
use crate::scene::Scene;

/// An event on its way into the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated {
    /// What happened.
    pub event: Event,
    /// The owner's day on which it did.
    pub day: Date,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It was stored now.
    New {
        /// The binding whose code was scanned.
        binding: Option<String>,
    },
    /// It had been stored before; nothing was counted.
    Repeat,
}

/// Which code a scan is counted under.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Attribution {
    /// The code whose ticket the scan carried.
    Code(Scene),
    /// None that we know, under the text of its scene.
    Unknown(String),
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its name in answers, the same for every repeat.
    pub id: String,
    /// Its place in the order in which events were stored, from 1.
    pub seq: u64,
    /// When, by WeChat's clock.
    pub at: Timestamp,
    /// Which.
    pub kind: EventKind,
    /// The code; none where none was scanned.
    pub attribution: Option<Attribution>,
    /// A keyed hash of the openid, the same for all events of one follower.
    pub person: String,
    /// The follower; none once it may not be known any more.
    pub openid: Option<OpenId>,
}

/// Which events to list. What is not given does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Events of codes with this scene, of whatever kind: its text, and whether it is a number. Scenes of unknown tickets
    /// have a text only, which either finds.
    pub scene: Option<(String, bool)>,
    /// Events from this time on, by WeChat's clock.
    pub since: Option<Timestamp>,
}

/// In which order, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOrder {
    /// By the time of the event, the newest first.
    NewestFirst,
    /// In the order in which they were stored, those after this `seq`. Late events are not missed.
    StoredAfter(u64),
}
