//! The database behind the store: how it is opened, and how long it may take.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Any, AnyPool, Connection, Executor, Row, Transaction};
use uuid::Uuid;

use super::{DEADLINE, Error, Store};
use crate::clock::Clock;
use crate::telemetry;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long the store is tried at start, so that it may start together with its database.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// The pause between two tries at start.
const START_PAUSE: Duration = Duration::from_millis(500);

/// Connections of one process. SQLite has one writer at a time, and PostgreSQL serves several replicas.
const CONNECTIONS: u32 = 8;

/// How long SQLite waits for another writer: shorter than [`DEADLINE`], so that no statement is left behind.
const BUSY_TIMEOUT_MS: u32 = 900;

/// Which WeChat the codes of a store come from. Codes of the sandbox must never pass for real ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream(String);

impl Upstream {
    /// By the API host. All hosts under `weixin.qq.com` are one WeChat.
    pub fn of_host(host: &str) -> Self {
        let real = host == "weixin.qq.com" || host.ends_with(".weixin.qq.com");
        Self(if real { "weixin.qq.com" } else { host }.to_owned())
    }
}

/// The two kinds of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Sqlite,
    Postgres,
}

/// A pool of connections to either.
#[derive(Debug)]
pub(super) struct Engine {
    pool: AnyPool,
    dialect: Dialect,
    up: AtomicBool,
}

/// Why a store is not opened. No message holds the database's address, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database was not reached for as long as the start waits.
    #[error("WXQR_DATABASE_URL: the database cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// The file is damaged, or no database.
    #[error(
        "WXQR_DATABASE_URL: the file is damaged or no SQLite database; move it away or restore a backup"
    )]
    Damaged(#[source] sqlx::Error),
    /// The database belongs to another program.
    #[error(
        "WXQR_DATABASE_URL: the database holds another program's tables; give the service one of its own"
    )]
    Foreign,
    /// The database belongs to another WeChat.
    #[error(
        "WXQR_DATABASE_URL: the store holds codes of {held}, but WXQR_API_BASE is {asked}; give each its own database"
    )]
    OtherUpstream {
        /// The WeChat of the codes in the store.
        held: String,
        /// The WeChat that is configured.
        asked: String,
    },
    /// The tables cannot be brought up to date.
    #[error("WXQR_DATABASE_URL: the tables cannot be brought up to date")]
    Migration(#[source] MigrateError),
}

impl OpenError {
    /// Whether another try may help.
    fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Migration(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..))
        )
    }

    /// Whether the owner has to change the settings, rather than to wait or to repair.
    pub fn is_configuration(&self) -> bool {
        !self.is_passing()
    }
}

impl Store {
    /// Opens the store of an account, and waits half a minute for its database.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        url: &SecretString,
        appid: &str,
        upstream: &Upstream,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let deadline = tokio::time::Instant::now() + START_PATIENCE;
        let engine = loop {
            match Engine::open(url.expose_secret(), upstream).await {
                Ok(engine) => break engine,
                Err(error) if error.is_passing() && tokio::time::Instant::now() < deadline => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the store is not there yet"
                    );
                    tokio::time::sleep(START_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        };
        Ok(Self {
            engine: Arc::new(engine),
            appid: appid.into(),
            holder: Uuid::now_v7().to_string().into(),
            clock,
        })
    }
}

