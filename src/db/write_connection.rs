//! The writer's connection, which is kept instead of being taken from a pool.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::any::AnyConnectOptions;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor as _};
use tokio::time::{Instant, timeout};

use super::error::Error;
use super::group::Group;
use super::limits::DEADLINE;
use super::pool;
use super::statement::Statement;
use super::transaction::{Transaction, begin_write};
use super::url::{DatabaseUrl, Dialect};

/// From so long an idle time on the connection is checked before it is used: a server, or a
/// firewall on the way, may have closed it.
const CHECK_AFTER: Duration = Duration::from_secs(1);

/// The first half of the writers' advisory lock: any number that is always the same, here "wxqw" in
/// ASCII. The second half is the account.
const WRITE_LOCK: i32 = 0x7778_7177;

/// The writer's one connection: opened when it is needed, and again after a failure.
#[derive(Debug)]
pub(super) struct WriteConnection {
    origin: ConnectionOrigin,
    dialect: Dialect,
    /// How its transactions begin.
    begin: Vec<String>,
    appid: Arc<str>,
}

#[derive(Debug)]
enum ConnectionOrigin {
    Own {
        options: AnyConnectOptions,
        held: Option<HeldConnection>,
    },
    /// A database in memory belongs to the one connection of its pool, which reads have in turn.
    Memory {
        pool: AnyPool,
        borrowed: Option<PoolConnection<Any>>,
    },
}

#[derive(Debug)]
struct HeldConnection {
    connection: AnyConnection,
    used_at: Instant,
    /// Whether commits to SQLite's file wait for the disk.
    is_synced: bool,
}

impl WriteConnection {
    pub(super) fn new(
        url: &DatabaseUrl,
        options: AnyConnectOptions,
        pool: &AnyPool,
        appid: Arc<str>,
    ) -> Self {
        let origin = if url.is_memory() {
            ConnectionOrigin::Memory {
                pool: pool.clone(),
                borrowed: None,
            }
        } else {
            ConnectionOrigin::Own {
                options,
                held: None,
            }
        };
        let dialect = url.dialect();
        Self {
            origin,
            dialect,
            begin: begin_write(dialect, WRITE_LOCK, account_key(&appid)),
            appid,
        }
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Makes the connection ready for a transaction.
    ///
    /// # Errors
    /// When it cannot be opened within [`DEADLINE`].
    pub(super) async fn prepare(&mut self) -> Result<(), Error> {
        if let ConnectionOrigin::Memory { pool, borrowed } = &mut self.origin {
            *borrowed = Some(pool.acquire().await?);
            return Ok(());
        }
        let opened = timeout(DEADLINE, self.open()).await;
        Ok(opened.map_err(|_| Error::Timeout)??)
    }

    /// Opens a connection of its own, unless it is open and works.
    pub(super) async fn open(&mut self) -> Result<(), sqlx::Error> {
        let ConnectionOrigin::Own { options, held } = &mut self.origin else {
            return Ok(());
        };
        if let Some(idle) = held
            .as_mut()
            .filter(|held| held.used_at.elapsed() >= CHECK_AFTER)
            && idle.connection.ping().await.is_err()
        {
            *held = None;
        }
        let used_at = Instant::now();
        if let Some(held) = held {
            held.used_at = used_at;
            return Ok(());
        }
        let mut connection = AnyConnection::connect_with(options).await?;
        pool::tune_for_writes(&mut connection, self.dialect).await?;
        *held = Some(HeldConnection {
            connection,
            used_at,
            is_synced: true,
        });
        Ok(())
    }

    /// Begins the transaction of a group on the connection that is open, by statements that are
    /// sent with the first that follows.
    pub(super) fn begin(&mut self, group: &Group) -> Transaction<'_> {
        const OPEN: &str = "a transaction begins after the opening";
        let (dialect, is_synced) = (self.dialect, group.is_synced());
        let mut begin = Vec::new();
        let connection = match &mut self.origin {
            ConnectionOrigin::Own { held, .. } => {
                let held = held.as_mut().expect(OPEN);
                // Sent only where it changes. If it fails, the connection is closed.
                if dialect == Dialect::Sqlite && held.is_synced != is_synced {
                    begin.push(pool::set_synchronous(is_synced));
                    held.is_synced = is_synced;
                }
                &mut held.connection
            }
            ConnectionOrigin::Memory { borrowed, .. } => &mut **borrowed.as_mut().expect(OPEN),
        };
        begin.extend(self.begin.iter().map(Statement::from_text));
        Transaction::begin_write(connection, dialect, begin, &self.appid).yielding(group.is_small())
    }

    /// Gives a borrowed connection back after a commit.
    pub(super) fn release(&mut self) {
        if let ConnectionOrigin::Memory { borrowed, .. } = &mut self.origin {
            *borrowed = None;
        }
    }

    /// Ends a transaction that is not committed: closes the connection, which may have lost its
    /// server or still be busy. One that is borrowed is given back without the transaction.
    pub(super) async fn discard(&mut self) {
        match &mut self.origin {
            ConnectionOrigin::Own { held, .. } => *held = None,
            ConnectionOrigin::Memory { borrowed, .. } => {
                if let Some(mut connection) = borrowed.take() {
                    // It fails where SQLite has ended the transaction, or it was not begun.
                    connection.execute("ROLLBACK").await.ok();
                }
            }
        }
    }

    /// Closes the connection at the end of the process. A failure does not matter: everything is
    /// committed.
    pub(super) async fn close(&mut self) {
        if let ConnectionOrigin::Own { held, .. } = &mut self.origin
            && let Some(held) = held.take()
        {
            held.connection.close().await.ok();
        }
    }
}

/// Computes the account's half of the writers' lock. Two accounts with the same number would only
/// wait for each other.
fn account_key(appid: &str) -> i32 {
    let digest = Sha256::digest(appid);
    i32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}
