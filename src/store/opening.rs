//! How a store is opened: whose database it is, its tables, its connections.

use std::io;
use std::sync::{Arc, LazyLock, Once};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use sqlx::any::AnyConnectOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};
use tokio::time::Instant;

use super::clocks::ClockDifference;
use super::engine::Engine;
use super::files::{self, FileProblem, SharedFile};
use super::place::{Dialect, Place};
use super::{Store, fault, person_key, pool};
use crate::clock::Clock;
use crate::tally::PersonKey;
use crate::telemetry::{self, Causes};

/// The lock of their own would belong to a connection; see [`begin`].
pub(super) static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!();
    migrations.set_locking(false);
    migrations
});

/// The advisory lock under which tables are brought up to date: any number that is always the same, here "wxqr" in ASCII.
const MIGRATION_LOCK: u32 = 0x7778_7172;

/// How long the store is tried at start, so that it may start together with its database.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// The pause after the first try at start, and the longest: each is twice the one before it.
const START_PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// How often the log says at most that the start waits.
const WAITING_IS_TOLD_EVERY: Duration = Duration::from_secs(5);

/// How long a connection may take at start, so that a server that says nothing is not waited for for ever.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Why a store is not opened. No message holds the database's address, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not one.
    #[error("WXQR_DATABASE_URL cannot be used as an address")]
    Address(#[source] fault::AddressProblem),
    /// The database was not reached for as long as the start waits.
    #[error("WXQR_DATABASE_URL: the database cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    /// The file is damaged, or no database.
    #[error("WXQR_DATABASE_URL: the file is damaged or no SQLite database")]
    Damaged(#[source] sqlx::Error),
    /// The file cannot be read and written.
    #[error("WXQR_DATABASE_URL: {0}")]
    File(FileProblem),
    /// The server refuses, and will go on doing so.
    #[error("WXQR_DATABASE_URL: the database refuses: {1}")]
    Refused(fault::Refusal, String),
    /// There are no tables, and none can be made.
    #[error("WXQR_DATABASE_URL: this user may not make tables")]
    NotPermitted,
    /// The database belongs to another program.
    #[error("WXQR_DATABASE_URL: the database holds another program's tables")]
    Foreign,
    /// The database belongs to another WeChat.
    #[error("WXQR_DATABASE_URL: the store holds codes of {held}, but WXQR_API_BASE is {asked}")]
    OtherUpstream {
        /// The WeChat of the codes in the store.
        held: String,
        /// The WeChat that is configured.
        asked: String,
    },
    /// The key from outside is not the one with which the store has named persons.
    #[error("WXQR_PERSON_KEY is not the key with which this store has named its followers")]
    OtherPersonKey {
        /// Whether the database has that key, rather than its fingerprint.
        is_held: bool,
    },
    /// The store has named persons by a key from outside, and there is none.
    #[error("WXQR_PERSON_KEY is missing: this store has named its followers by a key of yours")]
    NoPersonKey,
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

    /// The same as a refusal for good, where it is one.
    pub(super) fn or_for_good(self, place: &Place) -> Self {
        let (Self::Unreachable(cause)
        | Self::Migration(
            MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _),
        )) = &self
        else {
            return self;
        };
        match (place.file(), fault::Refusal::of(cause)) {
            (Some(file), _) if fault::is_of_the_file(cause) => {
                Self::File(FileProblem::explain(file, cause))
            }
            (None, Some(refusal)) => Self::Refused(refusal, cause.to_string()),
            _ => self,
        }
    }

    /// What the owner can do about it.
    pub fn action(&self) -> String {
        let action = match self {
            Self::File(problem) => return problem.action(),
            Self::Refused(refusal, _) => refusal.action(),
            Self::OtherPersonKey { is_held: true } => person_key::USE_THE_HELD_ONE,
            Self::OtherPersonKey { is_held: false } | Self::NoPersonKey => {
                person_key::FIND_IT_OR_BEGIN_ANEW
            }
            Self::Address(_) => {
                "write it as sqlite://FILE, sqlite::memory: or postgres://USER:PASSWORD@HOST/DATABASE"
            }
            Self::Unreachable(_) => {
                "check that the address is right, that the database runs, and that this user may write to it"
            }
            Self::NotPermitted => "let this user own the database",
            Self::Damaged(_) => "move it away or restore a backup",
            Self::Foreign => "give the service one of its own",
            Self::OtherUpstream { .. } => "give each its own database",
            Self::Migration(_) if self.is_passing() => {
                "check that this user may make tables, and look at the database's own log"
            }
            Self::Migration(_) => "run the version that made the tables, or a newer one",
        };
        action.to_owned()
    }
}

