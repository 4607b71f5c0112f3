//! Progress, lag and health of the webhook, for operators and for the sender.

use std::sync::Arc;
use std::time::Duration;

use super::progress::Progress;
use super::receiver::FailureReason;
use super::sql::WebhookStore;
use crate::clock::Clock;
use crate::db;
use crate::statistics::{EventFilter, EventOrder, EventPage, EventStore};

/// Reads how far events are delivered.
#[derive(Debug, Clone)]
pub struct Monitor {
    pub(super) store: WebhookStore,
    pub(super) events: EventStore,
    pub(super) clock: Arc<dyn Clock>,
}

/// Progress and lag of the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookStatus {
    pub progress: Progress,
    pub lag: Lag,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookHealth {
    /// The last attempt succeeded, or there was none.
    Ok,
    /// The last attempts failed; there will be more.
    Failing,
    /// The receiver answered 410: there are no more attempts before a restart.
    Stopped,
}

impl WebhookHealth {
    /// The name in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failing => "failing",
            Self::Stopped => "stopped",
        }
    }
}

impl WebhookStatus {
    /// Whether events are delivered.
    pub fn health(&self) -> WebhookHealth {
        let reason = self.progress.last_failure.map(|failure| failure.reason);
        match (self.progress.failures, reason) {
            (0, _) => WebhookHealth::Ok,
            (_, Some(FailureReason::Gone)) => WebhookHealth::Stopped,
            _ => WebhookHealth::Failing,
        }
    }
}

/// What is stored and not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// How many events, those of bindings included, which are not sent.
    pub events: u64,
    /// The age of the oldest one, by WeChat's clock.
    pub age: Duration,
}

/// The progress, and a page of the events after it.
#[derive(Debug)]
pub(super) struct PendingEvents {
    pub(super) progress: Progress,
    pub(super) page: EventPage,
}

impl Monitor {
    pub fn new(store: WebhookStore, events: EventStore, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            events,
            clock,
        }
    }

    /// Reads progress and lag; none before the first start with a receiver. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn status(&self) -> Result<Option<WebhookStatus>, db::Error> {
        let pending = self.pending(1).await?;
        Ok(pending.map(|pending| WebhookStatus {
            lag: self.lag(&pending),
            progress: pending.progress,
        }))
    }

    /// Reads the progress, and as many events after it as are asked for.
    pub(super) async fn pending(&self, limit: usize) -> Result<Option<PendingEvents>, db::Error> {
        let Some(progress) = self.store.progress().await? else {
            return Ok(None);
        };
        let after = EventOrder::StoredAfter(progress.delivered_seq);
        let all = EventFilter::default();
        let page = self.events.events(&all, after, limit).await?;
        Ok(Some(PendingEvents { progress, page }))
    }

    pub(super) fn lag(&self, pending: &PendingEvents) -> Lag {
        let PendingEvents { progress, page } = pending;
        let oldest = page.events.first();
        let age = oldest.map(|event| self.clock.now().duration_since(event.at));
        Lag {
            events: page.last_seq.saturating_sub(progress.delivered_seq),
            age: age.and_then(|age| age.try_into().ok()).unwrap_or_default(),
        }
    }
}
