//! How long calls of the database may take, and how much one may change.

use std::time::Duration;

/// How long a call may take once it is admitted.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long a call waits for a connection or for the writer. Chosen: well within what a visitor
/// waits.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a call may take that reads many rows, such as the statistics of all codes.
pub const LONG_READ_DEADLINE: Duration = Duration::from_secs(5);

/// The most rows that one statement removes, so that no writer waits long behind it.
pub(super) const MAX_PURGE_BATCH: usize = 500;

/// How long the end of the process waits for the last writes: a group that waits for a connection,
/// for the lock, for its statements, and for its commit.
pub(crate) const CLOSE_TIMEOUT: Duration = DEADLINE.saturating_mul(4);
