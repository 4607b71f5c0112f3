//! `wxqr copy`: both engines hold the same rows afterwards, by an independent script's digest, or
//! the target holds nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use sqlx::Connection as _;

use crate::support::database::{Cluster, Database, run_sql, store_at};
use crate::support::files::path;
use crate::support::fleet::Upstream;
use crate::support::process::{Output, Process, run};
use crate::support::skip::skip;

/// Rows with all that a type can hold, and with what a statement or a script could trip over.
const HARD: &str = r#"
    INSERT INTO code (appid, kind, scene, ticket, url, minted_at, asked, granted, expires_at, label,
        group_name, label_sort, folded_names)
    VALUES ('wxtest', 'QR_STR_SCENE', 'a''b"c\d%s$1?', 'ticket', 'http://x/?a=1&b=2', 0,
        -9223372036854775807, 9223372036854775807, -1, '', '🎪 店
铺	é', LABEL, '\x00'),
    ('wxtest', 'QR_LIMIT_SCENE', '1', NULL, NULL, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"#;

async fn copy(from: &str, to: &str) -> Output {
    run(&["copy", "--from", from, "--to", to], &[]).await
}

/// What the independent script says of a database; none where a program for it is not installed,
/// which is said.
fn digest(url: &str) -> Option<String> {
    for (program, require) in [("python3", "REQUIRE_PYTHON"), ("psql", "REQUIRE_POSTGRES")] {
        if Command::new(program).arg("--version").output().is_err() {
            skip(&format!("{program} is not installed"), require);
            return None;
        }
    }
    let mut script = Command::new("python3");
    let output = script.arg(path("tests/store/digest.py")).arg(url).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

/// A database with rows in several batches. Nothing uses it.
async fn filled() -> Database {
    let database = Database::sqlite();
    database.store().await.database.close().await;
    database.fill_with_tickets().await;
    database.run(&HARD.replace("LABEL", "x'00ff5c27'")).await;
    database
}

async fn close_database(url: &str) {
    store_at(url).await.database.close().await;
}

fn url_in(folder: &Path, name: &str) -> String {
    format!("sqlite://{}", folder.join(name).display())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_hold_the_same_rows() {
    let Some(postgres) = Database::postgres().await else {
        return;
    };
    let source = filled().await;
    let Some(want) = digest(&source.url) else {
        return;
    };
    assert!(
        want.contains("ticket 2000 ") && want.contains("code 2 "),
        "{want}"
    );
    let there = copy(&source.url, &postgres.url).await;
    assert_eq!(
        (there.status, there.stdout.as_str()),
        (0, want.as_str()),
        "{there:?}"
    );
    assert_eq!(digest(&postgres.url).as_deref(), Some(want.as_str()));

    let folder = tempfile::tempdir().unwrap();
    // Such a name must not become a part of the address.
    let back = url_in(folder.path(), "a%3Fb.db");
    let output = copy(&postgres.url, &back).await;
    assert_eq!(
        (output.status, output.stdout.as_str()),
        (0, want.as_str()),
        "{output:?}"
    );
    assert_eq!(digest(&back), Some(want));
    let files = fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["a?b.db"]);
    // Both are databases of the service.
    close_database(&back).await;
    close_database(&postgres.url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_holds_something_is_left_as_it_is() {
    let source = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.db");
    fs::write(&file, "precious").unwrap();
    let output = copy(&source.url, &url_in(folder.path(), "file.db")).await;
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("file.db exists"), "{output:?}");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    let itself = copy(&source.url, &source.url).await;
    assert_eq!(itself.status, 1, "{itself:?}");

    let Some(postgres) = Database::postgres().await else {
        return;
    };
    postgres.run("CREATE TABLE theirs (a INT)").await;
    let foreign = copy(&source.url, &postgres.url).await;
    assert!(
        foreign.stderr.contains("--to: it holds tables"),
        "{foreign:?}"
    );
    postgres.run("DROP TABLE theirs").await;
    close_database(&postgres.url).await;
    let ours = copy(&source.url, &postgres.url).await;
    assert!(ours.stderr.contains("--to: it holds tables"), "{ours:?}");
    assert_eq!((foreign.status, ours.status), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_refused_with_what_to_do() {
    let source = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let new = || url_in(folder.path(), "new.db");
    let newer = filled().await;
    newer
        .run("INSERT INTO _sqlx_migrations SELECT 9999, 'newer', installed_on, success, checksum, 0 FROM _sqlx_migrations LIMIT 1")
        .await;
    let older = filled().await;
    older
        .run("DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)")
        .await;
    let foreign = Database::sqlite();
    foreign.run("CREATE TABLE theirs (a INT)").await;
    for (from, to, status, says) in [
        (
            &*url_in(folder.path(), "none.db"),
            &*new(),
            1,
            "there is no database of this service",
        ),
        ("sqlite::memory:", &new(), 1, "--from: a database in memory"),
        (
            &source.url,
            "sqlite::memory:",
            1,
            "--to: a database in memory",
        ),
        (&newer.url, &new(), 1, "of a newer version"),
        (&older.url, &new(), 1, "of an older version"),
        (
            &foreign.url,
            &new(),
            78,
            "--from: the database holds another program's tables",
        ),
        (
            &source.url,
            &url_in(folder.path(), "none/new.db"),
            78,
            "there is no folder",
        ),
        (
            &source.url,
            "postgres://u:s3cret@127.0.0.1:1/x",
            1,
            "--to: the database cannot be reached",
        ),
        (
            "mysql://u:s3cret@h/x",
            &new(),
            2,
            "--from is not a database",
        ),
    ] {
        let output = copy(from, to).await;
        assert_eq!(output.status, status, "{from} {to}: {output:?}");
        assert!(output.stderr.contains(says), "{from} {to}: {output:?}");
        assert_eq!(output.stdout, "", "{output:?}");
        assert!(!output.stderr.contains("s3cret"), "{output:?}");
    }
    let one = run(&["copy", "--from", &source.url], &[]).await;
    assert_eq!(one.status, 2, "{one:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_a_service_uses_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::spawn().await;
    let databases = [Some(Database::sqlite()), Database::postgres().await];
    for database in databases.into_iter().flatten() {
        let replica = upstream.replica(&database.url, &[]).await;
        let target = url_in(folder.path(), "copy.db");
        let output = copy(&database.url, &target).await;
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains("stop the service"), "{output:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        replica.kill().await;
        let output = copy(&database.url, &target).await;
        assert_eq!(output.status, 0, "{output:?}");
        fs::remove_file(folder.path().join("copy.db")).unwrap();
    }
}

/// A service of one role, and a copy by another one, which may only read.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_another_role_s_service_uses_is_refused() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    run_sql(
        &cluster.url(),
        "CREATE ROLE reader LOGIN; GRANT pg_read_all_data TO reader",
    )
    .await;
    let reader = cluster.url().replace("//postgres@", "//reader@");
    let folder = tempfile::tempdir().unwrap();
    let target = url_in(folder.path(), "copy.db");
    let upstream = Upstream::spawn().await;
    let replica = upstream.replica(&cluster.url(), &[]).await;
    let output = copy(&reader, &target).await;
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("other connections"), "{output:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    replica.kill().await;
    let output = copy(&reader, &target).await;
    assert_eq!(output.status, 0, "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_a_server_is_not_copied_to_itself() {
    let Some(postgres) = Database::postgres().await else {
        return;
    };
    close_database(&postgres.url).await;
    let other_spelling = format!("{}?application_name=x", postgres.url);
    let other_schema = format!("{}?options=-csearch_path%3Dpg_temp", postgres.url);
    for to in [&postgres.url, &other_spelling, &other_schema] {
        let output = copy(&postgres.url, to).await;
        assert_eq!(output.status, 1, "{output:?}");
        let says = "--to: it is the database that --from names";
        assert!(output.stderr.contains(says), "{to}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_waits_for_the_lock_of_migrations_for_a_bounded_time() {
    let source = filled().await;
    let Some(empty) = Database::postgres().await else {
        return;
    };
    // "wxqr" in ASCII.
    let lock = ["BEGIN", "SELECT pg_advisory_xact_lock(x'77787172'::int)"];
    let held = empty.lock(&lock).await;
    let output = copy(&source.url, &empty.url).await;
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output
            .stderr
            .contains("--to: another process has locked it"),
        "{output:?}"
    );
    held.close().await.unwrap();
    let output = copy(&source.url, &empty.url).await;
    assert_eq!(output.status, 0, "{output:?}");
}

/// Starts a copy, and sends it a signal while it writes a table that takes it a while.
async fn interrupted(from: &str, to: &str, signal: &str) -> Process {
    let mut process = Process::start(&["copy", "--from", from, "--to", to], &[]);
    process.wait_for_line("wxqr: code: ").await;
    assert!(process.is_running());
    process.signal(signal);
    process
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_copy_leaves_no_half_filled_target() {
    let source = filled().await;
    source
        .run(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO event SELECT 'wxtest', i, i, i, '2026-11-29', 'scan', i, NULL, NULL, NULL FROM n",
        )
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = url_in(folder.path(), "copy.db");
    let stopped = interrupted(&source.url, &file, "TERM").await.output().await;
    assert_eq!(stopped.status, 1, "{stopped:?}");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "{stopped:?}"
    );
    interrupted(&source.url, &file, "KILL").await.kill().await;
    assert!(!folder.path().join("copy.db").exists());

    let Some(postgres) = Database::postgres().await else {
        return;
    };
    for signal in ["TERM", "KILL"] {
        interrupted(&source.url, &postgres.url, signal)
            .await
            .kill()
            .await;
        let mut connection = postgres.lock(&[]).await;
        // The server ends a transaction when it finds its client gone.
        let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public'";
        let count: i64 = sqlx::query_scalar(tables)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        assert_eq!(count, 0, "{signal}");
    }
    let whole = copy(&source.url, &postgres.url).await;
    assert_eq!(whole.status, 0, "{whole:?}");
    assert!(whole.stdout.contains("\nevent 20000 "), "{whole:?}");
}
