//! Whose turn it is on one connection, and until when.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::Limits;
use super::budget::{ByteBudget, Share};
use super::fault::Fault;
use super::head::HeadWatcher;
use super::seats::{Place, Seats};

/// How long we go on taking in what a client sends that we do not read, so that it gets to read why. Chosen: some round
/// trips.
const LINGER: Duration = Duration::from_secs(2);

/// How many bytes of a head are not accounted for: hyper's buffer has room for them from the beginning.
const SMALL_HEAD: usize = 8 * 1024;

/// A connection's seat. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) turn: Arc<Turn>,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    /// The client's turn begins at once. `cut` is cancelled when the connection has to go.
    pub(super) fn new(
        permit: OwnedSemaphorePermit,
        seats: &Arc<Seats>,
        heads: &ByteBudget,
        limits: Limits,
        cut: CancellationToken,
    ) -> Self {
        let turn = Arc::new(Turn {
            seats: Arc::clone(seats),
            head_budget: heads.clone(),
            limits,
            cut,
            progress: Mutex::new(Progress {
                stage: Stage::Work,
                until: None,
                place: None,
                ended: false,
                unread: false,
                next: None,
                heads: HeadWatcher::default(),
                large_head: None,
                body: Pace::default(),
            }),
        });
        turn.enter(&mut turn.progress(), Stage::Head { heard: false });
        Self {
            turn,
            _permit: permit,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.turn.enter(&mut self.turn.progress(), Stage::Over);
    }
}

/// What a connection is at. Those who read and write it tell; the connection's task asks how long it may last.
#[derive(Debug)]
pub(super) struct Turn {
    seats: Arc<Seats>,
    head_budget: ByteBudget,
    limits: Limits,
    cut: CancellationToken,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    stage: Stage,
    /// None while it is not the client's turn.
    until: Option<Instant>,
    /// The place among those who keep us waiting.
    place: Option<Place>,
    /// The client has closed its half.
    ended: bool,
    /// The request's body was not read to its end.
    unread: bool,
    /// What a request is at that has begun although the answer to the one before is not taken yet.
    next: Option<Stage>,
    heads: HeadWatcher,
    /// What a head that is large and not whole has of the budget.
    large_head: Option<LargeHead>,
    body: Pace,
}

impl Progress {
    /// Where the connection is when an answer is taken.
    fn after_answer(&mut self) -> Stage {
        match (self.next.take(), self.heads.unfinished()) {
            (Some(next), _) => next,
            (None, 1..) => Stage::Head { heard: true },
            (None, 0) => Stage::Idle,
        }
    }
}

#[derive(Debug)]
struct LargeHead {
    share: Share,
    /// As many were accounted for.
    bytes: usize,
}

/// How a body comes.
#[derive(Debug, Clone, Copy)]
struct Pace {
    began: Instant,
    /// Bytes since, as they are on the wire.
    received: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            received: 0,
        }
    }
}

impl Pace {
    /// When the client is too slow, if no more comes.
    fn deadline(self, limits: Limits) -> Instant {
        let received = u32::try_from(self.received).unwrap_or(u32::MAX);
        let earned = Duration::from_secs(received.into()) / limits.body_rate.max(1);
        self.began + limits.body_timeout.min(limits.body_grace + earned)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The client is to send the head of a request, of which we may have heard something.
    Head { heard: bool },
    /// The client is to send the body.
    Body,
    /// The request is worked on.
    Work,
    /// The client is to take the answer, which the protocol's part may have all of.
    Answer { whole: bool },
    /// The client may send another request.
    Idle,
    /// We have closed our half, and the client is to notice.
    Linger,
    /// The connection has ended.
    Over,
}

impl Turn {
    /// Bytes came, or with none the end.
    pub(super) fn received(&self, bytes: &[u8]) {
        let mut progress = self.progress();
        progress.heads.received(bytes);
        self.account_for_head(&mut progress);
        match (bytes, progress.stage) {
            ([], _) => progress.ended = true,
            (_, Stage::Idle) => self.enter(&mut progress, Stage::Head { heard: true }),
            // The deadline stays: it is for the whole head.
            (_, Stage::Head { .. }) => progress.stage = Stage::Head { heard: true },
            (_, Stage::Body) => {
                progress.body.received = progress.body.received.saturating_add(bytes.len());
                progress.until = Some(progress.body.deadline(self.limits));
            }
            _ => {}
        }
    }

