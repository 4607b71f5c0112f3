//! Reduces events to changes of statistics, with first-touch attribution of followers.
//!
//! Read [`DeltaBuilder`] first. It is pure and knows no database; the order of events does not
//! change the numbers.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use jiff::civil::Date;
use wechat::event::EventKind;
use wechat::openid::OpenId;
use wechat::scene::Scene;

use crate::statistics::privacy::Person;

/// Which code a scan is counted under. In an order that is the same in every build.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attribution {
    /// The code whose ticket the scan carried.
    Code(Scene),
    /// An unknown code, under the text of its scene.
    Unknown(String),
}

/// The follow through a code that brought a follower: of several the earliest. In the same second
/// it is the one whose code comes first in the order of [`Attribution`], so that it does not depend
/// on which arrived first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FirstTouch {
    /// When, by WeChat's clock.
    pub at: Timestamp,
    pub code: Attribution,
    pub day: Date,
}

/// A follower's state after all counted events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowerState {
    /// The time of the latest event.
    pub seen_at: Timestamp,
    /// Whether the follower has left. Of events in the same second an unfollow wins.
    pub away: bool,
    /// What brought the follower first; none if it was no code.
    pub first_touch: Option<FirstTouch>,
}

/// An event with its person and its code, not counted before.
#[derive(Debug, Clone)]
pub struct AttributedEvent<'a> {
    pub person: Person,
    pub openid: &'a OpenId,
    pub kind: EventKind,
    /// When, by WeChat's clock.
    pub at: Timestamp,
    pub day: Date,
    /// The code that was scanned; none if there was none, or if it is outside the statistics.
    pub code: Option<Attribution>,
}

/// The state before the events are counted, of all their persons and codes.
#[derive(Debug, Clone, Default)]
pub struct PriorState {
    /// The persons with earlier events.
    pub people: HashMap<Person, FollowerState>,
    /// Days on which a person scanned a code: for each event, if there are any, its own day, the
    /// last one before it and the first one after it. More do no harm.
    pub days: HashMap<(Person, Attribution), BTreeSet<Date>>,
}

/// Folds events into a [`StatisticsDelta`]. Their order does not change the sum of the deltas.
#[derive(Debug)]
pub struct DeltaBuilder {
    before: HashMap<Person, FollowerState>,
    known: PriorState,
    changes: StatisticsDelta,
}

/// Changes of the statistics, in key order, so that all writers lock rows in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatisticsDelta {
    pub states: BTreeMap<Person, FollowerUpdate>,
    pub first_touches: BTreeMap<Person, FirstTouch>,
    /// Changes of the numbers of codes and days.
    pub tallies: BTreeMap<(Attribution, Date), Tally>,
    /// Changes of the number of returning people, by code, day, and the day of their scan before.
    pub returning: BTreeMap<(Attribution, Date, Date), i64>,
}

/// What is written of a follower: when they were last seen, and their openid or its erasure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowerUpdate {
    /// The time of the latest event.
    pub seen_at: Timestamp,
    /// The openid until the follower leaves; none means that it must be erased.
    pub openid: Option<OpenId>,
}

/// Changes to the counts of a code on a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Scans, and follows through the code.
    pub scans: i64,
    /// Distinct persons of that day among them.
    pub people: i64,
    /// Persons whom this code brought first.
    pub new_followers: i64,
    /// Of those, the ones who unfollowed.
    pub lost: i64,
}

impl DeltaBuilder {
    /// Begins with the state in the database.
    pub fn from(known: PriorState) -> Self {
        Self {
            before: known.people.clone(),
            known,
            changes: StatisticsDelta::default(),
        }
    }

    /// Counts an event. It must not have been counted before.
    pub fn add(&mut self, event: &AttributedEvent<'_>) {
        self.follow(event);
        if let Some(code) = &event.code {
            self.scan(event, code);
        }
    }

    /// Returns what all added events changed.
    pub fn finish(mut self) -> StatisticsDelta {
        for (person, now) in &self.known.people {
            let before = self.before.get(person);
            self.changes.recount(before, -1);
            self.changes.recount(Some(now), 1);
            let first_touch = now.first_touch.as_ref();
            if let Some(first_touch) =
                first_touch.filter(|_| first_touch != before.and_then(first_touch_of))
            {
                self.changes
                    .first_touches
                    .insert(person.clone(), first_touch.clone());
            }
        }
        let StatisticsDelta {
            tallies, returning, ..
        } = &mut self.changes;
        tallies.retain(|_, change| *change != Tally::default());
        returning.retain(|_, change| *change != 0);
        self.changes
    }

    /// Changes the state of a follower, if no later event is known.
    fn follow(&mut self, event: &AttributedEvent<'_>) {
        let leaves = event.kind == EventKind::Unsubscribe;
        let known = self.known.people.get(&event.person);
        let is_latest = known.is_none_or(|known| {
            event.at > known.seen_at || (event.at == known.seen_at && leaves && !known.away)
        });
        if !is_latest {
            return;
        }
        let now = FollowerState {
            seen_at: event.at,
            away: leaves,
            first_touch: known.and_then(first_touch_of).cloned(),
        };
        self.known.people.insert(event.person.clone(), now);
        let state = FollowerUpdate {
            seen_at: event.at,
            openid: (!leaves).then(|| event.openid.clone()),
        };
        self.changes.states.insert(event.person.clone(), state);
    }

    fn scan(&mut self, event: &AttributedEvent<'_>, code: &Attribution) {
        self.visit(event, code);
        if event.kind != EventKind::Subscribe {
            return;
        }
        let first_touch = FirstTouch {
            at: event.at,
            code: code.clone(),
            day: event.day,
        };
        let state = self.known.people.get_mut(&event.person);
        let first = &mut state.expect("the event has set the state").first_touch;
        if first.as_ref().is_none_or(|first| first_touch < *first) {
            *first = Some(first_touch);
        }
    }

    /// Counts a scan, and a person more on that day if it is their first. A person's days with the
    /// code are a chain, each day with the one before it, and a new day goes in between.
    fn visit(&mut self, event: &AttributedEvent<'_>, code: &Attribution) {
        let day = event.day;
        self.changes.tally(code, day).scans += 1;
        let key = (event.person.clone(), code.clone());
        let days = self.known.days.entry(key).or_default();
        if !days.insert(day) {
            return;
        }
        self.changes.tally(code, day).people += 1;
        let before = days.range(..day).next_back().copied();
        let after = days.range(day..).nth(1).copied();
        let mut count_returning = |day, since: Option<Date>, change| {
            if let Some(since) = since {
                *self
                    .changes
                    .returning
                    .entry((code.clone(), day, since))
                    .or_default() += change;
            }
        };
        count_returning(day, before, 1);
        if let Some(after) = after {
            count_returning(after, before, -1);
            count_returning(after, Some(day), 1);
        }
    }
}

fn first_touch_of(state: &FollowerState) -> Option<&FirstTouch> {
    state.first_touch.as_ref()
}

impl StatisticsDelta {
    fn tally(&mut self, code: &Attribution, day: Date) -> &mut Tally {
        self.tallies.entry((code.clone(), day)).or_default()
    }

    /// Counts a follower with the code that brought them, or takes the count back.
    fn recount(&mut self, state: Option<&FollowerState>, change: i64) {
        let Some((state, first_touch)) = state.and_then(|one| Some((one, first_touch_of(one)?)))
        else {
            return;
        };
        let tally = self.tally(&first_touch.code, first_touch.day);
        tally.new_followers += change;
        tally.lost += if state.away { change } else { 0 };
    }
}

#[cfg(test)]
mod tests;
