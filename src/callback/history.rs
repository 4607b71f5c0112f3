//! What came to the callback since the process started: counts, the last refusal, and a rate-limited log of refusals.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::Diagnosis;

/// The shortest time between two log lines of one diagnosis, in seconds. Strangers can cause refusals without end.
const LOG_INTERVAL_SECONDS: u64 = 60;

/// Counts pushes and remembers the last refusal. Of this process alone: replicas each have their own.
#[derive(Debug, Default)]
pub struct History(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    summary: Summary,
    lines: [LogLine; Diagnosis::COUNT],
}

/// What came since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// When the last push was accepted.
    pub last_push_at: Option<Timestamp>,
    /// Pushes that were proven to be WeChat's and could be read.
    pub accepted: u64,
    /// Requests that were not, WeChat's question for the URL included. An encrypted push for which no key is configured is
    /// among them, although it is acknowledged.
    pub refused: u64,
    /// The last refusal that has a diagnosis. One that is not proven takes the place of a proven one only once a push was
    /// accepted in between, so that strangers cannot hide what is wrong.
    pub last_refusal: Option<LastRefusal>,
}

/// A refusal with its diagnosis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRefusal {
    /// What was wrong.
    pub diagnosis: Diagnosis,
    /// When.
    pub at: Timestamp,
}

/// When a diagnosis was logged last, and how often it was met since.
#[derive(Debug, Clone, Copy, Default)]
struct LogLine {
    logged_at: Option<Timestamp>,
    unlogged: u64,
}

impl History {
    /// Counts a push that was proven to be WeChat's.
    pub fn accepted(&self, now: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.summary.accepted += 1;
        state.summary.last_push_at = Some(now);
    }

    /// Counts a refusal. Logs its diagnosis, once a minute at most for each.
    pub fn refused(&self, diagnosis: Option<Diagnosis>, now: Timestamp) {
        let times = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.summary.refused += 1;
            let Some(diagnosis) = diagnosis else { return };
            state.summary.remember(LastRefusal { diagnosis, at: now });
            state.lines[diagnosis.index()].due(now)
        };
        if let (Some(diagnosis), Some(times)) = (diagnosis, times) {
            tracing::warn!(
                code = diagnosis.code(),
                reason = %diagnosis,
                action = diagnosis.action(),
                proven = diagnosis.is_proven(),
                times,
                "what came to the callback was not counted"
            );
        }
    }

    /// What came so far.
    pub fn summary(&self) -> Summary {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .summary
    }
}

impl Summary {
    fn remember(&mut self, refusal: LastRefusal) {
        let stands = self
            .last_refusal
            .is_some_and(|last| last.diagnosis.is_proven() && !self.was_accepted_since(last.at));
        if refusal.diagnosis.is_proven() || !stands {
            self.last_refusal = Some(refusal);
        }
    }

    fn was_accepted_since(&self, then: Timestamp) -> bool {
        self.last_push_at.is_some_and(|accepted| accepted >= then)
    }
}

impl LogLine {
    /// How many refusals a line stands for, this one included; none: it is too early for another line.
    fn due(&mut self, now: Timestamp) -> Option<u64> {
        self.unlogged += 1;
        let is_early =
            |logged: Timestamp| logged.as_second().abs_diff(now.as_second()) < LOG_INTERVAL_SECONDS;
        if self.logged_at.is_some_and(is_early) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_line_a_minute_says_how_many_there_were() {
        let mut line = LogLine::default();
        for (second, want) in [
            (100, Some(1)),
            (101, None),
            (159, None),
            (160, Some(3)),
            (161, None),
            (400, Some(2)),
            // A clock that was set back does not silence it.
            (100, Some(1)),
        ] {
            assert_eq!(line.due(at(second)), want, "second {second}");
        }
    }

    #[test]
    fn strangers_do_not_hide_a_proven_cause() {
        let history = History::default();
        let last = || history.summary().last_refusal.map(|last| last.diagnosis);
        history.refused(Some(Diagnosis::OtherToken), at(1));
        assert_eq!(last(), Some(Diagnosis::OtherToken));
        history.refused(Some(Diagnosis::NotEncrypted), at(2));
        history.refused(Some(Diagnosis::Unsigned), at(3));
        history.refused(None, at(3));
        assert_eq!(last(), Some(Diagnosis::NotEncrypted));
        history.accepted(at(4));
        assert_eq!(last(), Some(Diagnosis::NotEncrypted));
        history.refused(Some(Diagnosis::OtherToken), at(5));
        assert_eq!(last(), Some(Diagnosis::OtherToken));
        let summary = history.summary();
        assert_eq!((summary.accepted, summary.refused), (1, 5));
        assert_eq!(summary.last_push_at, Some(at(4)));
    }
}
