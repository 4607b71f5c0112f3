//! The access tokens of one account: issue, lifetime and revocation.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};

use crate::errcode::Errcode;
use crate::platform::quota::DailyQuota;
use crate::random;

/// Lifetime of a new token.
const LIFE: SignedDuration = SignedDuration::from_hours(2);
/// How long a classic token still works after the next one is issued.
const OVERLAP: SignedDuration = SignedDuration::from_mins(5);
/// With this much lifetime left, the stable call issues a new token.
const RENEWAL: SignedDuration = SignedDuration::from_mins(5);
/// The least time between two forced refreshes.
const FORCE_SPACING: SignedDuration = SignedDuration::from_secs(30);
/// How many forced refreshes an account has a day.
const FORCES_A_DAY: u32 = 20;
/// Length of a token, `NN_` included.
const LENGTH: usize = 136;
/// How many tokens are kept; older ones count as never issued.
const REMEMBERED: usize = 4096;

/// An issued token, as a token call answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IssuedToken {
    pub(crate) text: String,
    /// The remaining lifetime in whole seconds.
    pub(crate) expires_in: i64,
}

/// The `force_refresh` of a stable call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    Normal,
    Forced,
}

/// Every token of an account, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    records: VecDeque<TokenRecord>,
    forces: DailyQuota<FORCES_A_DAY>,
    last_forced: Option<Timestamp>,
}

/// Which call issued a token. The two families are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenFamily {
    Classic,
    Stable,
}

#[derive(Debug)]
struct TokenRecord {
    text: String,
    source: TokenFamily,
    /// Errcode 42001 from then on.
    expires_at: Timestamp,
    /// Revoked: errcode 40001 from then on.
    void_from: Option<Timestamp>,
}

impl TokenRecord {
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
    /// `/cgi-bin/token`: issues a new token; older ones work for 5 minutes more.
    pub(crate) fn classic(&mut self, now: Timestamp) -> IssuedToken {
        for old in self.of(TokenFamily::Classic) {
            old.void(now + OVERLAP);
        }
        self.issue(TokenFamily::Classic, now)
    }

    /// `/cgi-bin/stable_token`: the current token with its remaining lifetime; a new one near its
    /// end or by force.
    ///
    /// Forcing too soon is the frequency limit (45011), forcing too often the daily one (45009).
    pub(crate) fn stable(
        &mut self,
        refresh: Refresh,
        now: Timestamp,
    ) -> Result<IssuedToken, Errcode> {
        if refresh == Refresh::Normal {
            return Ok(self
                .current_stable(now)
                .unwrap_or_else(|| self.issue(TokenFamily::Stable, now)));
        }
        if self
            .last_forced
            .is_some_and(|last| now < last + FORCE_SPACING)
        {
            return Err(Errcode::TOO_FREQUENT);
        }
        self.forces.take(now)?;
        self.last_forced = Some(now);
        for old in self.of(TokenFamily::Stable) {
            old.void(now);
        }
        Ok(self.issue(TokenFamily::Stable, now))
    }

    /// Checks the token of a business call; `None` if it was never issued here.
    pub(crate) fn check(&self, text: &str, now: Timestamp) -> Option<Result<(), Errcode>> {
        let record = self
            .records
            .iter()
            .rev()
            .find(|record| record.text == text)?;
        Some(if record.is_void(now) {
            Err(Errcode::INVALID_CREDENTIAL)
        } else if record.is_expired(now) {
            Err(Errcode::ACCESS_TOKEN_EXPIRED)
        } else {
            Ok(())
        })
    }

    /// Expires every token now.
    pub(crate) fn expire(&mut self, now: Timestamp) {
        for record in self
            .records
            .iter_mut()
            .filter(|record| !record.is_expired(now))
        {
            record.expires_at = now;
        }
    }

    /// Imitates another holder of the account who takes new tokens: all earlier ones are invalid at
    /// once.
    pub(crate) fn rotate(&mut self, now: Timestamp) {
        self.kill(now);
        self.issue(TokenFamily::Classic, now);
        self.issue(TokenFamily::Stable, now);
    }

    /// Revokes every token now, unknown to the stable call, which goes on repeating the revoked
    /// one.
    pub(crate) fn kill(&mut self, now: Timestamp) {
        for record in self
            .records
            .iter_mut()
            .filter(|record| !record.is_expired(now))
        {
            record.void(now);
        }
    }

    /// The token that the stable call repeats: the last one, revoked by [`Tokens::kill`] or not.
    fn current_stable(&self, now: Timestamp) -> Option<IssuedToken> {
        let last = self
            .records
            .iter()
            .rev()
            .find(|record| record.source == TokenFamily::Stable)?;
        let left = last.expires_at.duration_since(now);
        (left > RENEWAL).then(|| IssuedToken {
            text: last.text.clone(),
            expires_in: left.as_secs(),
        })
    }

