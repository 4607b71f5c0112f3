//! Opening a database: whose it is, migrations, connections.

use std::io;
use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, ConnectOptions as _, Connection, Executor, Row};
use tokio::time::Instant;

use super::clocks::ClockDifference;
use super::connections::Connections;
use super::database::Database;
use super::driver_error;
use super::files::{self, ExposedFile, FileProblem};
use super::health::Health;
use super::open_error::{OpenError, classify};
use super::pool;
use super::transaction::{BEGIN_WRITE, SYNC_COMMITS};
use super::url::{DatabaseUrl, Dialect};
use super::write_connection::WriteConnection;
use super::writer::Writer;
use crate::clock::Clock;
use crate::telemetry::{self, Causes, RateLimitedLog};

/// Without their own lock, which would belong to a connection; see [`begin`].
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!();
    migrations.set_locking(false);
    migrations
});

/// The advisory lock of a migration: any number that is always the same, here "wxqr" in ASCII.
pub(super) const MIGRATION_LOCK: u32 = 0x7778_7172;

/// How long opening is retried at start, so that the service may start together with its database.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// The first and the longest pause between two tries; each is twice the one before it.
const START_PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// How often the log says at most that the database is not there yet.
const WAITING_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection may take at start.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The API host whose codes a database holds: WeChat's, or that of a sandbox. Codes of the sandbox
/// must never pass for real ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamIdentity(String);

impl UpstreamIdentity {
    /// Identifies WeChat by the API host: all hosts under `weixin.qq.com` are one.
    pub fn of_host(host: &str) -> Self {
        let real = host == "weixin.qq.com" || host.ends_with(".weixin.qq.com");
        Self(if real { "weixin.qq.com" } else { host }.to_owned())
    }
}

/// The connection of the transaction that brings the tables up to date.
pub(crate) type MigrationConnection = AnyConnection;

/// What a feature does in the transaction that brings the tables up to date, so that its refusal
/// leaves the database as it was.
pub(crate) type MigrationHook<'a, T> = dyn for<'c> Fn(&'c mut MigrationConnection) -> BoxFuture<'c, Result<T, OpenError>>
    + Send
    + Sync
    + 'a;

impl Database {
    /// Opens an account's database, and waits half a minute for it. Warns of files that other users
    /// may read.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        url: &SecretString,
        appid: &str,
        upstream: &UpstreamIdentity,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let opened = Self::open_with(url, appid, upstream, clock, &|_| Box::pin(async { Ok(()) }));
        Ok(opened.await?.0)
    }

    /// Opens, and runs what a feature has to do before the tables are used.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) async fn open_with<T>(
        url: &SecretString,
        appid: &str,
        upstream: &UpstreamIdentity,
        clock: Arc<dyn Clock>,
        hook: &MigrationHook<'_, T>,
    ) -> Result<(Self, T), OpenError> {
        let mut retry = StartRetry::new();
        let opened = loop {
            let clock = Arc::clone(&clock);
            match Self::open_now_with(url, appid, upstream, clock, hook).await {
                Err(error) if error.is_transient() && !retry.is_over() => {
                    retry.pause(&error).await;
                }
                opened => break opened?,
            }
        };
        for exposed in Self::exposed_files(url) {
            let action = exposed.action();
            tracing::warn!(action, "{exposed}");
        }
        Ok(opened)
    }

    /// Like [`Database::open_with`], in one try and without a warning.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) async fn open_now_with<T>(
        url: &SecretString,
        appid: &str,
        upstream: &UpstreamIdentity,
        clock: Arc<dyn Clock>,
        hook: &MigrationHook<'_, T>,
    ) -> Result<(Self, T), OpenError> {
        let url = DatabaseUrl::new(url.expose_secret());
        if let Some(problem) = url.file().and_then(FileProblem::find) {
            return Err(OpenError::File(problem));
        }
        let appid = Arc::<str>::from(appid);
        let opened = open_connections(&url, &appid, upstream, &*clock, hook).await;
        let (connections, settled) = opened.map_err(|error| error.or_permanent(&url))?;
        telemetry::store_up(true);
        telemetry::store_damaged(false);
        Ok((Self::new(connections, clock), settled))
    }

    /// Finds SQLite's files that other users may read or write. Their modes are left as they are:
    /// the owner may want them so.
    pub fn exposed_files(url: &SecretString) -> Vec<ExposedFile> {
        let url = DatabaseUrl::new(url.expose_secret());
        url.file().map(ExposedFile::find_all).unwrap_or_default()
    }

    /// Sets the process's umask, so that it creates no file that other users may read.
    pub fn keep_new_files_private() {
        files::keep_new_files_private();
    }
}

