//! The database's files and its way to a server: what ends the start at once and says why, and who
//! may read what is made.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tokio::task::block_in_place;

use crate::support::database::{Cluster, Database, is_root};
use crate::support::eventually;
use crate::support::fleet::Upstream;
use crate::support::process::Output;
use crate::support::skip::skip;

const WAITS: &str = "the database is not ready yet";

/// An unprivileged user: that of the image.
const USER: u32 = 65532;

fn refused_at_once(what: &str, output: &Output, says: &[&str]) {
    assert_eq!(output.status, 78, "{what}: {}", output.stderr);
    assert!(!output.stderr.contains(WAITS), "{what}: {}", output.stderr);
    for say in says {
        assert!(
            output.stderr.contains(say),
            "{what}: {say:?} in {}",
            output.stderr
        );
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_ends_the_start_at_once() {
    let upstream = Upstream::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let socket = folder.path().join("socket");
    fs::write(&file, "").unwrap();
    std::os::unix::net::UnixListener::bind(&socket).unwrap();
    std::os::unix::fs::symlink("/nosuch/y.db", folder.path().join("dangling")).unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
    let at = |name: &str| format!("sqlite://{}/{name}", folder.path().display());
    for (url, says) in [
        (
            at("nosuch/x.db"),
            ["there is no folder", "; create the folder"],
        ),
        (
            at("file/x.db"),
            ["is no folder", "; name a file in a folder"],
        ),
        (at(""), ["it is a folder", "; name a file in it"]),
        (at("socket"), ["no regular file", "; name another file"]),
        (
            at("x.db?mode=rw"),
            ["it does not exist", "; leave the mode out"],
        ),
        (
            at("file?mode=ro"),
            ["mode=ro in the address", "; leave the parameter out"],
        ),
        (
            at("file?immutable=true"),
            ["immutable=true in the address", "; leave the parameter out"],
        ),
        (
            at("dangling"),
            ["it is a link to /nosuch/y.db, and", "; create the folder"],
        ),
        (at("fifo"), ["no regular file", "; name another file"]),
        (at("file?vfs=nosuch"), ["no such vfs", "; check that user"]),
        (
            "sqlite:///dev/null".to_owned(),
            ["no regular file", "; name another file"],
        ),
        (
            "sqlite:///dev/full".to_owned(),
            ["no regular file", "; name another file"],
        ),
    ] {
        let output = upstream.process(&url, &[]).output().await;
        refused_at_once(&url, &output, &says);
        let path = url
            .trim_start_matches("sqlite://")
            .split('?')
            .next()
            .unwrap();
        refused_at_once(&url, &output, &[path.trim_end_matches('/'), "by user "]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_user_may_not_do_ends_the_start_at_once() {
    if !is_root() {
        skip(
            "only root can start a process as somebody else",
            "REQUIRE_TMPFS",
        );
        return;
    }
    let upstream = Upstream::spawn().await;
    let folder = tempfile::tempdir().unwrap();
    set_mode(folder.path(), 0o755);
    // Not where the sources are, which may be closed to others.
    let program = folder.path().join("wxqr");
    fs::copy(env!("CARGO_BIN_EXE_wxqr"), &program).unwrap();
    for (name, mode) in [("open", 0o777), ("closed", 0o700), ("visible", 0o755)] {
        fs::create_dir(folder.path().join(name)).unwrap();
        set_mode(&folder.path().join(name), mode);
    }
    fs::write(folder.path().join("open/roots.db"), "").unwrap();
    for suffix in ["wal", "shm"] {
        let file = folder.path().join(format!("open/{suffix}.db"));
        fs::write(&file, "").unwrap();
        std::os::unix::fs::chown(&file, Some(USER), Some(USER)).unwrap();
        fs::write(file.with_extension(format!("db-{suffix}")), "").unwrap();
    }
    for (name, says) in [
        ("visible/x.db", "may not create files in the folder"),
        ("closed/x.db", "may not create files in the folder"),
        ("open/roots.db", "may not read and write it"),
        ("open/wal.db", "open/wal.db-wal, which SQLite uses with it"),
        ("open/shm.db", "open/shm.db-shm, which SQLite uses with it"),
    ] {
        let url = format!("sqlite://{}/{name}", folder.path().display());
        let line = format!(
            "exec setpriv --reuid={USER} --regid={USER} --clear-groups {} \"$@\"",
            program.display()
        );
        let output = upstream.by_shell(&line, &url, &[]).output().await;
        refused_at_once(name, &output, &[says, &format!("by user {USER}"), name]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_for_good_ends_the_start_at_once() {
    let Some(cluster) = block_in_place(Cluster::start) else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let trust = "host all all 127.0.0.1/32 trust\n";
    let url = |user: &str, rest: &str| {
        let address = cluster.url().replace("postgres@", &format!("{user}@"));
        let (server, _) = address.rsplit_once('/').unwrap();
        format!("{server}/{rest}")
    };
    let plain = "postgres?sslmode=disable";
    let no_tls = "postgres?sslmode=require";
    for (what, rules, url, says) in [
        (
            "database",
            trust,
            url("postgres", "nosuch"),
            "create the database",
        ),
        (
            "role",
            trust,
            url("nobody", plain),
            "check user and password",
        ),
        (
            "password",
            "host all all 127.0.0.1/32 scram-sha-256\n",
            url("postgres:wrong-secret", plain),
            "check user and password",
        ),
        (
            "no entry",
            "local all all trust\n",
            url("postgres", plain),
            "pg_hba.conf",
        ),
        (
            "TLS demanded",
            "hostssl all all 127.0.0.1/32 trust\n",
            url("postgres", plain),
            "with TLS where it asks",
        ),
        (
            "no TLS",
            trust,
            url("postgres", no_tls),
            "let the server speak TLS",
        ),
    ] {
        block_in_place(|| cluster.admit(rules));
        let output = upstream.process(&url, &[]).output().await;
        refused_at_once(what, &output, &["the database refuses", says]);
        let line = output.stderr.contains("at line ");
        assert!(!line, "of the server's sources: {}", output.stderr);
        assert!(!output.stderr.contains("wrong-secret"), "{}", output.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_made_is_private_whatever_the_umask() {
    let upstream = Upstream::spawn().await;
    for umask in ["0", "022", "077", "0777"] {
        let database = Database::sqlite();
        let line = format!("umask {umask} && exec \"$0\" \"$@\"");
        let process = upstream.by_shell(&line, &database.url, &[]);
        process.addresses().await;
        let file = database.file();
        let log = file.with_extension("db-wal");
        let index = file.with_extension("db-shm");
        eventually("SQLite uses its log", || index.exists()).await;
        for file in [&file, &log, &index] {
            assert_eq!(mode(file), 0o600, "umask {umask}: {}", file.display());
        }
        assert!(!process.stderr().contains("chmod"), "{}", process.stderr());
        process.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_others_may_read_is_reported_and_left_alone() {
    let upstream = Upstream::spawn().await;
    let database = Database::sqlite();
    upstream.replica(&database.url, &[]).await.kill().await;
    let file = database.file();
    for (given, is_warned_of) in [(0o644, true), (0o620, true), (0o600, false)] {
        set_mode(&file, given);
        let replica = upstream.replica(&database.url, &[]).await;
        let log = replica.process.stderr();
        let action = format!("chmod 600 {}\"", file.display());
        assert_eq!(log.contains(&action), is_warned_of, "{given:o}: {log}");
        assert_eq!(mode(&file), given);
        replica.kill().await;
    }
}

/// What the service says to run once the key of pseudonyms is lost.
const FORGET_FINGERPRINT: &str = "DELETE FROM about WHERE name = 'person_key_fingerprint'";

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_key_is_lost_goes_on_with_another_after_one_statement() {
    let upstream = Upstream::spawn().await;
    let [lost, next] = ["0123456789abcdef", "fedcba9876543210"].map(|part| part.repeat(4));
    for given in [vec![("PERSON_KEY", next.as_str())], vec![]] {
        let database = Database::sqlite();
        let before = [("PERSON_KEY", lost.as_str())];
        upstream.replica(&database.url, &before).await.kill().await;
        let output = upstream.process(&database.url, &given).output().await;
        refused_at_once("the key is lost", &output, &[FORGET_FINGERPRINT]);
        database.run(FORGET_FINGERPRINT).await;
        upstream.replica(&database.url, &given).await;
    }
}

/// The whole way: made by the service, read out, given back from outside.
#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_pseudonyms_moves_out_of_the_database() {
    let upstream = Upstream::spawn().await;
    let database = Database::sqlite();
    upstream.replica(&database.url, &[]).await.kill().await;
    let select = "SELECT value FROM about WHERE name = 'person_key'";
    let key = database.text(select).await.unwrap();
    let other = "0123456789abcdef".repeat(4);

    let refused = upstream.process(&database.url, &[("PERSON_KEY", &other)]);
    let output = refused.output().await;
    let says = ["WXQR_PERSON_KEY is not the key", select];
    refused_at_once("another key", &output, &says);
    assert!(!output.stderr.contains(&other), "{}", output.stderr);

    let moved = upstream
        .replica(&database.url, &[("PERSON_KEY", &key)])
        .await;
    assert!(!moved.process.stderr().contains(&key));
    assert_eq!(database.text(select).await, None, "it is gone");
    moved.process.signal("TERM");
    assert_eq!(moved.process.output().await.status, 0);
    let file = fs::read(database.file()).unwrap();
    assert!(!file.windows(key.len()).any(|part| part == key.as_bytes()));

    for (given, says) in [
        (vec![], "WXQR_PERSON_KEY is missing"),
        (
            vec![("PERSON_KEY", other.as_str())],
            "WXQR_PERSON_KEY is not the key",
        ),
    ] {
        let output = upstream.process(&database.url, &given).output().await;
        refused_at_once(says, &output, &[says, FORGET_FINGERPRINT]);
    }
    upstream
        .replica(&database.url, &[("PERSON_KEY", &key)])
        .await;
}