impl Store {
    /// Opens the store of an account, and waits half a minute for its database. The key that names persons is the database's.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        url: &SecretString,
        appid: &str,
        upstream: &Upstream,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Self::open_with_key(url, appid, upstream, clock, None).await
    }

    /// The same with a key from outside, if there is one: then the database keeps none. Warns of files that other users may read.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_with_key(
        url: &SecretString,
        appid: &str,
        upstream: &Upstream,
        clock: Arc<dyn Clock>,
        person_key: Option<&PersonKey>,
    ) -> Result<Self, OpenError> {
        let mut waiting = Waiting::new();
        let store = loop {
            let clock = Arc::clone(&clock);
            match Self::open_now(url, appid, upstream, clock, person_key).await {
                Err(error) if error.is_passing() && !waiting.is_over() => {
                    waiting.pause(&error).await;
                }
                opened => break opened?,
            }
        };
        if person_key.is_some() {
            store.drop_held_person_key().await;
        }
        for shared in Self::shared_files(url) {
            let action = shared.action();
            tracing::warn!(action, "{shared}");
        }
        Ok(store)
    }

    /// The same without waiting, and without a change to what is there.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_now(
        url: &SecretString,
        appid: &str,
        upstream: &Upstream,
        clock: Arc<dyn Clock>,
        person_key: Option<&PersonKey>,
    ) -> Result<Self, OpenError> {
        let place = Place::of(url.expose_secret());
        if let Some(problem) = place.file().and_then(FileProblem::find) {
            return Err(OpenError::File(problem));
        }
        let opened = Engine::open(&place, upstream, &*clock, person_key).await;
        let (engine, person_key) = opened.map_err(|error| error.or_for_good(&place))?;
        telemetry::store_up(true);
        Ok(Self {
            engine: Arc::new(engine),
            appid: appid.into(),
            clock,
            person_key,
        })
    }

    /// SQLite's files at an address that other users may read or write. Their modes are left as they are: the owner may want
    /// them so.
    pub fn shared_files(url: &SecretString) -> Vec<SharedFile> {
        let place = Place::of(url.expose_secret());
        place.file().map(SharedFile::find_all).unwrap_or_default()
    }

    /// Lets this process make no file that other users may read, whatever it was started with.
    pub fn keep_new_files_private() {
        files::keep_new_files_private();
    }
}

/// The wait for a database at start: with pauses that grow, and few lines in the log.
struct Waiting {
    deadline: Instant,
    pause: Duration,
    told_at: Option<Instant>,
}

