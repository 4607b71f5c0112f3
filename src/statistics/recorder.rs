//! Records events: each is stored before it is acknowledged.
//!
//! Read [`EventRecorder::record`] first. It must not know HTTP.

use std::time::Duration;

use jiff::tz::Offset;
use tokio::sync::broadcast;
use wechat::event::{Event, EventKind};

use crate::db;
use crate::statistics::sql::{DatedEvent, EventStore, Receipt, Recorded};
use crate::telemetry;

/// The buffer of scanned bindings for slow receivers. A receiver that misses one polls.
const NOTIFICATIONS: usize = 256;

/// How long a caller waits: half of the 5 s that WeChat waits for an answer. The rest is for a
/// relay.
pub(crate) const RECORD_TIMEOUT: Duration = Duration::from_millis(2500);

/// Records the events of followers: follows, scans and unfollows. One is made at start and shared.
#[derive(Debug)]
pub struct EventRecorder {
    store: EventStore,
    time_zone: Offset,
    scanned_bindings: broadcast::Sender<String>,
}

/// Why an event counts as not stored: the database failed, or did not answer in time and may still
/// store it. WeChat repeats it: stored twice, it counts once.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotRecorded {
    /// Not stored in time. It still may be.
    #[error("the event was not stored in time")]
    Late,
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl EventRecorder {
    /// Creates a recorder. `time_zone` bounds the days of statistics.
    pub fn new(store: EventStore, time_zone: Offset) -> Self {
        Self {
            store,
            time_zone,
            scanned_bindings: broadcast::Sender::new(NOTIFICATIONS),
        }
    }

    /// Stores an event, counts it unless it was stored before, and gives the reply to its follower.
    /// Cancel safe: the event is stored all the same.
    ///
    /// # Errors
    /// [`NotRecorded`]: it must not be acknowledged then.
    pub async fn record(&self, event: Event) -> Result<Receipt, NotRecorded> {
        let kind = event.kind;
        let day = self.time_zone.to_datetime(event.created_at).date();
        let store = self.store.clone();
        let scanned_bindings = self.scanned_bindings.clone();
        // A task of its own, so that what follows a stored event does not need its caller.
        let recorded = tokio::spawn(async move {
            let receipt = store.record_event(DatedEvent { event, day }).await?;
            if let Recorded::New { binding } = &receipt.recorded {
                telemetry::scan(metric_label(kind));
                if let Some(id) = binding {
                    // There may be no receiver.
                    scanned_bindings.send(id.clone()).ok();
                }
            }
            Ok(receipt)
        });
        match tokio::time::timeout(RECORD_TIMEOUT, recorded).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) | Err(_) => Err(NotRecorded::Late),
        }
    }

    /// Returns a receiver of the ids of bindings whose code was scanned, if this process recorded
    /// the scan.
    pub fn scanned_bindings(&self) -> broadcast::Receiver<String> {
        self.scanned_bindings.subscribe()
    }
}

fn metric_label(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Subscribe => "subscribe",
        EventKind::Scan => "scan",
        EventKind::Unsubscribe => "unsubscribe",
    }
}
