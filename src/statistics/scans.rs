//! Records events in batches (group commit): each is stored before it is acknowledged.
//!
//! Read [`Scans::record`] first. It must not know HTTP. A disk that takes long for each write takes
//! long once for a batch.

use std::time::Duration;

use jiff::tz::Offset;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;
use wechat::event::Event;

use crate::db;
use crate::statistics::sql::{DatedEvent, EventStore, Recorded};
use crate::telemetry;

/// The largest batch: the most that [`EventStore::record_events`] does.
const MAX_BATCH: usize = EventStore::MAX_EVENTS;

/// How many events may wait. A bound on memory: an event has a few hundred bytes. Chosen: as many
/// as come in two seconds when a campaign brings 500 a second.
const MAX_WAITING: usize = 1000;

/// The buffer of scanned bindings for slow receivers. A receiver that misses one polls.
const NOTIFICATIONS: usize = 256;

/// How long a caller waits: half of the time that WeChat waits for an answer. The rest is for a
/// relay.
pub(crate) const RECORD_TIMEOUT: Duration = Duration::from_millis(2500);

/// Records events. One is made at start and shared; dropping it ends its task.
#[derive(Debug)]
pub struct Scans {
    entrance: mpsc::Sender<Waiting>,
    scanned_bindings: broadcast::Sender<String>,
    _recorder: AbortOnDropHandle<()>,
}

/// Why an event may not be stored. WeChat repeats it: stored twice, it counts once.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotRecorded {
    /// Too many events wait already.
    #[error("too many events wait to be stored")]
    Crowded,
    /// Not stored in time. It still may be.
    #[error("the event was not stored in time")]
    Late,
    /// The store refused.
    #[error(transparent)]
    Store(#[from] db::Error),
}

/// An event whose caller waits for word.
#[derive(Debug)]
struct Waiting {
    event: Event,
    reply: oneshot::Sender<Result<Recorded, db::Error>>,
}

impl Scans {
    /// Must be called in a runtime. `time_zone` bounds the days of statistics.
    pub fn new(store: EventStore, time_zone: Offset) -> Self {
        let (entrance, waiting) = mpsc::channel(MAX_WAITING);
        let scanned_bindings = broadcast::Sender::new(NOTIFICATIONS);
        let recorder = Recorder {
            store,
            time_zone,
            scanned_bindings: scanned_bindings.clone(),
        };
        Self {
            entrance,
            scanned_bindings,
            _recorder: AbortOnDropHandle::new(tokio::spawn(recorder.run(waiting))),
        }
    }

    /// Stores an event, and counts it unless it was stored before. Cancel safe: a dropped
    /// caller does not stop it.
    ///
    /// # Errors
    /// [`NotRecorded`]: it must not be acknowledged then.
    pub async fn record(&self, event: Event) -> Result<Recorded, NotRecorded> {
        let (reply, replied) = oneshot::channel();
        self.entrance
            .try_send(Waiting { event, reply })
            .map_err(|_| NotRecorded::Crowded)?;
        match tokio::time::timeout(RECORD_TIMEOUT, replied).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) | Err(_) => Err(NotRecorded::Late),
        }
    }

    /// The ids of bindings whose code was scanned, as this process hears of it.
    pub fn scanned_bindings(&self) -> broadcast::Receiver<String> {
        self.scanned_bindings.subscribe()
    }
}

/// The task that writes.
struct Recorder {
    store: EventStore,
    time_zone: Offset,
    scanned_bindings: broadcast::Sender<String>,
}

impl Recorder {
    async fn run(self, mut waiting: mpsc::Receiver<Waiting>) {
        let mut together = Vec::with_capacity(MAX_BATCH);
        let mut most = MAX_BATCH;
        while waiting.recv_many(&mut together, most).await > 0 {
            let (events, replies): (Vec<_>, Vec<_>) = together
                .drain(..)
                .map(|waiting| (self.dated(waiting.event), waiting.reply))
                .unzip();
            let results = self.record(&events).await;
            // A database that is too slow for so many gets fewer, until it keeps up.
            most = if results.iter().all(Result::is_ok) {
                MAX_BATCH.min(most * 2)
            } else {
                (most / 2).max(1)
            };
            for (reply, result) in replies.into_iter().zip(results) {
                // A caller that has left gets it with WeChat's repeat.
                reply.send(result).ok();
            }
        }
    }

    /// All together. If the store is well and takes a value of theirs amiss, one by one, so that
    /// such an event costs no other.
    async fn record(&self, events: &[DatedEvent]) -> Vec<Result<Recorded, db::Error>> {
        match self.write(events).await {
            Ok(recorded) => recorded.into_iter().map(Ok).collect(),
            Err(error) if events.len() == 1 || !error.is_data_error() || !self.store.is_up() => {
                events.iter().map(|_| Err(error.clone())).collect()
            }
            Err(_) => {
                let mut results = Vec::with_capacity(events.len());
                for event in events {
                    let recorded = self.write(std::slice::from_ref(event)).await;
                    results.push(recorded.map(|mut recorded| recorded.remove(0)));
                }
                results
            }
        }
    }

    async fn write(&self, events: &[DatedEvent]) -> Result<Vec<Recorded>, db::Error> {
        let recorded = self.store.record_events(events).await?;
        for (dated, recorded) in events.iter().zip(&recorded) {
            if let Recorded::New { binding } = recorded {
                telemetry::scan(dated.event.kind.as_str());
                if let Some(id) = binding {
                    // There may be no receiver.
                    self.scanned_bindings.send(id.clone()).ok();
                }
            }
        }
        Ok(recorded)
    }

    fn dated(&self, event: Event) -> DatedEvent {
        let day = self.time_zone.to_datetime(event.created_at).date();
        DatedEvent { event, day }
    }
}
