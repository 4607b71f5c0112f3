//! Databases of a test's own: a file, one on the PostgreSQL server that was named, or a server that
//! can be stopped.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;
use wxqr::app::Stores;
use wxqr::clock::SystemClock;
use wxqr::db::UpstreamIdentity;

use super::app::APP_ID;
use super::pooler::Pooler;
use super::skip::skip;

/// With this variable set, a machine without PostgreSQL fails the tests instead of skipping them.
const REQUIRE: &str = "REQUIRE_POSTGRES";

/// Where PostgreSQL's own programs are looked for, the newest first.
const DEBIAN_PROGRAMS: &str = "/usr/lib/postgresql";

/// As long as a page of SQLite.
const NOISE: [u8; 4096] = [0xa5; 4096];

/// A database that goes when it is dropped.
pub(crate) struct Database {
    pub(crate) url: String,
    _kept: Kept,
}

/// What must outlive the database's users, and removes it after them.
enum Kept {
    Nothing,
    Folder { _folder: TempDir },
    OnServer { _database: OnServer },
    BehindPooler { _pooler: Box<Pooler> },
}

struct OnServer {
    server: String,
    name: String,
    _permit: SemaphorePermit<'static>,
}

/// How many tests use the server at once, however many cores there are: each opens some forty of
/// PostgreSQL's default of a hundred connections.
static SERVER_PERMITS: Semaphore = Semaphore::const_new(2);

impl Database {
    /// An SQLite file that is not there yet.
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("wxqr.db").display());
        Self {
            url,
            _kept: Kept::Folder { _folder: folder },
        }
    }

    /// SQLite in memory: there as long as one handle is.
    pub(crate) fn memory() -> Self {
        Self {
            url: "sqlite::memory:".to_owned(),
            _kept: Kept::Nothing,
        }
    }

    /// A new database on the server of `TEST_DATABASE_URL`; none where the variable is not set,
    /// which is said.
    pub(crate) async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var("TEST_DATABASE_URL") else {
            skip("TEST_DATABASE_URL is not set", REQUIRE);
            return None;
        };
        Some(Self::on_server(&server).await)
    }

    /// A new database on that server, reached through a pooler; none where one of the two is
    /// missing, which is said.
    pub(crate) async fn pooled() -> Option<Self> {
        let pooler = Pooler::start(Pooler::TAKES_THE_DRIVER).await?;
        Some(Self {
            url: pooler.url.clone(),
            _kept: Kept::BehindPooler {
                _pooler: Box::new(pooler),
            },
        })
    }

    /// One that processes can share, and its engine: PostgreSQL where there is a server, else a
    /// file.
    pub(crate) async fn shared() -> (Self, &'static str) {
        match std::env::var("TEST_DATABASE_URL") {
            Ok(server) => (Self::on_server(&server).await, "PostgreSQL"),
            Err(_) => (Self::sqlite(), "SQLite"),
        }
    }

    async fn on_server(server: &str) -> Self {
        let permit = SERVER_PERMITS.acquire().await.unwrap();
        let name = format!("wxqr_{}", Uuid::now_v7().simple());
        run_sql(server, &format!("CREATE DATABASE {name}")).await;
        let mut url = url::Url::parse(server).unwrap();
        url.set_path(&name);
        let database = OnServer {
            server: server.to_owned(),
            name,
            _permit: permit,
        };
        Self {
            url: url.into(),
            _kept: Kept::OnServer {
                _database: database,
            },
        }
    }

    /// Its stores, as a second replica of the tests' service opens it.
    pub(crate) async fn store(&self) -> Stores {
        store_at(&self.url).await
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// The file of an SQLite database.
    pub(crate) fn file(&self) -> PathBuf {
        self.url.strip_prefix("sqlite://").unwrap().into()
    }

    /// Changes the database behind its users' back.
    pub(crate) async fn run(&self, sql: &str) {
        let create = if self.url.starts_with("sqlite") {
            "?mode=rwc"
        } else {
            ""
        };
        run_sql(&format!("{}{create}", self.url), sql).await;
    }

    /// Fills pages of SQLite's file that an opening does not read.
    pub(crate) async fn fill_with_tickets(&self) {
        self.run(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO ticket SELECT 'wxtest', 'ticket-' || i, 'QR_SCENE', i, i FROM n",
        )
        .await;
    }

    /// Overwrites a leaf of a table or index with noise. The file must not be open elsewhere.
    pub(crate) async fn damage_a_page_of(&self, tree: &str) {
        self.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
        let mut connection = self.lock(&[]).await;
        let page = sqlx::query("SELECT pageno FROM dbstat WHERE name = $1 AND pagetype = 'leaf'")
            .bind(tree)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let offset = (page.get::<i64, _>(0).cast_unsigned() - 1) * NOISE.len() as u64;
        let file = std::fs::File::options().write(true).open(self.file());
        file.unwrap().write_all_at(&NOISE, offset).unwrap();
    }

    /// The text that a statement finds, if any.
    pub(crate) async fn text(&self, sql: &str) -> Option<String> {
        let mut connection = self.lock(&[]).await;
        let sql = AssertSqlSafe(sql.to_owned());
        let found = connection.fetch_optional(sql).await.unwrap();
        connection.close().await.unwrap();
        found.map(|row| row.get(0))
    }

    /// Another client's transaction, which holds the locks of these statements until it is dropped.
    pub(crate) async fn lock(&self, statements: &[&str]) -> AnyConnection {
        install_default_drivers();
        let mut connection = AnyConnection::connect(&self.url).await.unwrap();
        for statement in statements {
            let statement = AssertSqlSafe((*statement).to_owned());
            connection.execute(statement).await.unwrap();
        }
        connection
    }

    /// From now on PostgreSQL lets the database's users only read, or write again.
    pub(crate) async fn make_read_only(&self, is_read_only: bool) {
        let name = self.url.rsplit('/').next().unwrap();
        let set =
            format!("ALTER DATABASE {name} SET default_transaction_read_only = {is_read_only}");
        // It holds for new connections.
        let end_the_others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        let off = "SET default_transaction_read_only = off";
        self.lock(&[off, &set, end_the_others]).await;
    }
}

