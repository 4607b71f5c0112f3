//! What a database must be for the service to start with it.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use wxqr::app::Stores;
use wxqr::clock::{Clock, SystemClock};
use wxqr::codes::CLOCK_TOLERANCE;
use wxqr::db::OpenError;

use super::codes::begin_anonymous_mint;
use super::contract::{APP_ID, for_a_while, open, temporary};
use crate::support::database::Database;
use crate::support::log::Log;
use crate::support::{TIMEOUT, closed_port};

/// A clock that is an hour fast.
#[derive(Debug)]
struct Ahead;

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        SystemClock.now() + Duration::from_hours(1)
    }
}

async fn databases() -> Vec<Database> {
    [Some(Database::sqlite()), Database::postgres().await]
        .into_iter()
        .flatten()
        .collect()
}

/// Opens it as a service whose WeChat is at a host.
async fn open_at(database: &Database, host: &str) -> Result<Stores, OpenError> {
    open(&database.url, APP_ID, host, Arc::new(SystemClock)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_belongs_to_one_wechat_and_weixins_hosts_are_one() {
    for database in databases().await {
        open_at(&database, "api.weixin.qq.com").await.unwrap();
        for host in [
            "api2.weixin.qq.com",
            "sh.api.weixin.qq.com",
            "weixin.qq.com",
        ] {
            assert!(open_at(&database, host).await.is_ok(), "{host}");
        }
        for host in [
            "127.0.0.1",
            "evilweixin.qq.com",
            "weixin.qq.com.example.org",
        ] {
            let error = open_at(&database, host).await.unwrap_err();
            assert!(
                matches!(error, OpenError::OtherUpstream { .. }),
                "{host}: {error:?}"
            );
            assert!(error.is_configuration());
            assert!(error.to_string().contains(host), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_programs_tables_are_refused_and_left_alone() {
    for database in databases().await {
        database.run("CREATE TABLE theirs (a INT)").await;
        let is_file = database.url.starts_with("sqlite");
        let before = is_file.then(|| fs::read(database.file()).unwrap());
        let error = open_at(&database, "test").await.unwrap_err();
        assert!(matches!(error, OpenError::Foreign), "{error:?}");
        assert!(error.is_configuration());
        let after = is_file.then(|| fs::read(database.file()).unwrap());
        assert_eq!(before, after, "not a byte is changed");
        database.run("DROP TABLE theirs").await;
        assert!(
            open_at(&database, "test").await.is_ok(),
            "an empty database is taken"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_extensions_view_is_no_foreign_table() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    database
        .run("CREATE VIEW pg_stat_something AS SELECT 1 AS one")
        .await;
    assert!(open_at(&database, "test").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_at_once_and_left_alone() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 3] = [
        ("no database", |file| {
            *file = b"this is no database".repeat(100);
        }),
        ("no header", |file| file[..100].fill(0)),
        ("half of it", |file| file.truncate(file.len() / 2)),
    ];
    for (what, damage) in damages {
        let database = Database::sqlite();
        let store = open_at(&database, "test").await.unwrap();
        store
            .codes
            .save(
                &temporary(1),
                &Arc::new(for_a_while("t", SystemClock.now(), 60)),
            )
            .await
            .unwrap();
        drop(store);
        // Whatever is still in the log beside the file goes into the file.
        database.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(format!("{}{suffix}", database.file().display())).ok();
        }
        let mut file = fs::read(database.file()).unwrap();
        damage(&mut file);
        fs::write(database.file(), &file).unwrap();

        let started = std::time::Instant::now();
        let error = open_at(&database, "test").await.unwrap_err();
        assert!(matches!(error, OpenError::Damaged(_)), "{what}: {error:?}");
        assert!(error.is_configuration());
        assert!(
            started.elapsed() < TIMEOUT,
            "{what}: {:?}",
            started.elapsed()
        );
        assert_eq!(fs::read(database.file()).unwrap(), file, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_none_is_refused_at_once() {
    for url in ["postgres://localhost:port/x", "postgres://user:secret@[/x"] {
        let error = open(url, APP_ID, "test", Arc::new(SystemClock))
            .await
            .unwrap_err();
        assert!(matches!(error, OpenError::Address(_)), "{url}: {error:?}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test]
async fn clock_skew_is_logged() {
    let right: Arc<dyn Clock> = Arc::new(SystemClock);
    for (clock, is_wrong) in [(right, false), (Arc::new(Ahead), true)] {
        for database in databases().await {
            let log = Log::default();
            let store = {
                let _guard = log.listen();
                open(&database.url, APP_ID, "test", clock.clone()).await
            };
            let difference = store.unwrap().database.clock_difference();
            let is_server = database.url.starts_with("postgres");
            let logged = difference.is_some_and(|it| it.exceeds(CLOCK_TOLERANCE));
            assert_eq!(difference.is_some(), is_server, "a file has no clock");
            assert_eq!(logged, is_server && is_wrong, "{difference:?}");
            let line = "s ahead of the database's";
            assert_eq!(log.text().contains(line), logged, "{}", log.text());
            let warns = log.text().contains("the clocks differ");
            assert_eq!(warns, logged, "{}", log.text());
        }
    }
}

/// With the clock of the runtime, which waits for nothing.
#[tokio::test(start_paused = true)]
async fn the_wait_for_a_server_is_logged_rarely() {
    let log = Log::default();
    let _guard = log.listen();
    let url = format!("postgres://user:secret@{}/x", closed_port());
    let started = tokio::time::Instant::now();
    let opened = open(&url, APP_ID, "test", Arc::new(SystemClock)).await;
    assert!(
        matches!(opened, Err(OpenError::Unreachable(_))),
        "{opened:?}"
    );
    assert!(started.elapsed() >= Duration::from_secs(30));
    let logged = log.text().matches("the database is not ready yet").count();
    assert!((2..=7).contains(&logged), "{logged}: {}", log.text());
    assert!(!log.text().contains("secret"), "{}", log.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a:memory:b&mode=memory");
    let url = format!("sqlite://{}", file.display());
    let scene = temporary(7);
    let saved = for_a_while("kept", SystemClock.now(), 60);
    for known in [None, Some("kept".to_owned())] {
        let store = open(&url, APP_ID, "test", Arc::new(SystemClock))
            .await
            .unwrap();
        let found = store.codes.find(&scene).await.unwrap();
        assert_eq!(found.map(|code| code.ticket.as_str().to_owned()), known);
        store.codes.save(&scene, &saved).await.unwrap();
    }
    assert!(file.exists());
}

/// Has a database note the settings of each transaction that takes a lease or writes a ticket.
const NOTE_SETTINGS: &str = "CREATE TABLE noted (settings TEXT NOT NULL);
    CREATE FUNCTION note_settings() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO noted VALUES (current_setting('transaction_isolation') || ', sync ' || current_setting('synchronous_commit'));
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_settings AFTER INSERT ON lease FOR EACH ROW EXECUTE FUNCTION note_settings();
    CREATE TRIGGER note_settings AFTER INSERT ON ticket FOR EACH ROW EXECUTE FUNCTION note_settings()";

#[tokio::test(flavor = "multi_thread")]
async fn defaults_of_the_server_do_not_weaken_what_is_written() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let name = database.url.rsplit('/').next().unwrap();
    for (sync, want) in [("off", "local"), ("remote_write", "remote_write")] {
        for (setting, value) in [
            ("default_transaction_isolation", "serializable"),
            ("synchronous_commit", sync),
        ] {
            let set = format!("ALTER DATABASE {name} SET {setting} = '{value}'");
            database.run(&set).await;
        }
        let store = database.store().await;
        if sync == "off" {
            database.run(NOTE_SETTINGS).await;
        }
        let code = for_a_while(sync, SystemClock.now(), 60);
        store.codes.save(&temporary(7), &code).await.unwrap();
        let lease = begin_anonymous_mint(&store, 10).await.unwrap().unwrap();
        lease.release().await;
        store.database.close().await;
        let noted = database
            .text("SELECT string_agg(settings, ';') FROM noted")
            .await;
        let want = format!("read committed, sync {want}");
        assert_eq!(noted, Some(format!("{want};{want}")));
        database.run("TRUNCATE noted").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_a_new_database_at_once() {
    for database in databases().await {
        let started = std::time::Instant::now();
        let opened = join_all((0..5).map(|_| open_at(&database, "test"))).await;
        for store in opened {
            store.unwrap().database.ping().await.unwrap();
        }
        assert!(started.elapsed() < TIMEOUT, "{:?}", started.elapsed());
    }
}
