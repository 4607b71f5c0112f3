//! How long calls of the database may take, how much one may change, and how many connections
//! there are.

use std::time::Duration;

/// How long a call may take once it is admitted.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// How long a call waits for a connection or for the writer. Chosen: well within what a visitor
/// waits.
pub const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a call may take that reads many rows, such as the statistics of all codes.
pub const LONG_READ_DEADLINE: Duration = Duration::from_secs(5);

/// Connections of one process that read. With the writer's it has eight, because PostgreSQL serves
/// several replicas.
pub(crate) const READ_CONNECTIONS: u32 = 7;

/// The most commands in one transaction. Chosen: larger groups are no faster, and hold the lock for
/// longer.
pub(super) const MAX_GROUP: usize = 100;

/// The most rows that one statement removes, so that no writer waits long behind it.
pub(super) const MAX_PURGE_BATCH: usize = 500;

/// The most commands of a small group. Chosen: about what comes during one slow commit, when a
/// campaign brings 500 events a second.
pub(super) const MAX_SMALL_GROUP: usize = 8;

/// The most commands that are executed together with SQLite. Chosen: with more of them the
/// statements hardly cost less, and take the connection more memory to cache.
pub(super) const MAX_SUB_BATCH: usize = 16;

/// The most commands that are executed together with SQLite where fewer than [`MAX_SUB_BATCH`] are
/// left. Chosen: so there are nine sizes, and the connection caches all texts of new codes.
pub(super) const MAX_SMALL_SUB_BATCH: usize = 8;

/// The most rows of a statement of SQLite that its connection caches: one for each command of a
/// sub-batch.
pub(super) const SQLITE_ROWS: usize = MAX_SUB_BATCH;

/// How often a group of writes waits for the lock of another process. Chosen: a replica that froze
/// with the lock loses it after a second, and each wait is shorter than that.
pub(super) const MAX_BEGINS: u32 = 4;

/// How long a write takes at most while its connection is open and no other process has the lock:
/// the queue, its statements, and its commit.
pub const WRITE_TIMEOUT: Duration = ACQUIRE_TIMEOUT.saturating_add(DEADLINE.saturating_mul(2));

/// How long the end of the process waits for the last writes: a group that waits for a connection,
/// once for the lock, for its statements, and for its commit.
pub(crate) const CLOSE_TIMEOUT: Duration = DEADLINE.saturating_mul(4);
