//! Counts of the callback since the process started: accepted and rejected pushes, the last
//! rejection, and a rate-limited log of rejections.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use wechat::push::{Diagnosis, Evidence};

use super::advice::{action, likely_cause};
use crate::telemetry::RateLimitedLog;

/// Minimum interval between two log lines of one diagnosis. Anybody on the internet can cause
/// rejections.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Counts pushes and keeps the last rejection, for this process; replicas count separately.
#[derive(Debug, Default)]
pub struct History(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    summary: Summary,
    /// By [`Diagnosis::code`].
    logs: BTreeMap<&'static str, RateLimitedLog>,
}

/// What the callback has received since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// When the last push was accepted.
    pub last_push_at: Option<Timestamp>,
    /// Pushes that were verified and read.
    pub accepted: u64,
    /// All other requests, URL verifications included. An encrypted push without a configured key
    /// counts here, although it is acknowledged.
    pub rejected: u64,
    /// Rejections since the last accepted push whose evidence is at least [`Evidence::Signed`].
    pub rejected_since_accepted: u64,
    /// The last rejection that has a diagnosis. One with less [`Evidence`] replaces it only after
    /// a push was accepted, so that requests from the internet cannot hide a real error.
    pub last_rejection: Option<LastRejection>,
}

/// A rejection with its diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRejection {
    pub diagnosis: Diagnosis,
    pub at: Timestamp,
    /// Whether a push has been accepted since.
    pub accepted_since: bool,
}

impl History {
    /// Counts a push that was verified, read, and stored if it has to be.
    pub fn accepted(&self, now: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.summary.accept(now);
    }

    /// Counts a rejection, and logs its diagnosis at most once a minute.
    pub fn rejected(&self, diagnosis: Option<Diagnosis>, now: Timestamp) {
        let times = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.summary.rejected += 1;
            let Some(diagnosis) = diagnosis else { return };
            state.summary.remember(diagnosis, now);
            let log = state.logs.entry(diagnosis.code()).or_default();
            log.due(LOG_INTERVAL)
        };
        if let (Some(diagnosis), Some(times)) = (diagnosis, times) {
            tracing::warn!(
                code = diagnosis.code(),
                reason = %likely_cause(diagnosis),
                action = action(diagnosis),
                proven = diagnosis.is_proven(),
                times,
                "a request to the callback was rejected"
            );
        }
    }

    pub fn summary(&self) -> Summary {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .summary
    }
}

impl Summary {
    fn accept(&mut self, now: Timestamp) {
        self.accepted += 1;
        self.last_push_at = Some(now);
        self.rejected_since_accepted = 0;
        if let Some(last) = &mut self.last_rejection {
            last.accepted_since = true;
        }
    }

    fn remember(&mut self, diagnosis: Diagnosis, now: Timestamp) {
        if diagnosis.evidence() >= Evidence::Signed {
            self.rejected_since_accepted += 1;
        }
        let has_more_evidence = |last: LastRejection| {
            !last.accepted_since && last.diagnosis.evidence() > diagnosis.evidence()
        };
        if !self.last_rejection.is_some_and(has_more_evidence) {
            self.last_rejection = Some(LastRejection {
                diagnosis,
                at: now,
                accepted_since: false,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn weaker_evidence_replaces_a_rejection_only_after_an_accepted_push() {
        let history = History::default();
        let last = || history.summary().last_rejection.map(|last| last.diagnosis);
        history.rejected(Some(Diagnosis::Unsigned), at(1));
        assert_eq!(last(), Some(Diagnosis::Unsigned));
        history.rejected(Some(Diagnosis::OtherToken), at(1));
        history.rejected(Some(Diagnosis::Unsigned), at(1));
        assert_eq!(last(), Some(Diagnosis::OtherToken));
        history.rejected(Some(Diagnosis::NotEncrypted), at(2));
        history.rejected(Some(Diagnosis::OtherToken), at(3));
        history.rejected(Some(Diagnosis::Unsigned), at(3));
        history.rejected(None, at(3));
        assert_eq!(last(), Some(Diagnosis::NotEncrypted));
        assert_eq!(history.summary().rejected_since_accepted, 3);
        history.accepted(at(4));
        assert_eq!(last(), Some(Diagnosis::NotEncrypted));
        assert_eq!(history.summary().rejected_since_accepted, 0);
        history.rejected(Some(Diagnosis::Unsigned), at(4));
        assert_eq!(last(), Some(Diagnosis::Unsigned));
        let summary = history.summary();
        assert_eq!((summary.accepted, summary.rejected), (1, 8));
        assert_eq!(summary.rejected_since_accepted, 0);
        assert_eq!(summary.last_push_at, Some(at(4)));
    }

    #[test]
    fn a_rejection_in_the_second_of_an_accepted_push_is_before_or_after_it() {
        let history = History::default();
        let is_past = || history.summary().last_rejection.unwrap().accepted_since;
        history.rejected(Some(Diagnosis::OtherToken), at(1));
        assert!(!is_past());
        history.accepted(at(1));
        assert!(is_past());
        history.rejected(Some(Diagnosis::OtherToken), at(1));
        assert!(!is_past());
    }
}
