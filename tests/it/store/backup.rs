//! `wxqr backup`: what a copy holds, what it is never written over, and what it refuses.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde_json::json;
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tokio::task::block_in_place;
use wechat_sandbox::Api;
use wxqr::clock::{Clock as _, SystemClock};

use super::contract::{for_a_while, temporary};
use crate::support::database::{Cluster, Database};
use crate::support::figures::{Figures, grouped, in_time, sized};
use crate::support::fleet::{Replica, Upstream};
use crate::support::load::Paced;
use crate::support::process::{Output, run};
use crate::support::pushes::{PushedEvent, TOKEN, signed_query};
use crate::support::{client, keys};

/// How long a visitor may wait while a copy is made, of a hundred all but one.
const VISITORS_P99: Duration = Duration::from_millis(50);

/// What the service has acknowledged so far.
type Acknowledged = Arc<Mutex<BTreeSet<String>>>;

async fn back_up(database: &str, file: &Path) -> Output {
    let file = file.to_str().unwrap();
    run(&["backup", file], &[("WXQR_DATABASE_URL", database)]).await
}

/// One column of a copy, which must not need anything beside it.
async fn column(copy: &Path, sql: &str) -> BTreeSet<String> {
    install_default_drivers();
    let url = format!("sqlite://{}?mode=ro&immutable=true", copy.display());
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    let rows = connection.fetch_all(AssertSqlSafe(sql.to_owned())).await;
    let found = rows.unwrap().iter().map(|row| row.get(0)).collect();
    connection.close().await.unwrap();
    found
}

/// Sends requests at a pace, and notes what was acknowledged.
fn load(
    per_second: u32,
    acknowledged: &Acknowledged,
    request: impl Fn(&str) -> RequestBuilder + Send + Sync + 'static,
) -> Paced {
    let (acknowledged, request) = (Arc::clone(acknowledged), Arc::new(request));
    Paced::start(per_second, move |number| {
        let (acknowledged, request) = (Arc::clone(&acknowledged), Arc::clone(&request));
        async move {
            let name = format!("name-{number}");
            let answer = request(&name)
                .send()
                .await
                .map_err(|error| error.to_string())?;
            if !answer.status().is_success() {
                return Err(answer.status().to_string());
            }
            acknowledged.lock().unwrap().insert(name);
            Ok(())
        }
    })
}

fn mints(replica: &Replica, client: Client) -> impl Fn(&str) -> RequestBuilder + use<> {
    let url = format!("http://{}/api/codes", replica.address);
    move |name| {
        let code = json!({"scene_str": name, "permanent": true});
        client.post(&url).bearer_auth(keys::ADMIN).json(&code)
    }
}

/// A visitor who asks for a code that is known.
fn visits(replica: &Replica, client: Client) -> impl Fn(&str) -> RequestBuilder + use<> {
    let url = format!("http://{}/qrcode.json?scene_str=door", replica.address);
    move |_| client.get(&url)
}

