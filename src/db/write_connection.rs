//! The writer's connection, which is kept instead of being taken from a pool.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use sqlx::any::AnyConnectOptions;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Connection};
use tokio::time::{Instant, timeout};

use super::error::Error;
use super::limits::DEADLINE;
use super::pool;
use super::transaction::{BeginWrite, Transaction};
use super::url::{DatabaseUrl, Dialect};

/// From so long an idle time on the connection is checked before it is used: a server, or a
/// firewall on the way, may have closed it.
const CHECK_AFTER: Duration = Duration::from_secs(1);

/// The first half of the writers' advisory lock: any number that is always the same, here "wxqw" in
/// ASCII. The second half is the account.
const WRITE_LOCK: i32 = 0x7778_7177;

/// A connection that is opened when it is needed.
#[derive(Debug)]
pub(super) struct WriteConnection {
    origin: ConnectionOrigin,
    dialect: Dialect,
    begin: BeginWrite,
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
            begin: BeginWrite::new(dialect, WRITE_LOCK, account_key(&appid)),
            appid,
        }
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
        });
        Ok(())
    }

    /// Begins a transaction on the connection that is open.
    pub(super) async fn begin(&mut self, is_synced: bool) -> Result<Transaction<'_>, Error> {
        const OPEN: &str = "a transaction begins after the opening";
        let connection = match &mut self.origin {
            ConnectionOrigin::Own { held, .. } => &mut held.as_mut().expect(OPEN).connection,
            ConnectionOrigin::Memory { borrowed, .. } => &mut **borrowed.as_mut().expect(OPEN),
        };
        let (begin, appid) = (self.begin.statements(is_synced), &self.appid);
        Ok(Transaction::begin_write(connection, self.dialect, begin, appid).await?)
    }

    /// Gives a borrowed connection back after a transaction.
    pub(super) fn release(&mut self) {
        if let ConnectionOrigin::Memory { borrowed, .. } = &mut self.origin {
            *borrowed = None;
        }
    }

    /// Drops the connection after a failure: it may have lost its server, still be busy, or be in a
    /// transaction that the driver does not know of, as always with PostgreSQL. After a full disk
    /// the driver counts one that SQLite has ended.
    pub(super) fn discard(&mut self) {
        if let ConnectionOrigin::Own { held, .. } = &mut self.origin {
            *held = None;
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
