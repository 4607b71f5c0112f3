//! Sends events, batch after batch, in the order in which they were stored.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::backoff::{self, Backoff};
use super::batch::{EventBatch, MAX_EVENTS};
use super::body::{self, Openids};
use super::failure_log::FailureLog;
use super::monitor::{Monitor, PendingEvents};
use super::progress::{AttemptFailure, Progress};
use super::receiver::{self, AttemptError, FailureReason, Receiver, WebhookMessage};
use super::receiver_url::ReceiverUrl;
use super::signature::SigningSecrets;
use super::sql::FailureRecord;
use crate::channels::ChannelStore;
use crate::clock::Clock;
use crate::db;
use crate::outbound::{self, ClientError};
use crate::statistics::{EventFilter, EventOrder};
use crate::telemetry;
use crate::text::random_token;

/// How often the sender polls for events. Those of another replica are found by polling only.
/// Chosen: events that come one by one cost two batches a second at most.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How long a replica may send a batch before another one sends it.
const LEASE: Duration = Duration::from_secs(10);

// A healthy database has the answer before the lease ends. Else another replica may send the batch
// again.
const _: () = assert!(LEASE.as_secs() >= receiver::TIMEOUT.as_secs() + db::WRITE_TIMEOUT.as_secs());

/// Where webhooks are sent, and what signs them.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    pub url: ReceiverUrl,
    pub secrets: SigningSecrets,
    pub with_openids: bool,
}

/// Sends events to the receiver. Each replica has one; a lease in the database lets one of them
/// send at a time.
#[derive(Debug)]
pub struct Sender {
    receiver: Receiver,
    openids: Openids,
    monitor: Monitor,
    channels: ChannelStore,
    clock: Arc<dyn Clock>,
    /// The name by which this process holds the lease.
    holder: String,
    /// Whether this process has made an attempt: its first one does not wait for the end of a
    /// back-off, which may be of another URL.
    has_attempted: bool,
    /// Whether the receiver wants no more of this process.
    is_stopped: bool,
    backoff: Backoff,
    log: FailureLog,
}

impl Sender {
    /// Creates a sender of the events of one database. `extra_ca` is a PEM bundle that is trusted
    /// besides the built-in roots.
    ///
    /// # Errors
    /// When the bundle holds no certificate that can be read.
    pub fn new(
        settings: WebhookSettings,
        extra_ca: Option<&[u8]>,
        monitor: Monitor,
        channels: ChannelStore,
    ) -> Result<Self, ClientError> {
        telemetry::start_webhook_counts();
        Ok(Self {
            receiver: Receiver {
                client: outbound::http_client(extra_ca, None)?,
                url: settings.url,
                secrets: settings.secrets,
            },
            openids: if settings.with_openids {
                Openids::Shown
            } else {
                Openids::Hidden
            },
            clock: Arc::clone(&monitor.clock),
            monitor,
            channels,
            holder: random_token(),
            has_attempted: false,
            is_stopped: false,
            backoff: Backoff::default(),
            log: FailureLog::default(),
        })
    }

    /// Begins with what is stored from now on, unless there was a beginning before. To be called
    /// before the first event can come.
    ///
    /// # Errors
    /// When the database cannot be used. [`Sender::step`] makes up for it.
    pub async fn prepare(&self) -> Result<(), db::Error> {
        let (all, newest) = (EventFilter::default(), EventOrder::NewestFirst);
        let page = self.monitor.events.events(&all, newest, 1).await?;
        self.monitor.store.begin_after(page.last_seq).await
    }

    /// Sends events as they are stored, until `stop` is cancelled. A batch that is under way then
    /// is finished.
    pub async fn run(mut self, stop: CancellationToken) {
        tracing::info!(receiver = %self.receiver.url, "events are sent to a webhook receiver");
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // The database logs its own failures.
            while !stop.is_cancelled() && matches!(self.step().await, Ok(true)) {}
        }
    }

    /// Sends the next batch, if there is one and no other replica sends it. Returns whether more
    /// may wait. Not cancel safe: the batch may be sent twice.
    ///
    /// # Errors
    /// When the database cannot be used. The batch is sent again later, with the same id.
    pub async fn step(&mut self) -> Result<bool, db::Error> {
        let Some(pending) = self.monitor.pending(MAX_EVENTS).await? else {
            self.prepare().await?;
            return Ok(false);
        };
        let lag = self.monitor.lag(&pending);
        telemetry::webhook_lag(lag.events, lag.age);
        let PendingEvents { progress, page } = pending;
        let Some(batch) = EventBatch::next(&progress, page) else {
            return Ok(false);
        };
        if batch.events.is_empty() {
            return self.monitor.store.pass_over(&batch).await;
        }
        if self.is_waiting(&progress) {
            return Ok(false);
        }
        let message = self.message(&batch).await?;
        let store = &self.monitor.store;
        if !store.lease_batch(&self.holder, &batch, LEASE).await? {
            return Ok(false);
        }
        self.has_attempted = true;
        let now = self.clock.now();
        match self.receiver.attempt(&message, now).await {
            Ok(()) => self.delivered(&batch, progress.failures).await,
            Err(error) => self.failed(&batch, progress.failures, &error).await,
        }
    }

    fn is_waiting(&mut self, progress: &Progress) -> bool {
        let is_over = self
            .backoff
            .is_over(progress.next_attempt_at, self.clock.now());
        self.is_stopped || self.has_attempted && !is_over
    }

    async fn message(&self, batch: &EventBatch) -> Result<WebhookMessage, db::Error> {
        let names = self.channels.known_scenes(&body::scenes(batch)).await?;
        Ok(WebhookMessage {
            id: batch.id(),
            body: body::json(batch, &names, self.openids, self.clock.now()),
        })
    }

    async fn delivered(&mut self, batch: &EventBatch, failures: u32) -> Result<bool, db::Error> {
        telemetry::webhook_attempt("ok");
        self.log.delivered(failures);
        let now = self.clock.now();
        self.monitor.store.finish(&self.holder, batch, now).await?;
        Ok(batch.is_full())
    }

    async fn failed(
        &mut self,
        batch: &EventBatch,
        failures: u32,
        error: &AttemptError,
    ) -> Result<bool, db::Error> {
        let (reason, failures) = (error.reason(), failures.saturating_add(1));
        telemetry::webhook_attempt(reason.as_str());
        let wait = backoff::wait(failures, error.retry_after());
        self.log.failed(error, failures, wait);
        self.is_stopped = reason == FailureReason::Gone;
        let at = self.clock.now();
        let failed = FailureRecord {
            failure: AttemptFailure { at, reason },
            failures,
            // A replica with another URL need not wait for one that is gone.
            next_attempt_at: if self.is_stopped { at } else { at + wait },
        };
        self.monitor.store.fail(&self.holder, batch, failed).await?;
        Ok(false)
    }
}
