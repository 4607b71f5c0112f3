//! The state machine of a connection: phase, deadline, place in the eviction queue.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::body_progress::RequestBodyProgress;
use super::phase::Phase;
use super::response_progress::ResponseProgress;
use crate::budget::{ByteBudget, Reservation};
use crate::limits::Limits;
use crate::slots::{ConnectionSlots, EvictionKey};
use crate::smuggling::{Ambiguity, HeadScanner};

/// Bytes of an unfinished head that are not charged: hyper's initial buffer holds them.
const FREE_HEAD_BYTES: usize = 8 * 1024;

/// The state of a connection, shared by its stream, its bodies and its task.
///
/// The stream and the bodies report events; the task asks for the deadline.
#[derive(Debug)]
pub(super) struct ConnectionState {
    slots: Arc<ConnectionSlots>,
    head_budget: ByteBudget,
    limits: Limits,
    abort: CancellationToken,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    phase: Phase,
    /// End of the phase. None while the connection does not wait for its client.
    deadline: Option<Instant>,
    /// Position in the eviction queue, while there is a deadline.
    eviction_key: Option<EvictionKey>,
    /// The client has closed its half.
    is_half_closed: bool,
    /// The request's body was not read to its end.
    has_unread_body: bool,
    /// The connection closes after the request.
    is_last_request: bool,
    /// Phase of a pipelined request, which started before the client took the response.
    pipelined: Option<Phase>,
    heads: HeadScanner,
    /// Charge of an unfinished head that is larger than [`FREE_HEAD_BYTES`].
    large_head: Option<LargeHead>,
    body: RequestBodyProgress,
    response: ResponseProgress,
}

impl Progress {
    /// Returns the phase that follows a response.
    fn phase_after_response(&mut self) -> Phase {
        match (self.pipelined.take(), self.heads.unfinished_bytes()) {
            (Some(pipelined), _) => pipelined,
            (None, 1..) => Phase::Head,
            (None, 0) => Phase::Idle,
        }
    }
}

#[derive(Debug)]
struct LargeHead {
    reservation: Reservation,
    /// Length that is accounted for, with the free bytes.
    bytes: usize,
}

impl ConnectionState {
    /// Starts in the phase before the first byte.
    pub(super) fn new(
        slots: Arc<ConnectionSlots>,
        head_budget: ByteBudget,
        limits: Limits,
        abort: CancellationToken,
    ) -> Self {
        let state = Self {
            slots,
            head_budget,
            limits,
            abort,
            progress: Mutex::new(Progress {
                phase: Phase::Handling,
                deadline: None,
                eviction_key: None,
                is_half_closed: false,
                has_unread_body: false,
                is_last_request: false,
                pipelined: None,
                heads: HeadScanner::default(),
                large_head: None,
                body: RequestBodyProgress::start(),
                response: ResponseProgress::start(),
            }),
        };
        state.enter(&mut state.progress(), Phase::New);
        state
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Records bytes from the client; an empty slice is the end of the stream.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut progress = self.progress();
        progress.heads.scan(bytes);
        self.charge_head(&mut progress);
        match (bytes, progress.phase) {
            ([], _) => progress.is_half_closed = true,
            (_, Phase::Idle) => self.enter(&mut progress, Phase::Head),
            // The deadline stays: it is for the whole head.
            (_, Phase::New) => progress.phase = Phase::Head,
            (_, Phase::Body) => {
                progress.body.add(bytes.len());
                progress.deadline = Some(progress.body.deadline(&self.limits));
            }
            _ => {}
        }
    }

    /// The head of a request is complete; its body has the given length, none if it is chunked.
    ///
    /// While the response before is not taken, its deadline and eviction key stay.
    ///
    /// # Errors
    /// An ambiguity in the head's bytes.
    pub(super) fn head_parsed(&self, body: Option<u64>) -> Result<(), Ambiguity> {
        let has_body = body != Some(0);
        let phase = if has_body {
            Phase::Body
        } else {
            Phase::Handling
        };
        let mut progress = self.progress();
        progress.has_unread_body = has_body;
        let judged = progress.heads.head_parsed(body);
        self.charge_head(&mut progress);
        if matches!(progress.phase, Phase::Response { .. }) {
            progress.pipelined = Some(phase);
        } else {
            self.enter(&mut progress, phase);
        }
        judged
    }