fn pushes(replica: &Replica, client: Client) -> impl Fn(&str) -> RequestBuilder + use<> {
    let address = replica.address;
    move |openid| {
        let url = format!("http://{address}/callback?{}", signed_query(openid));
        let event = PushedEvent::follow(openid, "door", "an-unknown-ticket");
        client.post(url).body(event.xml())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_under_load_holds_what_was_acknowledged_before_it() {
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let settings = [("CALLBACK_TOKEN", TOKEN), ("LOG", "warn,wxqr::cli=info")];
    let replica = upstream.replica(&database.url, &settings).await;
    let (codes, events) = (Acknowledged::default(), Acknowledged::default());
    let loads = [
        load(200, &codes, mints(&replica, client())),
        load(200, &events, pushes(&replica, client())),
    ];
    assert_eq!(replica.get("/qrcode.json?scene_str=door").await.status, 200);
    let visitors = load(200, &Acknowledged::default(), visits(&replica, client()));
    let copies = sized(4, 100);
    let folder = tempfile::tempdir().unwrap();
    let mut held = 0;
    for number in 0..copies {
        let minted = codes.lock().unwrap().clone();
        let pushed = events.lock().unwrap().clone();
        let file = folder.path().join(number.to_string());
        let output = back_up(&database.url, &file).await;
        assert_eq!(output.status, 0, "{output:?}");
        let permanent = "SELECT scene FROM code WHERE ticket IS NOT NULL";
        let stored = column(&file, permanent).await;
        assert_eq!(minted.difference(&stored).next(), None);
        let held_openids = "SELECT rtrim(openid, '.') FROM follower";
        let stored_events = column(&file, held_openids).await;
        assert_eq!(pushed.difference(&stored_events).next(), None);
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        held = minted.len();
    }
    for load in loads {
        let met = load.finish().await;
        assert_eq!(met.failures, Vec::<String>::new());
    }
    let met = visitors.finish().await;
    assert_eq!(met.failures, Vec::<String>::new());
    let p99 = met.percentile(99);
    assert!(in_time(p99, VISITORS_P99), "{p99:?}");
    assert!(held > 0, "there was a load");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), copies, "nothing is left beside the copies");

    let mut figures = Figures::of(format!(
        "The database is copied {copies} times while 200 codes and 200 events a second come"
    ));
    let what = format!(
        "of {} codes that were acknowledged before the last copy, missing in it",
        grouped(held)
    );
    figures.exactly(&what, 0, 0);
    figures.within("visitors of a known code meanwhile, p99", VISITORS_P99, p99);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_copy_serves_its_codes_without_a_call() {
    let (upstream, database) = (Upstream::spawn().await, Database::sqlite());
    let path = "/qrcode.json?scene_str=door&permanent=true";
    let replica = upstream.replica(&database.url, &[]).await;
    let made = replica.keyed(path).await.ticket();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("restored.db");
    let output = back_up(&database.url, &file).await;
    assert_eq!(output.status, 0, "{output:?}");
    replica.kill().await;
    let url = format!("sqlite://{}", file.display());
    let replica = upstream.replica(&url, &[]).await;
    assert_eq!(replica.get(path).await.ticket(), made);
    assert_eq!(upstream.sandbox.count(Api::Create), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_dump_serves_its_codes_without_a_call() {
    let Some(cluster) = block_in_place(Cluster::start) else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let path = "/qrcode.json?scene_str=door&permanent=true";
    let replica = upstream.replica(&cluster.url(), &[]).await;
    let made = replica.keyed(path).await.ticket();
    block_in_place(|| cluster.dump());
    replica.kill().await;
    let restored = block_in_place(|| cluster.restore());
    let replica = upstream.replica(&restored, &[]).await;
    assert_eq!(replica.get(path).await.ticket(), made);
    assert_eq!(upstream.creates(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_never_written_over_something() {
    let database = Database::sqlite();
    let store = database.store().await;
    let code = Arc::new(for_a_while("ticket", SystemClock.now(), 60));
    store.codes.save(&temporary(1), &code).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("file"), "precious").unwrap();
    fs::write(at("empty"), "").unwrap();
    fs::create_dir(at("folder")).unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("link")).unwrap();
    for name in ["file", "empty", "folder", "link"] {
        let output = back_up(&database.url, &at(name)).await;
        assert_eq!(output.status, 1, "{name}: {output:?}");
        assert!(output.stderr.contains("exists"), "{name}: {output:?}");
    }
    assert_eq!(fs::read(at("file")).unwrap(), b"precious");
    assert_eq!(fs::read(at("empty")).unwrap(), b"");
    let itself = back_up(&database.url, &database.file()).await;
    assert_eq!(itself.status, 1, "{itself:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
    // SQLite would apply what another database left there.
    fs::write(at("new-journal"), "").unwrap();
    let beside = back_up(&database.url, &at("new")).await;
    assert!(beside.stderr.contains("new-journal exists"), "{beside:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(
        at("text"),
        "no database, and long enough for a header of one".repeat(9),
    )
    .unwrap();
    let file = |name: &str| format!("sqlite://{}", at(name).display());
    for (database, copy, status, says) in [
        (
            "postgres://user:s3cret@host/db".to_owned(),
            "copy",
            1,
            "pg_dump",
        ),
        ("sqlite::memory:".to_owned(), "copy", 1, "in memory"),
        (file("none"), "copy", 1, "there is no database at"),
        (file("text"), "copy", 78, "no SQLite database"),
        (file("nowhere/none"), "copy", 78, "there is no folder"),
        (
            "mysql://host/db".to_owned(),
            "copy",
            78,
            "WXQR_DATABASE_URL",
        ),
    ] {
        let output = back_up(&database, &at(copy)).await;
        assert_eq!(output.status, status, "{database}: {output:?}");
        assert!(output.stderr.contains(says), "{database}: {output:?}");
        assert!(!output.stderr.contains("s3cret"), "{output:?}");
    }
    assert!(!at("copy").exists() && !at("none").exists());

    let database = Database::sqlite();
    drop(database.store().await);
    let output = back_up(&database.url, &at("nowhere/copy")).await;
    assert_eq!(output.status, 1, "{output:?}");
    assert!(
        output.stderr.contains("nowhere/copy cannot be written"),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_database_leaves_no_copy() {
    let database = Database::sqlite();
    drop(database.store().await);
    database.fill_with_tickets().await;
    database.damage_a_page_of("ticket").await;
    let folder = tempfile::tempdir().unwrap();
    let output = back_up(&database.url, &folder.path().join("copy")).await;
    assert_eq!(output.status, 1, "{output:?}");
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "{output:?}"
    );
}
