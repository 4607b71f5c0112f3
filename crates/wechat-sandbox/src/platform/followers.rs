//! The followers of an account, and when each acted last.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// How many followers an account knows. Beyond it, one is forgotten; the bound is ours, for memory.
const MAX_PEOPLE: usize = 100_000;

/// What a person does with a code in front of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FollowerAction {
    Follow,
    Scan,
    Unfollow,
}

/// Why an action makes no event, here as in WeChat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoEvent {
    /// The code was never created, or has expired: WeChat opens nothing.
    NoSuchCode,
    /// A scan without following shows the page to follow, and nothing is pushed until then.
    DoesNotFollow,
    /// WeChat has no button to follow again.
    FollowsAlready,
}

/// Everyone who has ever followed, by openid.
#[derive(Debug, Default)]
pub(crate) struct Followers(BTreeMap<String, Follower>);

#[derive(Debug, Clone, Copy)]
struct Follower {
    follows: bool,
    /// The time of the last event.
    last: Timestamp,
}

impl FollowerAction {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "follow" => Some(Self::Follow),
            "scan" => Some(Self::Scan),
            "unfollow" => Some(Self::Unfollow),
            _ => None,
        }
    }
}

impl Followers {
    pub(crate) fn follows(&self, openid: &str) -> bool {
        self.0.get(openid).is_some_and(|follower| follower.follows)
    }

    /// Applies an action and returns the time of its event.
    ///
    /// No two events of a follower share a second: accounts deduplicate events by openid and
    /// second. For a script that is quicker, the times run ahead.
    pub(crate) fn act(
        &mut self,
        openid: &str,
        act: FollowerAction,
        now: Timestamp,
    ) -> Result<Timestamp, NoEvent> {
        match (act, self.follows(openid)) {
            (FollowerAction::Follow, true) => return Err(NoEvent::FollowsAlready),
            (FollowerAction::Scan | FollowerAction::Unfollow, false) => {
                return Err(NoEvent::DoesNotFollow);
            }
            (FollowerAction::Follow, false)
            | (FollowerAction::Scan | FollowerAction::Unfollow, true) => {}
        }
        let at = match self.0.get(openid) {
            Some(follower) => now.max(next_second(follower.last)),
            None => now,
        };
        if self.0.len() >= MAX_PEOPLE && !self.0.contains_key(openid) {
            self.0.pop_first();
        }
        let follower = Follower {
            follows: act != FollowerAction::Unfollow,
            last: at,
        };
        self.0.insert(openid.to_owned(), follower);
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
        use FollowerAction::{Follow, Scan, Unfollow};
        let mut followers = Followers::default();
        for (act, want) in [
            (Scan, Err(NoEvent::DoesNotFollow)),
            (Unfollow, Err(NoEvent::DoesNotFollow)),
            (Follow, Ok(())),
            (Follow, Err(NoEvent::FollowsAlready)),
            (Scan, Ok(())),
            (Scan, Ok(())),
            (Unfollow, Ok(())),
            (Scan, Err(NoEvent::DoesNotFollow)),
            (Follow, Ok(())),
        ] {
            let got = followers.act("a", act, at(0)).map(|_| ());
            assert_eq!(got, want, "{act:?}");
        }
        assert!(followers.follows("a") && !followers.follows("b"));
    }

    #[test]
    fn no_two_events_of_a_follower_share_a_second() {
        let mut followers = Followers::default();
        let mut times = Vec::new();
        for (openid, act, now) in [
            ("a", FollowerAction::Follow, 500),
            ("a", FollowerAction::Scan, 999),
            ("b", FollowerAction::Follow, 999),
            ("a", FollowerAction::Scan, 999),
            ("a", FollowerAction::Scan, 5_100),
        ] {
            let got = followers.act(openid, act, at(now)).unwrap();
            times.push(got.as_second() - at(0).as_second());
        }
        assert_eq!(times, [0, 1, 0, 2, 5]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut followers = Followers::default();
        for n in 0..=MAX_PEOPLE {
            followers
                .act(&format!("{n:06}"), FollowerAction::Follow, at(0))
                .unwrap();
        }
        assert_eq!(followers.0.len(), MAX_PEOPLE);
        assert!(!followers.follows("000000") && followers.follows("000001"));
        followers
            .act("000001", FollowerAction::Scan, at(0))
            .unwrap();
        assert_eq!(followers.0.len(), MAX_PEOPLE, "nobody goes for a known one");
    }
}
