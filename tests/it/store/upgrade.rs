//! Tables of another version: older ones are brought up to date, newer ones are refused.

use std::fs;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::answer::Answer;
use crate::support::database::Database;
use crate::support::files::{path, read};
use crate::support::fleet::Upstream;
use crate::support::process::run;
use crate::support::pushes::{PushedEvent, TOKEN, signed_query};

/// Makes the tables those of a newer version.
const NEWER_TABLES: &str = "INSERT INTO _sqlx_migrations
    SELECT 9999, 'of the future', installed_on, success, checksum, execution_time
    FROM _sqlx_migrations WHERE version = 1";

async fn databases() -> Vec<Database> {
    [Some(Database::sqlite()), Database::postgres().await]
        .into_iter()
        .flatten()
        .collect()
}

/// Fills a database as the first version of the tables did.
async fn fill_with_first_schema(database: &Database) {
    let sql = read("tests/store/first_schema.sql");
    let sql = if database.is_postgres() {
        sql.replace("X'", "'\\x")
    } else {
        sql
    };
    database.run(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_first_schema_is_upgraded_with_all_that_it_holds() {
    for database in databases().await {
        fill_with_first_schema(&database).await;
        let upstream = Upstream::spawn().await;
        let settings = [("CALLBACK_TOKEN", TOKEN)];
        let replica = upstream.replica(&database.url, &settings).await;
        let path = "/qrcode.json?scene_str=door&permanent=true";
        assert_eq!(replica.get(path).await.ticket(), "ticket-of-the-door");
        assert_eq!(replica.stock().await, (2, 1));
        let found = replica.keyed("/api/codes?q=DOOR").await.json();
        assert_eq!(found["total"], 1, "{found}");
        let door = &found["items"][0];
        for (field, want) in [
            ("scene_str", "door"),
            ("label", "正门 Door"),
            ("group", "店铺"),
            ("created_at", "2025-11-21T04:40:00Z"),
        ] {
            assert_eq!(door[field], want, "{door}");
        }
        let event = PushedEvent::scan("oFan", "door", "ticket-of-the-door");
        let url = format!(
            "http://{}/callback?{}",
            replica.address,
            signed_query("oFan")
        );
        let pushed = Answer::to(replica.client.post(url).body(event.xml())).await;
        assert_eq!(pushed.status, 200);
        let scans = replica.keyed("/api/scans").await.json();
        let scan = &scans["items"][0];
        for (field, want) in [
            ("scene_str", json!("door")),
            ("permanent", json!(true)),
            ("attributed", json!(true)),
        ] {
            assert_eq!(scan[field], want, "{scans}");
        }
        assert_eq!(upstream.creates(), 0, "nothing is created again");
        for (column, table, want) in [
            ("used", "stock", "2"),
            (
                "value",
                "daily WHERE name = 'mints' AND day = '2025-11-21'",
                "4",
            ),
            ("errcode", "stop WHERE api = 'create'", "45009"),
            (
                "label",
                "channel WHERE kind = 'QR_SCENE' AND scene = '7'",
                "Seven",
            ),
        ] {
            let sql = format!("SELECT CAST({column} AS TEXT) FROM {table}");
            assert_eq!(database.text(&sql).await.as_deref(), Some(want), "{table}");
        }
        replica.kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_upgrade_a_database_once() {
    let migrations = fs::read_dir(path("migrations")).unwrap().count();
    for database in databases().await {
        fill_with_first_schema(&database).await;
        let upstream = Upstream::spawn().await;
        let starting = (0..3).map(|_| upstream.replica(&database.url, &[]));
        let replicas = join_all(starting).await;
        for replica in &replicas {
            let door = "/qrcode.json?scene_str=door&permanent=true";
            assert_eq!(replica.get(door).await.ticket(), "ticket-of-the-door");
            assert_eq!(replica.stock().await, (2, 1));
        }
        assert_eq!(upstream.creates(), 0, "nothing is created again");
        let applied = "SELECT CAST(count(*) AS TEXT) FROM _sqlx_migrations";
        let applied = database.text(applied).await;
        assert_eq!(applied, Some(migrations.to_string()));
        for replica in replicas {
            replica.kill().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_refuses_newer_tables_and_says_what_to_do() {
    for database in databases().await {
        database.store().await.database.close().await;
        database.run(NEWER_TABLES).await;
        let upstream = Upstream::spawn().await;
        let output = upstream.process(&database.url, &[]).output().await;
        assert_eq!(output.status, 78, "{output:?}");
        for says in [
            "the tables are of a newer version",
            "run the version that created them, or a newer one; to go back, restore a copy of the \
             database from before the upgrade",
        ] {
            assert!(output.stderr.contains(says), "{output:?}");
        }
        let newest = "SELECT description FROM _sqlx_migrations ORDER BY version DESC LIMIT 1";
        let newest = database.text(newest).await;
        assert_eq!(newest.as_deref(), Some("of the future"));
    }
}

/// The older version is this one, since the tables say that they are newer.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_goes_on_with_the_backup_from_before_the_upgrade() {
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let door = "/qrcode.json?scene_str=door&permanent=true";
    let replica = upstream.replica(&database.url, &[]).await;
    let made = replica.keyed(door).await.ticket();
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("before.db");
    let settings = [("WXQR_DATABASE_URL", database.url.as_str())];
    let output = run(&["backup", backup.to_str().unwrap()], &settings).await;
    assert_eq!(output.status, 0, "{output:?}");
    replica.kill().await;
    database.run(NEWER_TABLES).await;
    let refused = upstream.process(&database.url, &[]).output().await;
    assert_eq!(refused.status, 78, "{refused:?}");

    for file in ["", "-wal", "-shm"] {
        let file = format!("{}{file}", database.file().display());
        fs::remove_file(file).ok();
    }
    fs::rename(&backup, database.file()).unwrap();
    let replica = upstream.replica(&database.url, &[]).await;
    assert_eq!(replica.get(door).await.ticket(), made);
    assert_eq!(upstream.creates(), 1);
}