    /// Charges an unfinished head to the budget, or releases a finished one.
    ///
    /// A connection that is evicted for it is aborted, this one too.
    fn charge_head(&self, progress: &mut Progress) {
        let bytes = progress.heads.unfinished_bytes();
        if bytes <= FREE_HEAD_BYTES {
            progress.large_head = None;
            return;
        }
        let large = progress.large_head.get_or_insert_with(|| LargeHead {
            reservation: self.head_budget.reserve(self.abort.clone()),
            bytes: FREE_HEAD_BYTES,
        });
        let more = bytes.saturating_sub(large.bytes);
        large.bytes += more;
        if large.reservation.grow(more).is_err() {
            self.abort.cancel();
        }
    }

    /// The body was read whole, or is dropped before its end.
    pub(super) fn body_ended(&self, is_whole: bool) {
        let mut progress = self.progress();
        progress.has_unread_body = !is_whole;
        if progress.pipelined == Some(Phase::Body) {
            progress.pipelined = Some(Phase::Handling);
        }
        if progress.phase == Phase::Body {
            self.enter(&mut progress, Phase::Handling);
        }
    }

    /// Returns whether the request's body was not read to its end.
    pub(super) fn has_unread_body(&self) -> bool {
        self.progress().has_unread_body
    }

    /// The response starts. Further pipelined responses do not reset the write deadline.
    pub(super) fn response_started(&self) {
        let mut progress = self.progress();
        let phase = Phase::Response { is_produced: false };
        if progress.pipelined.take().is_some() {
            progress.phase = phase;
        } else {
            self.enter(&mut progress, phase);
        }
    }

    /// Records bytes that the socket has taken.
    pub(super) fn sent(&self, bytes: usize) {
        let mut progress = self.progress();
        if matches!(progress.phase, Phase::Response { .. }) {
            progress.response.add(bytes);
            progress.deadline = Some(progress.response.deadline(&self.limits));
        }
    }

    /// Records that hyper has produced the whole response.
    pub(super) fn response_produced(&self) {
        let mut progress = self.progress();
        if let Phase::Response { is_produced } = &mut progress.phase {
            *is_produced = true;
        }
    }

    /// Records that all written bytes are with the kernel. A produced response ends then.
    pub(super) fn flushed(&self) {
        let mut progress = self.progress();
        if progress.phase == (Phase::Response { is_produced: true }) {
            let phase = progress.phase_after_response();
            self.enter(&mut progress, phase);
        }
    }

    /// Starts a lingering close (RFC 9112, section 9.6) after our half is closed, if the
    /// client may still send: a plain close would reset the connection and lose the response.
    /// Returns whether it lingers.
    pub(super) fn start_lingering(&self) -> bool {
        let mut progress = self.progress();
        let may_send = progress.has_unread_body || progress.phase == Phase::Head;
        let lingers = may_send && !progress.is_half_closed;
        if lingers {
            self.enter(&mut progress, Phase::Lingering);
        }
        lingers
    }

    /// Records the end of the connection.
    pub(super) fn closed(&self) {
        self.enter(&mut self.progress(), Phase::Closed);
    }

    /// If the client has sent nothing yet, shortens its deadline, and makes its first request the
    /// last one. Returns whether that is so.
    pub(super) fn allow_one_request_within(&self, grace: Duration) -> bool {
        let mut progress = self.progress();
        if progress.phase == Phase::New {
            let end = Instant::now() + grace;
            progress.deadline = progress.deadline.map(|deadline| deadline.min(end));
            progress.is_last_request = true;
        }
        progress.is_last_request
    }

    /// Whether the connection closes after the request.
    pub(super) fn is_last_request(&self) -> bool {
        self.progress().is_last_request
    }

    /// Waits until the connection is evicted, or the server is dropped.
    pub(super) async fn aborted(&self) {
        self.abort.cancelled().await;
    }

    /// Polls for the deadline of the phase, which `timer` is set to.
    pub(super) fn poll_deadline(
        &self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<()> {
        let Some(deadline) = self.progress().deadline else {
            return Poll::Pending;
        };
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.poll(cx)
    }

    /// Enters a phase: sets its deadline, and queues the connection for eviction if there is one.
    fn enter(&self, progress: &mut Progress, phase: Phase) {
        if progress.phase == Phase::Closed {
            return;
        }
        progress.body = RequestBodyProgress::start();
        progress.response = ResponseProgress::start();
        progress.phase = phase;
        progress.deadline = phase.deadline(&self.limits, progress.body);
        match (progress.deadline, progress.eviction_key) {
            (Some(_), None) => progress.eviction_key = Some(self.slots.enqueue(self.abort.clone())),
            (None, Some(eviction_key)) => {
                self.slots.dequeue(eviction_key);
                progress.eviction_key = None;
            }
            _ => {}
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress
            .lock()
            .expect("no one panics while holding the progress")
    }
}

#[cfg(test)]
mod tests;
