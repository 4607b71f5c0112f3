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
use super::fault::Fault;
use super::head::HeadWatcher;
use super::seats::{Place, Seats};

/// How long we go on taking in what a client sends that we do not read, so that it gets to read why. Chosen: some round
/// trips.
const LINGER: Duration = Duration::from_secs(2);

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
        limits: Limits,
        cut: CancellationToken,
    ) -> Self {
        let turn = Arc::new(Turn {
            seats: Arc::clone(seats),
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
        match (bytes, progress.stage) {
            ([], _) => progress.ended = true,
            (_, Stage::Idle) => self.enter(&mut progress, Stage::Head { heard: true }),
            // The deadline stays: it is for the whole head.
            (_, Stage::Head { .. }) => progress.stage = Stage::Head { heard: true },
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
        if matches!(progress.stage, Stage::Answer { .. }) {
            progress.next = Some(stage);
        } else {
            self.enter(&mut progress, stage);
        }
        verdict
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
        let allowed = self.allowed(stage);
        progress.stage = stage;
        progress.until = allowed.map(|allowed| Instant::now() + allowed);
        match (allowed, progress.place) {
            (Some(_), None) => progress.place = Some(self.seats.enter(self.cut.clone())),
            (None, Some(place)) => {
                self.seats.leave(place);
                progress.place = None;
            }
            _ => {}
        }
    }

    /// How long the client may take for a stage. None where it is not the client's turn.
    fn allowed(&self, stage: Stage) -> Option<Duration> {
        match stage {
            Stage::Head { .. } => Some(self.limits.header_timeout),
            Stage::Body => Some(self.limits.body_timeout),
            Stage::Answer { .. } => Some(self.limits.answer_timeout),
            Stage::Idle => Some(self.limits.idle_timeout),
            Stage::Linger => Some(LINGER),
            Stage::Work | Stage::Over => None,
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
