//! Whose turn it is at the database. Each call takes one, so that a crowd waits here and not, with its deadline running, for
//! a connection or for SQLite's one writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::TURN_PATIENCE;
use super::place::{Dialect, Place};

/// The connections of PostgreSQL that are kept for urgent calls.
const URGENT: usize = 2;

/// How many statistics are read at once. They take long, and others must find turns beside them.
const STATISTICS: usize = 2;

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It only reads.
    Read,
    /// It writes.
    Write,
    /// It writes what a call to WeChat gave, which would be lost, or is a sign of life. There are as few of them as there are
    /// calls to WeChat, and no crowd of others stands before them.
    Urgent,
    /// It reads much. It takes turns of reading, but few of them at a time.
    Statistics,
}

/// The turns of one process.
#[derive(Debug)]
pub(super) struct Turns {
    reads: Arc<Lane>,
    writes: Arc<Lane>,
    urgent: Lane,
    /// Those who write at the same time, of whatever lane.
    writers: Semaphore,
    /// Those who read much, before they wait in the lane of readers.
    statistics: Semaphore,
}

/// Calls that wait for the same turns, in the order in which they came.
#[derive(Debug)]
struct Lane {
    turns: Semaphore,
    /// Whether somebody waited in vain since the lane was last free.
    is_crowded: AtomicBool,
}

/// A turn, until it is dropped.
#[derive(Debug)]
#[must_use]
pub(super) struct Turn<'a> {
    _in_lane: SemaphorePermit<'a>,
    _among_some: Option<SemaphorePermit<'a>>,
}

impl Turns {
    /// As many turns as there are connections, but in memory, where the one connection is shared by all lanes.
    pub(super) fn at(place: &Place) -> Self {
        let connections = place.connections() as usize;
        match place.dialect() {
            Dialect::Postgres => {
                let ordinary = Arc::new(Lane::new(connections - URGENT));
                Self {
                    reads: Arc::clone(&ordinary),
                    writes: ordinary,
                    urgent: Lane::new(URGENT),
                    writers: Semaphore::new(connections),
                    statistics: Semaphore::new(STATISTICS),
                }
            }
            // One ordinary writer at a time, so that an urgent one waits for that one only.
            Dialect::Sqlite => Self {
                reads: Arc::new(Lane::new(connections.saturating_sub(2).max(1))),
                writes: Arc::new(Lane::new(1)),
                urgent: Lane::new(1),
                writers: Semaphore::new(1),
                statistics: Semaphore::new(STATISTICS),
            },
        }
    }

    fn lane(&self, purpose: Purpose) -> &Lane {
        match purpose {
            Purpose::Read | Purpose::Statistics => &self.reads,
            Purpose::Write => &self.writes,
            Purpose::Urgent => &self.urgent,
        }
    }

    /// A turn, if nobody has to be waited for.
    pub(super) fn at_once(&self, purpose: Purpose) -> Option<Turn<'_>> {
        let lane = self.lane(purpose);
        let in_lane = lane.turns.try_acquire().ok()?;
        let among_some = match purpose {
            Purpose::Read => None,
            Purpose::Write | Purpose::Urgent => Some(self.writers.try_acquire().ok()?),
            Purpose::Statistics => Some(self.statistics.try_acquire().ok()?),
        };
        lane.is_crowded.store(false, Ordering::Relaxed);
        Some(Turn {
            _in_lane: in_lane,
            _among_some: among_some,
        })
    }

    /// A turn, within [`TURN_PATIENCE`]. Cancel safe.
    pub(super) async fn wait(&self, purpose: Purpose) -> Option<Turn<'_>> {
        let turn = async {
            // Before the lane, where they would keep a turn from others while they wait.
            let among_readers = match purpose {
                Purpose::Statistics => Some(permit(&self.statistics).await),
                Purpose::Read | Purpose::Write | Purpose::Urgent => None,
            };
            let in_lane = permit(&self.lane(purpose).turns).await;
            // After the lane, where those who are not urgent would all stand before one that is.
            let among_writers = match purpose {
                Purpose::Write | Purpose::Urgent => Some(permit(&self.writers).await),
                Purpose::Read | Purpose::Statistics => None,
            };
            Turn {
                _in_lane: in_lane,
                _among_some: among_readers.or(among_writers),
            }
        };
        let turn = tokio::time::timeout(TURN_PATIENCE, turn).await.ok();
        if turn.is_none() {
            self.lane(purpose).note_crowd();
        }
        turn
    }
}

impl Lane {
    fn new(turns: usize) -> Self {
        Self {
            turns: Semaphore::new(turns),
            is_crowded: AtomicBool::new(false),
        }
    }

    /// Says it once for a crowd, not for each who stands in it.
    fn note_crowd(&self) {
        if !self.is_crowded.swap(true, Ordering::Relaxed) {
            tracing::warn!("the store has too much to do: calls gave up waiting for their turn");
        }
    }
}

async fn permit(turns: &Semaphore) -> SemaphorePermit<'_> {
    turns
        .acquire()
        .await
        .expect("the semaphore is never closed")
}

#[cfg(test)]
mod tests {
    use std::iter::from_fn;

    use super::*;

    const PURPOSES: [Purpose; 4] = [
        Purpose::Read,
        Purpose::Write,
        Purpose::Urgent,
        Purpose::Statistics,
    ];

    const PLACES: [&str; 3] = ["sqlite::memory:", "sqlite://wxqr.db", "postgres://host/x"];

    #[test]
    fn a_turn_of_each_kind_is_there_and_a_connection_for_each_turn() {
        for url in PLACES {
            let place = Place::of(url);
            for purpose in PURPOSES {
                let turns = Turns::at(&place);
                assert!(turns.at_once(purpose).is_some(), "{url}: {purpose:?}");
            }
            let turns = Turns::at(&place);
            let held = [Purpose::Read, Purpose::Urgent, Purpose::Write]
                .map(|purpose| from_fn(|| turns.at_once(purpose)).collect::<Vec<_>>());
            let held = held.iter().map(Vec::len).sum::<usize>();
            let most = place.connections() as usize;
            assert!(held <= most || place.is_memory(), "{url}: {held}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn statistics_leave_turns_to_others() {
        for url in PLACES {
            let place = Place::of(url);
            let turns = Turns::at(&place);
            let held: Vec<_> = from_fn(|| turns.at_once(Purpose::Statistics)).collect();
            assert_eq!(held.len(), if place.is_memory() { 1 } else { 2 }, "{url}");
            let mut waiting = std::pin::pin!(turns.wait(Purpose::Statistics));
            assert!(futures_util::poll!(&mut waiting).is_pending());
            for purpose in [Purpose::Read, Purpose::Write, Purpose::Urgent] {
                let is_free = turns.at_once(purpose).is_some();
                let shares = place.is_memory() && purpose == Purpose::Read;
                assert_eq!(is_free, !shares, "{url}: {purpose:?}");
            }
            drop(held);
            assert!(waiting.await.is_some(), "{url}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_in_vain_gives_up_and_an_urgent_one_does_not_wait() {
        for url in PLACES {
            let turns = Turns::at(&Place::of(url));
            let held: Vec<_> = from_fn(|| turns.at_once(Purpose::Read)).collect();
            let started = tokio::time::Instant::now();
            assert!(turns.wait(Purpose::Read).await.is_none(), "{url}");
            assert_eq!(started.elapsed(), TURN_PATIENCE, "{url}");
            assert!(turns.at_once(Purpose::Urgent).is_some(), "{url}");
            drop(held);
            assert!(turns.wait(Purpose::Read).await.is_some(), "{url}");
        }
    }
}