/// Retries with backoff at start, and few lines in the log.
struct StartRetry {
    deadline: Instant,
    pause: Duration,
    log: RateLimitedLog,
}

impl StartRetry {
    fn new() -> Self {
        Self {
            deadline: Instant::now() + START_TIMEOUT,
            pause: START_PAUSES.0,
            log: RateLimitedLog::default(),
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    async fn pause(&mut self, error: &OpenError) {
        if self.log.due(WAITING_LOG_INTERVAL).is_some() {
            tracing::warn!(
                error = %Causes(error),
                action = error.action(),
                "the database is not ready yet"
            );
        }
        tokio::time::sleep_until(self.deadline.min(Instant::now() + self.pause)).await;
        self.pause = START_PAUSES.1.min(self.pause * 2);
    }
}

async fn open_connections<T>(
    url: &DatabaseUrl,
    appid: &Arc<str>,
    upstream: &UpstreamIdentity,
    clock: &dyn Clock,
    hook: &MigrationHook<'_, T>,
) -> Result<(Connections, T), OpenError> {
    install_drivers();
    if let Some(read_only) = url.read_only() {
        inspect(&read_only).await?;
    }
    let options: AnyConnectOptions = url.url().parse().map_err(classify)?;
    // The driver logs a slow statement with its text, which may hold values.
    let options = options.disable_statement_logging();
    let pool = pool::make(url, options.clone());
    let health = Arc::new(Health::up());
    let writing = WriteConnection::new(url, options.clone(), &pool, Arc::clone(appid));
    // Not one of the pool's: a migration may take longer than a call.
    let mut connection = connect(&options).await?;
    let settled = prepare(&mut connection, url, upstream, hook).await?;
    if url.is_memory() {
        let writer = Writer::start(writing, Arc::clone(&health)).await;
        let writer = writer.map_err(classify)?;
        let connections = Connections::new(pool, writer, health, url, Arc::clone(appid), None);
        return Ok((connections.anchored_by(connection), settled));
    }
    let clock_difference = clock_difference(&mut connection, url, clock).await?;
    connection.close().await.map_err(classify)?;
    pool::fill(&pool, url).await.map_err(classify)?;
    let writer = Writer::start(writing, Arc::clone(&health)).await;
    let writer = writer.map_err(classify)?;
    let appid = Arc::clone(appid);
    let connections = Connections::new(pool, writer, health, url, appid, clock_difference);
    Ok((connections, settled))
}

/// Registers both databases with the driver, once.
pub(super) fn install_drivers() {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
}

/// Measures the clock difference to the server; none for a file, which has no clock.
async fn clock_difference(
    connection: &mut AnyConnection,
    url: &DatabaseUrl,
    clock: &dyn Clock,
) -> Result<Option<ClockDifference>, OpenError> {
    if url.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let measured = ClockDifference::measure(connection, clock).await;
    measured.map(Some).map_err(classify)
}

pub(super) async fn connect(options: &AnyConnectOptions) -> Result<AnyConnection, OpenError> {
    let connection = AnyConnection::connect_with(options);
    tokio::time::timeout(CONNECT_TIMEOUT, connection)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        .map_err(classify)
}

/// Refuses a file that is no database or another program's, before anything writes to it. One that
/// cannot be read, such as a new one, is left to the opening. Damage in the middle of a file is
/// found later, by the integrity check.
async fn inspect(url: &str) -> Result<(), OpenError> {
    let options: AnyConnectOptions = url.parse().map_err(classify)?;
    let looked = async {
        let mut connection = connect(&options).await?;
        has_tables(&mut connection, Dialect::Sqlite).await?;
        connection.close().await.map_err(classify)
    };
    match looked.await {
        Err(OpenError::Unreachable(_)) => Ok(()),
        result => result,
    }
}

/// Whether our tables are there. A database with other tables only is another program's. Views do
/// not count, because PostgreSQL's extensions bring some.
pub(super) async fn has_tables(
    connection: &mut AnyConnection,
    dialect: Dialect,
) -> Result<bool, OpenError> {
    let list = match dialect {
        Dialect::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        }
        Dialect::Postgres => {
            "SELECT table_name::text AS name FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'"
        }
    };
    let rows = connection.fetch_all(list).await.map_err(classify)?;
    let names = rows.iter().map(|row| row.try_get::<String, _>("name"));
    let names = names.collect::<Result<Vec<_>, _>>().map_err(classify)?;
    let ours = names.iter().any(|name| name == "_sqlx_migrations");
    if names.is_empty() || ours {
        Ok(ours)
    } else {
        Err(OpenError::Foreign)
    }
}

/// Brings the tables up to date and checks whose they are, one process at a time, in one
/// transaction.
async fn prepare<T>(
    connection: &mut AnyConnection,
    url: &DatabaseUrl,
    upstream: &UpstreamIdentity,
    hook: &MigrationHook<'_, T>,
) -> Result<T, OpenError> {
    let begin = AssertSqlSafe(begin(url.dialect()));
    let mut write = connection.begin_with(begin).await.map_err(classify)?;
    has_tables(&mut write, url.dialect()).await?;
    migrate(&mut write).await?;
    check_upstream(&mut write, upstream).await?;
    let settled = hook(&mut write).await?;
    if url.dialect() == Dialect::Postgres {
        write.execute(FORGET_STATEMENTS).await.map_err(classify)?;
    }
    write.commit().await.map_err(classify)?;
    Ok(settled)
}

/// The driver names the statements of migrations, and a pooler would leave them to the connection's
/// next user.
pub(super) const FORGET_STATEMENTS: &str = "DEALLOCATE ALL";

/// Begins a transaction that one process at a time gets. PostgreSQL has a lock for that, which ends
/// with the transaction.
pub(super) fn begin(dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => "BEGIN IMMEDIATE".to_owned(),
        Dialect::Postgres => {
            format!(
                "{BEGIN_WRITE}; {SYNC_COMMITS}; {FORGET_STATEMENTS}; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"
            )
        }
    }
}

