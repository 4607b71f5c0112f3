//! The circuit breaker's probes that are in flight in this process.

use std::collections::HashMap;

use tokio::sync::watch;
use wechat::Api;

/// How many probes of each API are in flight.
type Counts = HashMap<Api, usize>;

/// Counts the probes of half-open circuit breakers that are in flight, by API, and wakes those who
/// wait for their outcomes.
#[derive(Debug, Default)]
pub(super) struct ProbesInFlight(watch::Sender<Counts>);

/// One probe, until it is dropped.
#[derive(Debug)]
pub(super) struct ProbeInFlight {
    api: Api,
    counts: watch::Sender<Counts>,
}

/// A view of the probes in flight, which sees each change from its creation on.
#[derive(Debug)]
pub(super) struct ProbesWatch(watch::Receiver<Counts>);

impl ProbesInFlight {
    pub(super) fn begin(&self, api: Api) -> ProbeInFlight {
        self.0.send_modify(|counts| {
            *counts.entry(api).or_default() += 1;
        });
        ProbeInFlight {
            api,
            counts: self.0.clone(),
        }
    }

    pub(super) fn watch(&self) -> ProbesWatch {
        ProbesWatch(self.0.subscribe())
    }
}

impl ProbesWatch {
    /// Whether a probe of an API is in flight, or one has ended unseen.
    pub(super) fn is_outcome_due(&self, api: Api) -> bool {
        let is_in_flight = |counts: &Counts| counts.get(&api).is_some_and(|count| *count > 0);
        self.0.has_changed().unwrap_or(false) || is_in_flight(&self.0.borrow())
    }

    /// Waits until a probe begins or ends. Cancel safe.
    pub(super) async fn changed(&mut self) {
        // It fails only without the sender, which the breaker keeps.
        self.0.changed().await.ok();
    }
}

impl Drop for ProbeInFlight {
    fn drop(&mut self) {
        self.counts.send_modify(|counts| {
            if let Some(count) = counts.get_mut(&self.api) {
                *count -= 1;
            }
        });
    }
}
