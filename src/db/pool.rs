//! The pool of the connections that read, and the settings of each connection, the writer's too.

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Executor};

use super::limits::{DEADLINE, LONG_READ_DEADLINE};
use super::statement::Statement;
use super::url::{DatabaseUrl, Dialect};

/// How long SQLite waits for another process that writes. A transaction waits once, at its
/// beginning, and the rest of [`DEADLINE`] is for its statements, so that a lock alone never makes
/// a call pass it.
pub(super) const BUSY_TIMEOUT_MS: u32 = 700;

/// Makes the pool, without a connection yet.
pub(super) fn make(url: &DatabaseUrl, options: AnyConnectOptions) -> AnyPool {
    let pool = AnyPoolOptions::new().acquire_timeout(DEADLINE);
    let pool = if url.is_memory() {
        // A call that is cut off may cost the pool its connection: `Connections` holds another one.
        // The writer waits for it too, while a long read is made.
        pool.max_connections(url.connections())
            .acquire_timeout(LONG_READ_DEADLINE + DEADLINE)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
    } else {
        pool.max_connections(url.connections())
            .min_connections(url.idle_connections())
            // A server may have closed a connection; a file never does.
            .test_before_acquire(!url.is_file())
    };
    let dialect = url.dialect();
    pool.after_connect(move |connection, _| Box::pin(tune(connection, dialect)))
        .connect_lazy_with(options)
}

/// Opens the connections that stay open, one after another. Each may take as long as a call, so
/// that a database may be far away; the pool would give that time to all of them together.
pub(super) async fn fill(pool: &AnyPool, url: &DatabaseUrl) -> Result<(), sqlx::Error> {
    let mut made = Vec::new();
    for _ in 0..url.idle_connections().max(1) {
        made.push(pool.acquire().await?);
    }
    Ok(())
}

/// The page cache of the connection that writes. Chosen: a transaction of a hundred events changes
/// some hundreds of pages, and SQLite's own 2 MB would have it write some of them twice.
const WRITE_CACHE_KIB: u32 = 16 * 1024;

/// Sets up the connection to a file that writes.
pub(super) async fn tune_for_writes(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<(), sqlx::Error> {
    tune(connection, dialect).await?;
    if dialect == Dialect::Sqlite {
        // Negative: in KiB instead of pages. Memory: SQLite keeps what it needs to undo one
        // statement, and would keep more than 64 KiB of it in a temporary file. A statement about a
        // sub-batch has more.
        let settings = format!(
            "PRAGMA cache_size = -{WRITE_CACHE_KIB};
             PRAGMA temp_store = MEMORY"
        );
        connection.execute(AssertSqlSafe(settings)).await?;
    }
    Ok(())
}

/// Builds the statement that sets whether commits to SQLite's file wait for the disk. If not, the
/// write-ahead log is synced by the next commit that waits, and before a checkpoint. SQLite
/// refuses it in a transaction. It may be cached: SQLite prepares a `PRAGMA` again for each
/// execution (`sqlite3VdbeRunOnlyOnce` in its source).
pub(super) fn set_synchronous(is_synced: bool) -> Statement {
    let level = if is_synced { "FULL" } else { "NORMAL" };
    Statement::from_text(format!("PRAGMA synchronous = {level}"))
}

/// Sets up a connection to a file. With PostgreSQL each transaction has its own settings instead.
async fn tune(connection: &mut AnyConnection, dialect: Dialect) -> Result<(), sqlx::Error> {
    if dialect == Dialect::Postgres {
        return Ok(());
    }
    // FULL: what was acknowledged is on the disk. The ledger cannot be made again. Secure: what was
    // erased, openids, is overwritten in the file.
    let settings = format!(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA secure_delete = ON;
         PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}"
    );
    connection.execute(AssertSqlSafe(settings)).await?;
    Ok(())
}