impl Drop for OnServer {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        // A drop cannot wait for the test's runtime.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(run_sql(
                &server,
                &format!("DROP DATABASE {name} WITH (FORCE)"),
            ));
        });
        dropping.join().ok();
    }
}

/// The stores of the database at an address, as a second replica of the tests' service opens it.
pub(crate) async fn store_at(url: &str) -> Stores {
    let upstream = UpstreamIdentity::of_host("127.0.0.1");
    let opened = Stores::open(&url.into(), APP_ID, &upstream, Arc::new(SystemClock), None).await;
    opened.unwrap()
}

pub(crate) async fn run_sql(url: &str, sql: &str) {
    install_default_drivers();
    let mut connection = AnyConnection::connect(url).await.unwrap();
    connection
        .execute(AssertSqlSafe(sql.to_owned()))
        .await
        .unwrap();
    connection.close().await.unwrap();
}

/// A PostgreSQL server that a test may stop. It ends when it is dropped.
pub(crate) struct Cluster {
    programs: PathBuf,
    folder: TempDir,
    port: u16,
}

impl Cluster {
    /// Makes and starts one; none where PostgreSQL's programs are not there, which is said.
    pub(crate) fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skip("PostgreSQL's initdb is not installed", REQUIRE);
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let cluster = Self {
            programs,
            folder,
            port: super::closed_port().port(),
        };
        if is_root() {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(cluster.folder.path())
                .status();
            assert!(owned.unwrap().success());
        }
        let data = cluster.data();
        let initdb = ["-D", &data, "-A", "trust", "-U", "postgres", "-N"];
        cluster.program("initdb", &initdb);
        cluster.resume();
        Some(cluster)
    }

    /// The address of its first database.
    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }

    /// Ends it as a crash would: without closing connections.
    pub(crate) fn stop(&self) {
        self.program("pg_ctl", &["-D", &self.data(), "-m", "immediate", "stop"]);
    }

    /// Starts it, and waits until it is there.
    pub(crate) fn resume(&self) {
        let folder = self.folder.path().display();
        let options = format!("-p {} -k {folder} -c listen_addresses=127.0.0.1", self.port);
        let log = format!("{folder}/log");
        let start = [
            "-D",
            &self.data(),
            "-o",
            &options,
            "-l",
            &log,
            "-w",
            "start",
        ];
        self.program("pg_ctl", &start);
    }

    /// Dumps its first database to a file, as the operator's guide does.
    pub(crate) fn dump(&self) {
        let dump = ["-Fc", "-f", &self.dumped(), "postgres"];
        self.client_program("pg_dump", &dump);
    }

    /// Loads the dump into a new database, as the guide does, and returns its address.
    pub(crate) fn restore(&self) -> String {
        self.client_program("createdb", &["restored"]);
        let restore = ["-d", "restored", "--exit-on-error", &self.dumped()];
        self.client_program("pg_restore", &restore);
        self.url().replace("/postgres?", "/restored?")
    }

    fn dumped(&self) -> String {
        self.folder.path().join("wxqr.dump").display().to_string()
    }

    /// Runs a program that connects to the server.
    fn client_program(&self, name: &str, arguments: &[&str]) {
        let port = self.port.to_string();
        let server = ["-h", "127.0.0.1", "-p", &port, "-U", "postgres"];
        self.program(name, &[&server[..], arguments].concat());
    }

    /// Sets the login rules of this address, in the syntax of `pg_hba.conf`.
    pub(crate) fn admit(&self, rules: &str) {
        std::fs::write(Path::new(&self.data()).join("pg_hba.conf"), rules).unwrap();
        self.program("pg_ctl", &["-D", &self.data(), "-m", "fast", "stop"]);
        self.resume();
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    /// PostgreSQL does not run as root.
    fn program(&self, name: &str, arguments: &[&str]) {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        // Not captured: the server that pg_ctl starts would hold the pipe open.
        let status = command
            .args(arguments)
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status();
        assert!(status.unwrap().success(), "{name} {arguments:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if Path::new(&self.data()).join("postmaster.pid").exists() {
            self.stop();
        }
    }
}

fn programs() -> Option<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(DEBIAN_PROGRAMS)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|programs| programs.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout == b"0\n"
}
