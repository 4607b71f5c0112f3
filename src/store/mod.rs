//! What outlives the process: codes, the permanent ledger, and what the replicas of an account must agree on.
//!
//! Read [`Store`] first. `place`, `look`, `opening`, `pool`, `turns`, `transaction`, `engine`, `fault`, `files`, `clocks`, `row` and `many` are about the database; each
//! of the other files is one thing that it keeps. One SQL text serves SQLite and PostgreSQL. Callers never see SQL, and nothing here
//! knows WeChat or HTTP. A call gets its turn within [`TURN_PATIENCE`] or fails, and ends within [`DEADLINE`] of it; statistics
//! have longer, and few turns.

mod bindings;
mod channels;
mod clocks;
mod codes;
mod days;
mod engine;
mod events;
mod fault;
mod files;
mod forgetting;
mod importing;
mod lease;
mod ledger;
mod look;
mod many;
mod numbers;
mod opening;
mod person_key;
mod place;
mod pool;
mod recording;
mod row;
mod shared;
mod tickets;
mod transaction;
mod turns;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::bindings::{Binding, Claimed, NewBinding};
pub use self::channels::{Channel, ChannelFilter, ListedCode, Page};
pub use self::clocks::ClockDifference;
pub use self::events::{Dated, EventFilter, EventOrder, EventPage, Recorded, StoredEvent};
pub use self::fault::Refusal;
pub use self::files::{FileProblem, SharedFile};
pub use self::importing::{ImportConflict, Imported};
pub use self::lease::Lease;
pub use self::ledger::{Intent, REPEAT_AFTER, Reservation, Stock};
pub use self::look::Standing;
pub use self::numbers::{Numbers, NumbersFilter, NumbersRow, Span, Sums};
pub use self::opening::{OpenError, Upstream};
pub use self::shared::Stop;
pub use crate::tally::{Attribution, PersonKey, PersonKeyError};

use self::engine::Engine;
use self::turns::Purpose;
use crate::clock::Clock;

/// How long any call of the store may take once it has its turn.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long a call waits for its turn. Chosen: as many mints as are under way at once, on a disk that takes 30 ms for each
/// write, and well within what a visitor waits.
pub const TURN_PATIENCE: Duration = Duration::from_secs(2);

/// How long statistics may take, which read all codes of many days.
pub const STATISTICS_DEADLINE: Duration = Duration::from_secs(5);

/// How many rows one statement removes, so that no writer waits long behind it.
const PURGE_BATCH: i64 = 500;

/// The store of one account. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Store {
    engine: Arc<Engine>,
    appid: Arc<str>,
    clock: Arc<dyn Clock>,
    person_key: PersonKey,
}

/// Why a call of the store failed; it is in the log already. It never names the database's address.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No answer within [`DEADLINE`]: the store is taken to be down, and nobody waits for a turn then.
    #[error("the store does not answer in time")]
    Timeout,
    /// No turn within [`TURN_PATIENCE`]: too many calls stood before this one, and the database was not asked. Or statistics that
    /// were not read within [`STATISTICS_DEADLINE`].
    #[error("the store has too much to do")]
    Busy,
    /// The database could not be reached, or refused: every call, or this one, as where it waited too long for a lock.
    #[error("the store failed")]
    Failed(#[source] Arc<sqlx::Error>),
    /// A row that this version cannot have written.
    #[error("the store holds a row that cannot be read: {0}")]
    BadRow(&'static str),
}

impl Error {
    /// Whether a value that was given may be the reason, or a row that it met, rather than a lock, a crowd or silence: the same
    /// call fails again, and others do not.
    pub fn is_of_a_value(&self) -> bool {
        match self {
            Self::BadRow(_) => true,
            Self::Failed(error) => fault::is_of_a_value(error),
            Self::Busy | Self::Timeout => false,
        }
    }

    /// Whether the whole store is of no use, rather than to this call.
    fn is_of_the_store(&self) -> bool {
        match self {
            Self::Timeout => true,
            Self::Failed(error) => fault::is_of_the_store(error),
            Self::Busy | Self::BadRow(_) => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(Arc::new(fault::without_source_line(error)))
    }
}

impl Store {
    /// Whether the database was well when it was last used. A call that failed alone does not count.
    pub fn is_up(&self) -> bool {
        self.engine.is_up()
    }

    /// Asks the database for a sign of life; one that failed, whether it can be written to again.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Error> {
        self.engine
            .within_deadline(Purpose::Urgent, async { self.engine.ping().await })
            .await
    }
}

impl Store {
    /// How far this machine's clock was from the database's when the store was opened; none with SQLite, which has none of
    /// its own.
    pub fn clock_difference(&self) -> Option<ClockDifference> {
        self.engine.clock_difference()
    }
}

impl Store {
    /// Closes the connections, within [`DEADLINE`]; no handle to the store can be used after that. The last one to leave an
    /// SQLite file brings it up to date, and removes the files beside it.
    pub async fn close(&self) {
        let closed = tokio::time::timeout(DEADLINE, self.engine.pool().close());
        if closed.await.is_err() {
            tracing::warn!("the store was still in use at the end");
        }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.engine.name())
    }
}

#[cfg(test)]
impl Store {
    /// A store of its own in memory, for tests of the rooms above.
    pub(crate) async fn in_memory(clock: Arc<dyn Clock>) -> Self {
        let url = "sqlite::memory:".into();
        Self::open(&url, "wxtest", &Upstream::of_host("test"), clock)
            .await
            .expect("memory can be opened")
    }
}