    /// The head of a request is there; its body has so many bytes, none if that is not known. While the answer before is not
    /// taken, its deadline and its place stay.
    ///
    /// # Errors
    /// What is ambiguous in the head's bytes.
    pub(super) fn request_begins(&self, body: Option<u64>) -> Result<(), Fault> {
        let has_body = body != Some(0);
        let stage = if has_body { Stage::Body } else { Stage::Work };
        let mut progress = self.progress();
        progress.unread = has_body;
        let verdict = progress.heads.parsed(body);
        self.account_for_head(&mut progress);
        if matches!(progress.stage, Stage::Answer { .. }) {
            progress.next = Some(stage);
        } else {
            self.enter(&mut progress, stage);
        }
        verdict
    }

    /// Takes from the budget what a head holds that is large and not whole, or gives it back. Who is evicted for it is cut,
    /// and so is this connection if it has to make room itself.
    fn account_for_head(&self, progress: &mut Progress) {
        let bytes = progress.heads.unfinished();
        if bytes <= SMALL_HEAD {
            progress.large_head = None;
            return;
        }
        let large = progress.large_head.get_or_insert_with(|| LargeHead {
            share: self.head_budget.enter(self.cut.clone()),
            bytes: SMALL_HEAD,
        });
        let more = bytes.saturating_sub(large.bytes);
        large.bytes += more;
        if large.share.grow(more).is_err() {
            self.cut.cancel();
        }
    }

    /// The body was read, or is not wanted to its end.
    pub(super) fn body_ends(&self, whole: bool) {
        let mut progress = self.progress();
        progress.unread = !whole;
        if progress.next == Some(Stage::Body) {
            progress.next = Some(Stage::Work);
        }
        if progress.stage == Stage::Body {
            self.enter(&mut progress, Stage::Work);
        }
    }

    /// True while the request's body was not read to its end.
    pub(super) fn is_unread(&self) -> bool {
        self.progress().unread
    }

    /// There is an answer. One more that the client has to take does not give it more time.
    pub(super) fn answer_begins(&self) {
        let mut progress = self.progress();
        let stage = Stage::Answer { whole: false };
        if progress.next.take().is_some() {
            progress.stage = stage;
        } else {
            self.enter(&mut progress, stage);
        }
    }

    /// There is no more of it to come.
    pub(super) fn answer_is_whole(&self) {
        let mut progress = self.progress();
        if let Stage::Answer { whole } = &mut progress.stage {
            *whole = true;
        }
    }

    /// All that was written is on its way.
    pub(super) fn flushed(&self) {
        let mut progress = self.progress();
        if progress.stage == (Stage::Answer { whole: true }) {
            let stage = progress.after_answer();
            self.enter(&mut progress, stage);
        }
    }

    /// We have closed our half. True if the client may still be sending: closed on it, the connection would be reset, and
    /// the answer lost.
    pub(super) fn lingers(&self) -> bool {
        let mut progress = self.progress();
        let sending = progress.unread || progress.stage == (Stage::Head { heard: true });
        let lingers = sending && !progress.ended;
        if lingers {
            self.enter(&mut progress, Stage::Linger);
        }
        lingers
    }

    /// Ready when another takes the seat, or the service ends.
    pub(super) async fn cut(&self) {
        self.cut.cancelled().await;
    }

    /// Ready when the client's turn has lasted too long. `timer` may be any; this sets it.
    pub(super) fn poll_overdue(
        &self,
        cx: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<()> {
        let Some(until) = self.progress().until else {
            return Poll::Pending;
        };
        if timer.deadline() != until {
            timer.as_mut().reset(until);
        }
        timer.poll(cx)
    }

    /// Goes on to a stage, with its deadline, into the queue or out of it.
    fn enter(&self, progress: &mut Progress, stage: Stage) {
        if progress.stage == Stage::Over {
            return;
        }
        progress.body = Pace::default();
        progress.stage = stage;
        progress.until = self.deadline(stage, progress.body);
        match (progress.until, progress.place) {
            (Some(_), None) => progress.place = Some(self.seats.enter(self.cut.clone())),
            (None, Some(place)) => {
                self.seats.leave(place);
                progress.place = None;
            }
            _ => {}
        }
    }

    /// Until when the client may be at a stage that begins now. None where it is not the client's turn.
    fn deadline(&self, stage: Stage, body: Pace) -> Option<Instant> {
        let allowed = match stage {
            Stage::Head { .. } => self.limits.header_timeout,
            Stage::Body => return Some(body.deadline(self.limits)),
            Stage::Answer { .. } => self.limits.answer_timeout,
            Stage::Idle => self.limits.idle_timeout,
            Stage::Linger => LINGER,
            Stage::Work | Stage::Over => return None,
        };
        Some(Instant::now() + allowed)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress
            .lock()
            .expect("no one panics while holding the progress")
    }
}

#[cfg(test)]
mod tests;