impl Waiting {
    fn new() -> Self {
        Self {
            deadline: Instant::now() + START_PATIENCE,
            pause: START_PAUSES.0,
            told_at: None,
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.deadline
    }

    async fn pause(&mut self, error: &OpenError) {
        if self
            .told_at
            .is_none_or(|told| told.elapsed() >= WAITING_IS_TOLD_EVERY)
        {
            self.told_at = Some(Instant::now());
            tracing::warn!(
                error = %Causes(error),
                action = error.action(),
                "the store is not there yet"
            );
        }
        tokio::time::sleep_until(self.deadline.min(Instant::now() + self.pause)).await;
        self.pause = START_PAUSES.1.min(self.pause * 2);
    }
}

impl Engine {
    async fn open(
        place: &Place,
        upstream: &Upstream,
        clock: &dyn Clock,
        person_key: Option<&PersonKey>,
    ) -> Result<(Self, PersonKey), OpenError> {
        install_drivers();
        if let Some(only_reading) = place.only_reading() {
            inspect(&only_reading).await?;
        }
        let options: AnyConnectOptions = place.url().parse().map_err(classify)?;
        let pool = pool::make(place, options.clone());
        if place.is_memory() {
            let mut connection = pool.acquire().await.map_err(classify)?;
            let person_key = prepare(&mut connection, place, upstream, person_key).await?;
            return Ok((Self::new(pool, place, None), person_key));
        }
        // Not one of the pool's: bringing the tables up to date may take longer than a call.
        let mut connection = connect(&options).await?;
        let person_key = prepare(&mut connection, place, upstream, person_key).await?;
        let clock_difference = compare_clocks(&mut connection, place, clock).await?;
        connection.close().await.map_err(classify)?;
        pool::fill(&pool, place).await.map_err(classify)?;
        Ok((Self::new(pool, place, clock_difference), person_key))
    }
}

/// Makes the two databases known to the driver.
pub(super) fn install_drivers() {
    static DRIVERS: Once = Once::new();
    DRIVERS.call_once(sqlx::any::install_default_drivers);
}

/// Warns where the clocks are too far apart. A file has no clock.
async fn compare_clocks(
    connection: &mut AnyConnection,
    place: &Place,
    clock: &dyn Clock,
) -> Result<Option<ClockDifference>, OpenError> {
    if place.dialect() == Dialect::Sqlite {
        return Ok(None);
    }
    let difference = ClockDifference::measure(connection, clock)
        .await
        .map_err(classify)?;
    if difference.is_too_much() {
        let action = ClockDifference::ACTION;
        tracing::warn!(%difference, action, "the clocks do not agree");
    }
    Ok(Some(difference))
}

pub(super) async fn connect(options: &AnyConnectOptions) -> Result<AnyConnection, OpenError> {
    let connection = AnyConnection::connect_with(options);
    tokio::time::timeout(CONNECT_TIMEOUT, connection)
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
        .map_err(classify)
}

/// Refuses a file that is damaged or another program's, before anything writes to it. One that cannot be looked at, such
/// as a new one, is left to the opening.
async fn inspect(url: &str) -> Result<(), OpenError> {
    let options: AnyConnectOptions = url.parse().map_err(classify)?;
    let looked = async {
        let mut connection = connect(&options).await?;
        refuse_damaged(&mut connection).await?;
        has_tables(&mut connection, Dialect::Sqlite).await?;
        connection.close().await.map_err(classify)
    };
    match looked.await {
        Err(OpenError::Unreachable(_)) => Ok(()),
        result => result,
    }
}

async fn refuse_damaged(connection: &mut AnyConnection) -> Result<(), OpenError> {
    let check = connection.fetch_one("PRAGMA quick_check(1)").await;
    let check = check.map_err(classify)?;
    if check.try_get::<String, _>(0).map_err(classify)? == "ok" {
        return Ok(());
    }
    let found = "quick_check found damage".to_owned();
    Err(OpenError::Damaged(sqlx::Error::Protocol(found)))
}

/// Whether our tables are there. A database with tables, but without ours, is somebody else's. Views do not count, because
/// PostgreSQL's extensions bring some.
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

/// Brings the tables up to date, one process at a time, in one transaction.
async fn prepare(
    connection: &mut AnyConnection,
    place: &Place,
    upstream: &Upstream,
    person_key: Option<&PersonKey>,
) -> Result<PersonKey, OpenError> {
    let begin = AssertSqlSafe(begin(place.dialect()));
    let mut write = connection.begin_with(begin).await.map_err(classify)?;
    has_tables(&mut write, place.dialect()).await?;
    migrate(&mut write).await?;
    claim(&mut write, upstream).await?;
    let person_key = person_key::settle(&mut write, person_key).await?;
    if place.dialect() == Dialect::Postgres {
        write.execute(FORGET_STATEMENTS).await.map_err(classify)?;
    }
    write.commit().await.map_err(classify)?;
    Ok(person_key)
}

/// The driver names the statements of migrations, and a pooler would leave them to whoever gets the connection next.
const FORGET_STATEMENTS: &str = "DEALLOCATE ALL";

/// Lets one process at a time go on. PostgreSQL has a lock for that, which ends with the transaction.
fn begin(dialect: Dialect) -> String {
    match dialect {
        Dialect::Sqlite => "BEGIN IMMEDIATE".to_owned(),
        Dialect::Postgres => {
            format!("BEGIN; {FORGET_STATEMENTS}; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        }
    }
}

async fn migrate(connection: &mut AnyConnection) -> Result<(), OpenError> {
    MIGRATIONS
        .run_direct(None, connection, false)
        .await
        .map_err(|error| OpenError::Migration(without_source_line(error)))
}

fn without_source_line(error: MigrateError) -> MigrateError {
    match error {
        MigrateError::Execute(cause) => MigrateError::Execute(fault::without_source_line(cause)),
        MigrateError::ExecuteMigration(cause, version) => {
            MigrateError::ExecuteMigration(fault::without_source_line(cause), version)
        }
        other => other,
    }
}

/// The first process writes down which WeChat the store belongs to; the others compare.
async fn claim(connection: &mut AnyConnection, upstream: &Upstream) -> Result<(), OpenError> {
    let held = write_down_once(connection, "upstream", &upstream.0)
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

/// Writes something down about the store unless it stands there already. Tells what stands there.
async fn write_down_once(
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

pub(super) fn classify(error: sqlx::Error) -> OpenError {
    let error = fault::without_source_line(error);
    if let sqlx::Error::Configuration(cause) = &error {
        OpenError::Address(fault::AddressProblem::new(&**cause))
    } else if fault::is_damage(&error) {
        OpenError::Damaged(error)
    } else {
        OpenError::Unreachable(error)
    }
}