    fn issue(&mut self, source: TokenFamily, now: Timestamp) -> IssuedToken {
        let text = format!("88_{}", random::url_safe(LENGTH - 3));
        if self.records.len() == REMEMBERED {
            self.records.pop_front();
        }
        self.records.push_back(TokenRecord {
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

    fn of(&mut self, source: TokenFamily) -> impl Iterator<Item = &mut TokenRecord> {
        self.records
            .iter_mut()
            .filter(move |record| record.source == source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKS: Option<Result<(), Errcode>> = Some(Ok(()));
    const EXPIRED: Option<Result<(), Errcode>> = Some(Err(Errcode::ACCESS_TOKEN_EXPIRED));
    const INVALID: Option<Result<(), Errcode>> = Some(Err(Errcode::INVALID_CREDENTIAL));

    fn at(seconds: i64) -> Timestamp {
        // Noon in China, so that nothing here crosses a day by accident.
        Timestamp::from_second(1_700_020_800 + seconds).unwrap()
    }

    #[test]
    fn a_token_has_wechats_length_and_alphabet() {
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
                tokens.check(&first.text, now),
                want_first,
                "first at {second_of_day}"
            );
            assert_eq!(
                tokens.check(&second.text, now),
                want_second,
                "second at {second_of_day}"
            );
        }
        assert_eq!(tokens.check("88_never", at(100)), None);
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
        assert_eq!(tokens.check(&first.text, at(7199)), WORKS);
        assert_eq!(tokens.check(&first.text, at(7200)), EXPIRED);
    }

    #[test]
    fn force_refresh_revokes_the_stable_token_and_has_two_limits() {
        let mut tokens = Tokens::default();
        let mut last = tokens.stable(Refresh::Normal, at(0)).unwrap();
        for round in 0..20 {
            let now = at(round * 30);
            let forced = tokens.stable(Refresh::Forced, now).unwrap();
            assert_eq!(tokens.check(&last.text, now), INVALID, "round {round}");
            assert_eq!(
                tokens.stable(Refresh::Forced, now + SignedDuration::from_secs(29)),
                Err(Errcode::TOO_FREQUENT),
                "round {round}"
            );
            last = forced;
        }
        assert_eq!(
            tokens.stable(Refresh::Forced, at(3600)),
            Err(Errcode::DAILY_LIMIT)
        );
        assert_eq!(tokens.check(&last.text, at(3600)), WORKS);
        assert!(tokens.stable(Refresh::Forced, at(86_400)).is_ok());
    }

    #[test]
    fn classic_and_stable_tokens_are_independent() {
        let mut tokens = Tokens::default();
        let stable = tokens.stable(Refresh::Normal, at(0)).unwrap();
        let classic = tokens.classic(at(0));
        tokens.classic(at(1));
        assert_eq!(tokens.check(&stable.text, at(1000)), WORKS);
        let mut tokens = Tokens::default();
        let kept = tokens.classic(at(0));
        tokens.stable(Refresh::Forced, at(0)).unwrap();
        assert_eq!(tokens.check(&kept.text, at(1000)), WORKS);
        assert_ne!(stable.text, classic.text);
    }

    #[test]
    fn expiry_rotation_and_revocation_of_a_token_differ() {
        let given = || {
            let mut tokens = Tokens::default();
            let token = tokens.stable(Refresh::Normal, at(0)).unwrap();
            (tokens, token)
        };

        let (mut tokens, old) = given();
        tokens.expire(at(1));
        assert_eq!(tokens.check(&old.text, at(1)), EXPIRED);
        let new = tokens.stable(Refresh::Normal, at(1)).unwrap();
        assert_ne!(new.text, old.text);
        assert_eq!(tokens.check(&new.text, at(1)), WORKS);

        let (mut tokens, old) = given();
        tokens.rotate(at(1));
        assert_eq!(tokens.check(&old.text, at(1)), INVALID);
        let new = tokens.stable(Refresh::Normal, at(1)).unwrap();
        assert_ne!(new.text, old.text);
        assert_eq!(tokens.check(&new.text, at(1)), WORKS);

        let (mut tokens, old) = given();
        tokens.kill(at(1));
        assert_eq!(tokens.check(&old.text, at(1)), INVALID);
        assert_eq!(
            tokens.stable(Refresh::Normal, at(1)).unwrap().text,
            old.text
        );
        let forced = tokens.stable(Refresh::Forced, at(1)).unwrap();
        assert_eq!(tokens.check(&forced.text, at(1)), WORKS);
    }

    #[test]
    fn memory_is_bounded() {
        let mut tokens = Tokens::default();
        for _ in 0..REMEMBERED / 2 + 10 {
            tokens.rotate(at(0));
        }
        assert_eq!(tokens.records.len(), REMEMBERED);
    }
}
