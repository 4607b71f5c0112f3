//! The access tokens of one account: how they are given out, how long they work, and how they die.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use super::quota::DailyQuota;
use super::random;
use super::refusal::Refusal;

/// How long a new token works.
const LIFE: SignedDuration = SignedDuration::from_hours(2);
/// How long a classic token works on after the next one was taken.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);
/// With this much life left, the platform renews the stable token by itself.
const RENEWAL: SignedDuration = SignedDuration::from_mins(5);
/// The least time between two forced refreshes.
const FORCE_SPACING: SignedDuration = SignedDuration::from_secs(30);
/// How many forced refreshes an account has a day.
const FORCES_A_DAY: u32 = 20;
/// Length of a token, `NN_` included.
const LENGTH: usize = 136;
/// How many tokens are remembered. Those before are as unknown as those never given.
const REMEMBERED: usize = 4096;

/// A token as the platform answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IssuedToken {
    /// The token.
    pub(super) text: String,
    /// Whole seconds that are left.
    pub(super) expires_in: i64,
}

/// What `force_refresh` said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refresh {
    Normal,
    Forced,
}

/// Every token of an account, oldest first.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    grants: VecDeque<Grant>,
    forces: DailyQuota<FORCES_A_DAY>,
    last_forced: Option<Timestamp>,
}

/// The two families of tokens. Neither disturbs the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Classic,
    Stable,
}

#[derive(Debug)]
struct Grant {
    text: String,
    source: Source,
    /// Its natural end: 42001 from then on.
    expires_at: Timestamp,
    /// When it stops working before that: 40001 from then on.
    void_from: Option<Timestamp>,
}

impl Grant {
    fn is_void(&self, now: Timestamp) -> bool {
        self.void_from.is_some_and(|from| from <= now)
    }

    fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    fn void(&mut self, from: Timestamp) {
        self.void_from = Some(self.void_from.map_or(from, |earlier| earlier.min(from)));
    }
}

impl Tokens {
    /// `/cgi-bin/token`: always a new one; those before work for 5 minutes more.
    pub(super) fn classic(&mut self, now: Timestamp) -> IssuedToken {
        for old in self.of(Source::Classic) {
            old.void(now + OVERLAP);
        }
        self.issue(Source::Classic, now)
    }

    /// `/cgi-bin/stable_token`: the current one with the life that is left, a new one near its end
    /// or by force.
    ///
    /// Forcing too soon is the frequency limit (45011), forcing too often the daily one (45009).
    pub(super) fn stable(
        &mut self,
        refresh: Refresh,
        now: Timestamp,
    ) -> Result<IssuedToken, Refusal> {
        if refresh == Refresh::Normal {
            return Ok(self
                .current_stable(now)
                .unwrap_or_else(|| self.issue(Source::Stable, now)));
        }
        if self
            .last_forced
            .is_some_and(|last| now < last + FORCE_SPACING)
        {
            return Err(Refusal::TOO_FREQUENT);
        }
        self.forces.take(now)?;
        self.last_forced = Some(now);
        for old in self.of(Source::Stable) {
            old.void(now);
        }
        Ok(self.issue(Source::Stable, now))
    }

    /// What a business call is told about this token; nothing if it was never given out here.
    pub(super) fn verdict(&self, text: &str, now: Timestamp) -> Option<Result<(), Refusal>> {
        let grant = self.grants.iter().rev().find(|grant| grant.text == text)?;
        Some(if grant.is_void(now) {
            Err(Refusal::INVALID_CREDENTIAL)
        } else if grant.is_expired(now) {
            Err(Refusal::ACCESS_TOKEN_EXPIRED)
        } else {
            Ok(())
        })
    }

    /// Every live token meets its natural end now.
    pub(super) fn expire(&mut self, now: Timestamp) {
        for grant in self
            .grants
            .iter_mut()
            .filter(|grant| !grant.is_expired(now))
        {
            grant.expires_at = now;
        }
    }

    /// Another holder of the account takes new tokens: those given so far are invalid at once.
    pub(super) fn rotate(&mut self, now: Timestamp) {
        self.kill(now);
        self.issue(Source::Classic, now);
        self.issue(Source::Stable, now);
    }

    /// Every live token is invalid now, but the stable call does not know it and repeats the dead
    /// one.
    pub(super) fn kill(&mut self, now: Timestamp) {
        for grant in self
            .grants
            .iter_mut()
            .filter(|grant| !grant.is_expired(now))
        {
            grant.void(now);
        }
    }

    /// The stable token that is handed out at present: the last one, dead by [`Tokens::kill`] or
    /// not.
    fn current_stable(&self, now: Timestamp) -> Option<IssuedToken> {
        let last = self
            .grants
            .iter()
            .rev()
            .find(|grant| grant.source == Source::Stable)?;
        let left = last.expires_at.duration_since(now);
        (left > RENEWAL).then(|| IssuedToken {
            text: last.text.clone(),
            expires_in: left.as_secs(),
        })
    }

    fn issue(&mut self, source: Source, now: Timestamp) -> IssuedToken {
        let text = format!("88_{}", random::text(LENGTH - 3));
        if self.grants.len() == REMEMBERED {
            self.grants.pop_front();
        }
        self.grants.push_back(Grant {
            text: text.clone(),
            source,
            expires_at: now + LIFE,
            void_from: None,
        });
        IssuedToken {
            text,
            expires_in: LIFE.as_secs(),
        }
    }

