//! Who follows an account.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// How many people an account knows. Beyond it, one is forgotten and is a stranger again; ours is
/// for memory.
const MAX_PEOPLE: usize = 100_000;

/// What somebody does with a code in front of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    Follow,
    Scan,
    Unfollow,
}

/// Why nothing happens, here as in WeChat, and nothing is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// It was never made, or is dead: WeChat opens nothing.
    NoSuchCode,
    /// Who scans without following is shown a page to follow, and the account hears nothing until
    /// they do.
    DoesNotFollow,
    /// There is no button to follow again.
    FollowsAlready,
}

/// Everybody who has followed, by openid.
#[derive(Debug, Default)]
pub(super) struct People(BTreeMap<String, Person>);

#[derive(Debug, Clone, Copy)]
struct Person {
    follows: bool,
    /// When they last did something.
    last: Timestamp,
}

impl Act {
    /// As the form spells it.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        match name {
            "follow" => Some(Self::Follow),
            "scan" => Some(Self::Scan),
            "unfollow" => Some(Self::Unfollow),
            _ => None,
        }
    }
}

impl People {
    pub(super) fn follows(&self, openid: &str) -> bool {
        self.0.get(openid).is_some_and(|person| person.follows)
    }

    /// Somebody does something; returns when.
    ///
    /// A person does one thing a second. Accounts know an event by its person and its second, so
    /// that two in one would be taken for one: a script that is quicker gets times that run
    /// ahead.
    pub(super) fn act(
        &mut self,
        openid: &str,
        act: Act,
        now: Timestamp,
    ) -> Result<Timestamp, Idle> {
        match (act, self.follows(openid)) {
            (Act::Follow, true) => return Err(Idle::FollowsAlready),
            (Act::Scan | Act::Unfollow, false) => return Err(Idle::DoesNotFollow),
            (Act::Follow, false) | (Act::Scan | Act::Unfollow, true) => {}
        }
        let at = match self.0.get(openid) {
            Some(person) => now.max(next_second(person.last)),
            None => now,
        };
        if self.0.len() >= MAX_PEOPLE && !self.0.contains_key(openid) {
            self.0.pop_first();
        }
        let person = Person {
            follows: act != Act::Unfollow,
            last: at,
        };
        self.0.insert(openid.to_owned(), person);
        Ok(at)
    }
}

fn next_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second() + 1).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
    }

    #[test]
    fn only_a_stranger_follows_and_only_a_follower_does_the_rest() {
        use Act::{Follow, Scan, Unfollow};
        let mut people = People::default();
        for (act, want) in [
            (Scan, Err(Idle::DoesNotFollow)),
            (Unfollow, Err(Idle::DoesNotFollow)),
            (Follow, Ok(())),
            (Follow, Err(Idle::FollowsAlready)),
            (Scan, Ok(())),
            (Scan, Ok(())),
            (Unfollow, Ok(())),
            (Scan, Err(Idle::DoesNotFollow)),
            (Follow, Ok(())),
        ] {
            let got = people.act("a", act, at(0)).map(|_| ());
            assert_eq!(got, want, "{act:?}");
        }
        assert!(people.follows("a") && !people.follows("b"));
    }

    #[test]
    fn a_person_does_one_thing_a_second() {
        let mut people = People::default();
        let mut times = Vec::new();
        for (openid, act, now) in [
            ("a", Act::Follow, 500),
            ("a", Act::Scan, 999),
            ("b", Act::Follow, 999),
            ("a", Act::Scan, 999),
            ("a", Act::Scan, 5_100),
        ] {
            let got = people.act(openid, act, at(now)).unwrap();
            times.push(got.as_second() - at(0).as_second());
        }
        assert_eq!(times, [0, 1, 0, 2, 5]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut people = People::default();
        for n in 0..=MAX_PEOPLE {
            people.act(&format!("{n:06}"), Act::Follow, at(0)).unwrap();
        }
        assert_eq!(people.0.len(), MAX_PEOPLE);
        assert!(!people.follows("000000") && people.follows("000001"));
        people.act("000001", Act::Scan, at(0)).unwrap();
        assert_eq!(people.0.len(), MAX_PEOPLE, "nobody goes for a known one");
    }
}
