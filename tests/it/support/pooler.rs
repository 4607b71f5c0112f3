//! PgBouncer before the PostgreSQL server of the tests, in the mode in which a connection is lent
//! for one transaction.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, Connection as _, Executor as _, Row as _};
use tempfile::TempDir;
use url::Url;

use super::database::{Database, is_root};
use super::skip::skip;
use super::{closed_port, eventually_async};

/// With this variable set, a machine without PgBouncer fails the tests instead of skipping them.
const REQUIRE: &str = "REQUIRE_PGBOUNCER";

/// Where Debian has it.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// The server's connections, fewer than those of two replicas.
pub(crate) const POOL_SIZE: usize = 3;

/// A pooler with a database of its own behind it. It ends when it is dropped.
pub(crate) struct Pooler {
    /// The database's address as the pooler has it.
    pub(crate) url: String,
    process: Child,
    _folder: TempDir,
    _database: Database,
}

impl Pooler {
    /// What the driver asks of every new connection, and PgBouncer does not know.
    pub(crate) const TAKES_THE_DRIVER: &str = "ignore_startup_parameters = extra_float_digits";

    /// Starts one; none where PostgreSQL or PgBouncer is missing, which is said. `settings` are
    /// lines of its configuration.
    pub(crate) async fn start(settings: &str) -> Option<Self> {
        Self::start_with("", settings).await
    }

    /// Starts one with more databases: lines of that section, in which `{server}` is where all of
    /// them are.
    pub(crate) async fn start_with(databases: &str, settings: &str) -> Option<Self> {
        if !Path::new(PROGRAM).exists() {
            skip("PgBouncer is not installed", REQUIRE);
            return None;
        }
        let database = Database::postgres().await?;
        let server = Url::parse(&database.url).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = closed_port().port();
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, configuration(&server, port, databases, settings)).unwrap();
        let mut command = Command::new(PROGRAM);
        if is_root() {
            // It refuses to be root.
            let mut chown = Command::new("chown");
            chown.args(["-R", "postgres"]).arg(folder.path());
            assert!(chown.status().unwrap().success());
            command.args(["-u", "postgres"]);
        }
        let process = command.arg(&file).stderr(Stdio::null()).spawn().unwrap();
        let mut url = server;
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(port)).unwrap();
        let pooler = Self {
            url: url.into(),
            process,
            _folder: folder,
            _database: database,
        };
        install_default_drivers();
        eventually_async("the pooler listens", || async {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        })
        .await;
        Some(pooler)
    }

    /// How many prepared statements the server's connections have kept for the next client.
    pub(crate) async fn kept_statements(&self) -> i64 {
        let mut kept = 0;
        let mut clients = Vec::new();
        // Each in a transaction, so that each gets another connection.
        for _ in 0..POOL_SIZE {
            let mut client = AnyConnection::connect(&self.url).await.unwrap();
            client.execute("BEGIN").await.unwrap();
            let count = "SELECT COUNT(*) FROM pg_prepared_statements";
            let counted = client.fetch_one(count).await.unwrap();
            kept += counted.get::<i64, _>(0);
            clients.push(client);
        }
        kept
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The name of the database is that of the one behind it.
fn configuration(server: &Url, port: u16, databases: &str, settings: &str) -> String {
    let (host, server_port) = (server.host_str().unwrap(), server.port().unwrap_or(5432));
    let (name, user) = (&server.path()[1..], server.username());
    let password = server.password().unwrap_or_default();
    let password = if password.is_empty() {
        String::new()
    } else {
        format!("password={password}")
    };
    let at = format!("host={host} port={server_port}");
    let databases = databases.replace("{server}", &at);
    format!(
        "[databases]
{name} = {at} user={user} {password}
{databases}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {POOL_SIZE}
{settings}
"
    )
}