impl Engine {
    async fn open(url: &str, upstream: &Upstream) -> Result<Self, OpenError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let engine = Self::connect(url).await?;
        engine.refuse_foreign().await?;
        MIGRATIONS
            .run(&engine.pool)
            .await
            .map_err(OpenError::Migration)?;
        engine.claim(upstream).await?;
        Ok(engine)
    }

    async fn connect(url: &str) -> Result<Self, OpenError> {
        let (dialect, url) = if url.starts_with("sqlite:") {
            (Dialect::Sqlite, creating(url))
        } else {
            (Dialect::Postgres, url.to_owned())
        };
        let options: AnyConnectOptions = url.parse().map_err(OpenError::Unreachable)?;
        let pool = pool_options(dialect, is_in_memory(&url))
            .connect_with(options)
            .await
            .map_err(classify)?;
        Ok(Self {
            pool,
            dialect,
            up: AtomicBool::new(true),
        })
    }

    /// A database with tables, but without ours, is somebody else's.
    async fn refuse_foreign(&self) -> Result<(), OpenError> {
        let list = match self.dialect {
            Dialect::Sqlite => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            }
            Dialect::Postgres => {
                "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = current_schema()"
            }
        };
        if self.dialect == Dialect::Sqlite {
            let check = sqlx::query("PRAGMA quick_check(1)")
                .fetch_one(&self.pool)
                .await
                .map_err(classify)?;
            if check.try_get::<String, _>(0).map_err(classify)? != "ok" {
                return Err(OpenError::Damaged(sqlx::Error::Protocol(
                    "quick_check found damage".to_owned(),
                )));
            }
        }
        let rows = sqlx::query(list)
            .fetch_all(&self.pool)
            .await
            .map_err(classify)?;
        let names = rows.iter().map(|row| row.try_get::<String, _>("name"));
        let names = names.collect::<Result<Vec<_>, _>>().map_err(classify)?;
        let ours = names.iter().any(|name| name == "_sqlx_migrations");
        if names.is_empty() || ours {
            Ok(())
        } else {
            Err(OpenError::Foreign)
        }
    }

    /// The first process writes down which WeChat the store belongs to; the others compare.
    async fn claim(&self, upstream: &Upstream) -> Result<(), OpenError> {
        sqlx::query(
            "INSERT INTO about (name, value) VALUES ('upstream', $1) ON CONFLICT (name) DO NOTHING",
        )
        .bind(&upstream.0)
        .execute(&self.pool)
        .await
        .map_err(classify)?;
        let row = sqlx::query("SELECT value FROM about WHERE name = 'upstream'")
            .fetch_one(&self.pool)
            .await
            .map_err(classify)?;
        let held: String = row.try_get(0).map_err(classify)?;
        if held == upstream.0 {
            return Ok(());
        }
        Err(OpenError::OtherUpstream {
            held,
            asked: upstream.0.clone(),
        })
    }

    /// For reading, and for single statements.
    pub(super) fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// A transaction that writes. SQLite must be told at once: one that reads first and then writes may fail whatever the
    /// busy timeout.
    pub(super) async fn write(&self) -> Result<Transaction<'static, Any>, Error> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            Dialect::Postgres => "BEGIN",
        };
        Ok(self.pool.begin_with(begin).await?)
    }

    pub(super) async fn ping(&self) -> Result<(), Error> {
        Ok(self.pool.acquire().await?.ping().await?)
    }

    /// Cuts a call off at the deadline. A transaction in it is rolled back.
    pub(super) async fn within_deadline<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let result = tokio::time::timeout(DEADLINE, call)
            .await
            .unwrap_or(Err(Error::Timeout));
        self.note(&result);
        result
    }

    /// Remembers whether the database answers, and says so when that changes.
    fn note<T>(&self, result: &Result<T, Error>) {
        let up = !matches!(result, Err(Error::Timeout | Error::Failed(_)));
        telemetry::store_up(up);
        let was_up = self.up.swap(up, Ordering::Relaxed);
        match result {
            Err(error) if was_up && !up => {
                tracing::error!(
                    error = error as &dyn std::error::Error,
                    "the store cannot be used"
                );
            }
            _ if !was_up && up => tracing::info!("the store is back"),
            _ => {}
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn name(&self) -> &'static str {
        match self.dialect {
            Dialect::Sqlite => "SQLite",
            Dialect::Postgres => "PostgreSQL",
        }
    }
}

fn pool_options(dialect: Dialect, in_memory: bool) -> AnyPoolOptions {
    let options = AnyPoolOptions::new().acquire_timeout(DEADLINE);
    let options = if in_memory {
        // A database in memory belongs to its one connection, which must never be closed.
        options
            .max_connections(1)
            .min_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
    } else {
        options.max_connections(CONNECTIONS)
    };
    options.after_connect(move |connection, _| {
        Box::pin(async move {
            if dialect == Dialect::Sqlite {
                // FULL: what was acknowledged is on the disk. The ledger cannot be made again.
                connection.execute("PRAGMA journal_mode = WAL").await?;
                connection.execute("PRAGMA synchronous = FULL").await?;
                let busy = sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}"));
                connection.execute(busy).await?;
            }
            Ok(())
        })
    })
}

fn is_in_memory(url: &str) -> bool {
    url.contains(":memory:") || url.contains("mode=memory")
}

/// SQLite makes the file if it is not there.
fn creating(url: &str) -> String {
    if is_in_memory(url) || url.contains("mode=") {
        return url.to_owned();
    }
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}mode=rwc")
}

/// SQLite's result codes for a damaged file (11) and for a file of another kind (26).
fn classify(error: sqlx::Error) -> OpenError {
    let code = error
        .as_database_error()
        .and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    match code.as_deref() {
        Some("11" | "26") => OpenError::Damaged(error),
        _ => OpenError::Unreachable(error),
    }
}