pub(super) async fn migrate(connection: &mut AnyConnection) -> Result<(), OpenError> {
    MIGRATIONS
        .run_direct(None, connection, false)
        .await
        .map_err(|error| match error {
            MigrateError::VersionMissing(version) => OpenError::Newer(version),
            error => OpenError::Migration(without_source_line(error)),
        })
}

fn without_source_line(error: MigrateError) -> MigrateError {
    match error {
        MigrateError::Execute(cause) => {
            MigrateError::Execute(driver_error::without_source_line(cause))
        }
        MigrateError::ExecuteMigration(cause, version) => {
            MigrateError::ExecuteMigration(driver_error::without_source_line(cause), version)
        }
        other => other,
    }
}

/// Records which WeChat a new database belongs to, and refuses one of another WeChat.
async fn check_upstream(
    connection: &mut AnyConnection,
    upstream: &UpstreamIdentity,
) -> Result<(), OpenError> {
    let held = insert_once(connection, "upstream", &upstream.0)
        .await
        .map_err(classify)?;
    if held == upstream.0 {
        return Ok(());
    }
    Err(OpenError::OtherUpstream {
        held,
        asked: upstream.0.clone(),
    })
}

/// Inserts a value into `about` unless there is one, and returns the one that is there.
async fn insert_once(
    connection: &mut AnyConnection,
    name: &str,
    value: &str,
) -> Result<String, sqlx::Error> {
    sqlx::query("INSERT INTO about (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(value)
        .execute(&mut *connection)
        .await?;
    sqlx::query("SELECT value FROM about WHERE name = $1")
        .bind(name)
        .fetch_one(connection)
        .await?
        .try_get(0)
}
