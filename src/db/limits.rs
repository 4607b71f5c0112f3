//! How long calls of the database may take, and how much one may change.

use std::time::Duration;

/// How long a call may take once it is admitted.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long a call waits for admission. Chosen: as many mints as are under way at once, on a disk
/// that takes 30 ms for each write, and well within what a visitor waits.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long statistics may take, which read all codes of many days.
pub const STATISTICS_DEADLINE: Duration = Duration::from_secs(5);

/// The most rows that one statement removes, so that no writer waits long behind it.
pub(crate) const PURGE_BATCH: i64 = 500;