    fn of(&mut self, source: Source) -> impl Iterator<Item = &mut Grant> {
        self.grants
            .iter_mut()
            .filter(move |grant| grant.source == source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKS: Option<Result<(), Refusal>> = Some(Ok(()));
    const EXPIRED: Option<Result<(), Refusal>> = Some(Err(Refusal::ACCESS_TOKEN_EXPIRED));
    const INVALID: Option<Result<(), Refusal>> = Some(Err(Refusal::INVALID_CREDENTIAL));

    fn at(seconds: i64) -> Timestamp {
        // Noon in China, so that nothing here crosses a day by accident.
        Timestamp::from_second(1_700_020_800 + seconds).unwrap()
    }

    #[test]
    fn a_token_looks_like_one_of_wechat() {
        let token = Tokens::default().classic(at(0));
        assert_eq!(token.text.len(), 136);
        assert!(
            token
                .text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{token:?}"
        );
        assert_eq!(token.expires_in, 7200);
    }

    #[test]
    fn a_classic_token_works_two_hours_or_five_minutes_past_the_next() {
        let mut tokens = Tokens::default();
        let first = tokens.classic(at(0));
        let second = tokens.classic(at(100));
        assert_ne!(first, second);
        for (second_of_day, want_first, want_second) in [
            (100, WORKS, WORKS),
            (399, WORKS, WORKS),
            (400, INVALID, WORKS),
            (7299, INVALID, WORKS),
            (7300, INVALID, EXPIRED),
        ] {
            let now = at(second_of_day);
            assert_eq!(
                tokens.verdict(&first.text, now),
                want_first,
                "first at {second_of_day}"
            );
            assert_eq!(
                tokens.verdict(&second.text, now),
                want_second,
                "second at {second_of_day}"
            );
        }
        assert_eq!(tokens.verdict("88_never", at(100)), None);
    }

    #[test]
    fn the_stable_token_is_repeated_until_five_minutes_are_left() {
        let mut tokens = Tokens::default();
        let first = tokens.stable(Refresh::Normal, at(0)).unwrap();
        for (second, left) in [(0, 7200), (100, 7100), (6899, 301)] {
            let again = tokens.stable(Refresh::Normal, at(second)).unwrap();
            assert_eq!(again.text, first.text, "at {second}");
            assert_eq!(again.expires_in, left, "at {second}");
        }
        let next = tokens.stable(Refresh::Normal, at(6900)).unwrap();
        assert_ne!(next.text, first.text);
        assert_eq!(next.expires_in, 7200);
        assert_eq!(tokens.verdict(&first.text, at(7199)), WORKS);
        assert_eq!(tokens.verdict(&first.text, at(7200)), EXPIRED);
    }

    #[test]
    fn force_kills_the_stable_token_at_once_and_has_two_limits() {
        let mut tokens = Tokens::default();
        let mut last = tokens.stable(Refresh::Normal, at(0)).unwrap();
        for round in 0..20 {
            let now = at(round * 30);
            let forced = tokens.stable(Refresh::Forced, now).unwrap();
            assert_eq!(tokens.verdict(&last.text, now), INVALID, "round {round}");
            assert_eq!(
                tokens.stable(Refresh::Forced, now + SignedDuration::from_secs(29)),
                Err(Refusal::TOO_FREQUENT),
                "round {round}"
            );
            last = forced;
        }
        assert_eq!(
            tokens.stable(Refresh::Forced, at(3600)),
            Err(Refusal::DAILY_LIMIT)
        );
        assert_eq!(tokens.verdict(&last.text, at(3600)), WORKS);
        assert!(tokens.stable(Refresh::Forced, at(86_400)).is_ok());
    }

    #[test]
    fn the_two_families_do_not_disturb_each_other() {
        let mut tokens = Tokens::default();
        let stable = tokens.stable(Refresh::Normal, at(0)).unwrap();
        let classic = tokens.classic(at(0));
        tokens.classic(at(1));
        assert_eq!(tokens.verdict(&stable.text, at(1000)), WORKS);
        let mut tokens = Tokens::default();
        let kept = tokens.classic(at(0));
        tokens.stable(Refresh::Forced, at(0)).unwrap();
        assert_eq!(tokens.verdict(&kept.text, at(1000)), WORKS);
        assert_ne!(stable.text, classic.text);
    }

    #[test]
    fn the_three_ways_to_lose_a_token_differ() {
        let given = || {
            let mut tokens = Tokens::default();
            let token = tokens.stable(Refresh::Normal, at(0)).unwrap();
            (tokens, token)
        };

        let (mut tokens, old) = given();
        tokens.expire(at(1));
        assert_eq!(tokens.verdict(&old.text, at(1)), EXPIRED);
        let new = tokens.stable(Refresh::Normal, at(1)).unwrap();
        assert_ne!(new.text, old.text);
        assert_eq!(tokens.verdict(&new.text, at(1)), WORKS);

        let (mut tokens, old) = given();
        tokens.rotate(at(1));
        assert_eq!(tokens.verdict(&old.text, at(1)), INVALID);
        let new = tokens.stable(Refresh::Normal, at(1)).unwrap();
        assert_ne!(new.text, old.text);
        assert_eq!(tokens.verdict(&new.text, at(1)), WORKS);

        let (mut tokens, old) = given();
        tokens.kill(at(1));
        assert_eq!(tokens.verdict(&old.text, at(1)), INVALID);
        assert_eq!(
            tokens.stable(Refresh::Normal, at(1)).unwrap().text,
            old.text
        );
        let forced = tokens.stable(Refresh::Forced, at(1)).unwrap();
        assert_eq!(tokens.verdict(&forced.text, at(1)), WORKS);
    }

    #[test]
    fn memory_is_bounded() {
        let mut tokens = Tokens::default();
        for _ in 0..REMEMBERED / 2 + 10 {
            tokens.rotate(at(0));
        }
        assert_eq!(tokens.grants.len(), REMEMBERED);
    }
}
