//! The database goes away and comes back, fills its disk, is not there yet, or is the wrong one.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::StatusCode;
use sqlx::Connection as _;
use tempfile::TempDir;
use tokio::task::block_in_place;
use wechat_sandbox::{FaultKind, Target};

use crate::support::answer::Answer;
use crate::support::database::{Cluster, Database, is_root};
use crate::support::figures::{Figures, grouped, in_time, report};
use crate::support::fleet::{Replica, Upstream, tickets};
use crate::support::keys;
use crate::support::skip::skip;
use crate::support::visitors::{HEALED_WITHIN, LONGEST_WAIT, known_codes, readiness, visit};
use crate::support::{client, closed_port, eventually, eventually_async};

/// How long PostgreSQL stays away: 10 s, which is enough for a developer. `.ci/run` sets
/// `STORE_DOWN_SECONDS` to the 30 that are promised.
fn outage() -> Duration {
    let seconds = std::env::var("STORE_DOWN_SECONDS").ok();
    Duration::from_secs(seconds.map_or(10, |seconds| seconds.parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn known_codes_are_served_while_postgresql_is_away() {
    let Some(cluster) = block_in_place(Cluster::start) else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let replica = upstream
        .replica(&cluster.url(), &[("ANONYMOUS_BUDGET", "50")])
        .await;
    let known = known_codes(&replica).await;
    let account = replica.keyed("/api/account").await.json();
    assert_eq!(account["budget"]["left"], 50, "a tenth of it is 5");

    let stop = AtomicBool::new(false);
    let trouble = async {
        block_in_place(|| cluster.stop());
        let stopped = Instant::now();
        let made = away(&replica, &upstream).await;
        tokio::time::sleep(outage().saturating_sub(stopped.elapsed())).await;
        assert_eq!(
            readiness(&replica.get("/readyz").await),
            (200, "degraded".to_owned())
        );
        block_in_place(|| cluster.resume());
        let back = Instant::now();
        eventually_async("permanent codes are made again", || async {
            let made = replica
                .keyed("/qrcode.json?scene_id=99&permanent=true")
                .await;
            made.status == StatusCode::OK
        })
        .await;
        eventually_async("it is ready", || async {
            readiness(&replica.get("/readyz").await).1 == "ok"
        })
        .await;
        let back = back.elapsed();
        assert!(in_time(back, HEALED_WITHIN), "{back:?}");
        caught_up(&replica, &upstream, &cluster.url(), &made).await;
        stop.store(true, Ordering::Relaxed);
        back
    };
    let (answers, back) = tokio::join!(visit(&replica, &known, &stop), trouble);
    assert!(answers.len() > 1000);
    assert_eq!(
        tickets(&answers).len(),
        known.len(),
        "none failed, none changed"
    );
    assert_eq!(replica.stock().await, (21, 0));

    let away = outage().as_secs();
    let mut figures = Figures::of(format!("PostgreSQL is away for {away} s, under load"));
    let failed = answers
        .iter()
        .filter(|answer| answer.status != StatusCode::OK);
    let asked = grouped(answers.len());
    figures.exactly(
        &format!("of {asked} visitors of known codes, turned away"),
        0,
        failed.count(),
    );
    let slowest = answers.iter().map(|answer| answer.took).max();
    figures.within(
        "what the slowest of them waited",
        LONGEST_WAIT,
        slowest.unwrap(),
    );
    figures.within(
        "until all was normal again, once it was back",
        HEALED_WITHIN,
        back,
    );
}

/// What works without the database, and what does not. Gives the scenes whose codes were made.
async fn away(replica: &Replica, upstream: &Upstream) -> Vec<u64> {
    let creates = upstream.creates();
    let unavailable = (503, "store_unavailable".to_owned());
    for path in [
        "/qrcode.json?scene_id=99&permanent=true",
        "/api/account",
        "/api/codes",
        "/api/codes.zip",
        "/api/scans",
        "/api/stats",
        "/api/stats.csv",
    ] {
        let answer = replica.keyed(path).await;
        assert_eq!(answer.problem(), unavailable, "{path}");
        assert!(
            in_time(answer.took, LONGEST_WAIT),
            "{path}: {:?}",
            answer.took
        );
    }
    let unknown = replica.get("/qrcode.json?scene_id=98&permanent=true").await;
    assert_eq!(unknown.problem(), unavailable);
    assert_eq!(upstream.creates(), creates, "WeChat is not called");
    assert_eq!(
        readiness(&replica.get("/readyz").await),
        (200, "degraded".to_owned())
    );
    assert_eq!(replica.get("/healthz").await.status, StatusCode::OK);

    a_mint_continues_after_a_disconnect(replica, upstream).await;
    let new = (200..210).map(path_of);
    let answers = join_all(new.map(|path| async move { replica.get(&path).await })).await;
    assert!(
        answers
            .iter()
            .all(|answer| in_time(answer.took, LONGEST_WAIT))
    );
    let (made, refused): (Vec<_>, Vec<_>) = answers
        .iter()
        .partition(|answer| answer.status == StatusCode::OK);
    for answer in refused {
        assert_eq!(answer.problem(), unavailable);
    }
    let share = 5; // A tenth of what was left.
    assert_eq!(
        (made.len() + 1, upstream.creates() - creates),
        (share, share)
    );
    let scene = |answer: &&Answer| answer.json()["scene_id"].as_u64().unwrap();
    let scenes = made.iter().map(scene).chain([LEFT_ALONE]);
    scenes.collect()
}

/// A scene whose only caller hung up.
const LEFT_ALONE: u64 = 300;

fn path_of(id: u64) -> String {
    format!("/qrcode.json?scene_id={id}")
}

/// A caller hangs up while the database is away: the code is there for the next one.
async fn a_mint_continues_after_a_disconnect(replica: &Replica, upstream: &Upstream) {
    let creates = upstream.creates();
    upstream.fail(Target::Create, FaultKind::Slow(Duration::from_secs(1)));
    let asking = tokio::spawn(Answer::to_willing(replica.request(&path_of(LEFT_ALONE))));
    eventually("WeChat is called", || upstream.creates() > creates).await;
    asking.abort();
    let line = replica.process.wait_for_line("code created");
    line.await;
    upstream.heal();
    assert_eq!(
        replica.get(&path_of(LEFT_ALONE)).await.status,
        StatusCode::OK
    );
    assert_eq!(upstream.creates() - creates, 1);
}

/// What was made without the database is in it now, and counted: another replica serves it.
async fn caught_up(replica: &Replica, upstream: &Upstream, database: &str, made: &[u64]) {
    eventually_async("the mints are counted", || async {
        let account = replica.keyed("/api/account").await.json();
        account["budget"]["left"] == 50 - made.len()
    })
    .await;
    let other = upstream.replica(database, &[]).await;
    let creates = upstream.creates();
    for &id in made {
        let (here, there) = (
            replica.get(&path_of(id)).await,
            other.get(&path_of(id)).await,
        );
        assert_eq!(tickets(&[here, there]).len(), 1, "scene {id}");
    }
    assert_eq!(upstream.creates(), creates, "none is made again");
}

/// A file system that can be full. It is unmounted when it is dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Room for some of SQLite's write-ahead logs, which grow to 4 MB before they are written back,
    /// and beyond that while others read. With less the disk fills by itself.
    const SIZE: &str = "size=32m";

    /// Mounts one; none where that is not allowed, which is said, or fails where `REQUIRE_TMPFS` is
    /// set.
    fn mount() -> Option<Self> {
        let disk = Self(tempfile::tempdir().unwrap());
        if is_root() && disk.mounted(Self::SIZE) {
            return Some(disk);
        }
        skip("a tmpfs cannot be mounted", "REQUIRE_TMPFS");
        None
    }

    fn mounted(&self, options: &str) -> bool {
        Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(self.path())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// From now on nothing can be made on it.
    fn make_read_only(&self) {
        assert!(self.mounted("remount,ro"));
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> std::path::PathBuf {
        self.path().join("filler")
    }

    fn fill(&self) {
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(self.filler())
            .unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount")
            .arg("-l")
            .arg(self.path())
            .status()
            .ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_permanent_mints_before_the_call_and_nothing_else() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let url = format!("sqlite://{}", disk.path().join("wxqr.db").display());
    let replica = upstream.replica(&url, &[]).await;
    let known = known_codes(&replica).await;
    for round in 1..=3 {
        disk.fill();
        let creates = upstream.creates();
        // Many at once, so that every connection meets the full disk.
        let refused = (0..30).map(|n| {
            let path = format!("/qrcode.json?scene_str=round-{round}-{n}&permanent=true");
            let replica = &replica;
            async move { replica.keyed(&path).await }
        });
        for answer in join_all(refused).await {
            assert_eq!(answer.problem(), (503, "store_unavailable".to_owned()));
            assert!(in_time(answer.took, LONGEST_WAIT));
        }
        assert_eq!(upstream.creates(), creates, "WeChat is not called");
        for path in &known {
            assert_eq!(replica.get(path).await.status, StatusCode::OK, "{path}");
        }
        assert_eq!(
            replica.listed().await.len(),
            known.len() + round - 1,
            "reading goes on"
        );
        for _ in 0..20 {
            assert_eq!(
                readiness(&replica.get("/readyz").await),
                (200, "degraded".to_owned())
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }

        disk.free();
        let freed = Instant::now();
        eventually_async("permanent codes are made again", || async {
            let path = format!("/qrcode.json?scene_str=after-{round}&permanent=true");
            replica.keyed(&path).await.status == StatusCode::OK
        })
        .await;
        eventually_async("it is ready", || async {
            readiness(&replica.get("/readyz").await).1 == "ok"
        })
        .await;
        report("back to normal after", freed.elapsed());
        assert!(
            in_time(freed.elapsed(), HEALED_WITHIN),
            "{:?}",
            freed.elapsed()
        );
        assert_eq!(replica.stock().await, (20 + round as u64, 0));
    }
    let crowd = (0..30).map(|n| {
        let path = format!("/qrcode.json?scene_str=crowd-{n}&permanent=true");
        let request = replica.request(&path).bearer_auth(keys::ADMIN);
        Answer::once_the_database_is_free(request)
    });
    for answer in join_all(crowd).await {
        assert_eq!(
            answer.status,
            StatusCode::OK,
            "every connection is well: {}",
            replica.process.stderr()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_does_not_keep_stored_codes_from_a_cache_that_is_empty() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let url = format!("sqlite://{}", disk.path().join("wxqr.db").display());
    let replica = upstream.replica(&url, &[]).await;
    let known = known_codes(&replica).await;
    replica.kill().await;
    let replica = upstream.replica(&url, &[]).await;
    disk.fill();
    let creates = upstream.creates();
    for path in &known {
        assert_eq!(replica.get(path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(upstream.creates(), creates, "none is made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_does_not_keep_stored_codes_from_a_cache_that_is_empty() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let replica = upstream.replica(&database.url, &[]).await;
    let known = known_codes(&replica).await;
    let replica = upstream.replica(&database.url, &[]).await;
    database.make_read_only(true).await;
    let creates = upstream.creates();
    for path in &known {
        // Its connections are new ones, and the machine may be busy.
        eventually_async("a stored code is served", || async {
            replica.get(path).await.status == StatusCode::OK
        })
        .await;
    }
    let ready = readiness(&replica.get("/readyz").await);
    assert_eq!(ready, (200, "degraded".to_owned()));
    assert_eq!(upstream.creates(), creates, "none is made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_service_report_a_read_only_disk() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    disk.make_read_only();
    let upstream = Upstream::spawn().await;
    let url = format!("sqlite://{}", disk.path().join("wxqr.db").display());
    let output = upstream.run("doctor", &url, &[]).output().await;
    let line = output.stdout.lines().find(|line| line.contains(" store: "));
    let line = line.unwrap_or_default();
    let says = "its file system is mounted read-only; mount it read-write";
    assert!(
        line.starts_with("FAIL  store: WXQR_DATABASE_URL: ") && line.contains(says),
        "{output:?}"
    );
    let output = upstream.process(&url, &[]).output().await;
    assert_eq!(output.status, 78, "{output:?}");
    assert!(output.stderr.contains(says), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_lock_is_logged_once_and_degrades_nothing() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let replica = upstream.replica(&database.url, &[]).await;
    let first = replica
        .keyed("/qrcode.json?scene_id=1&permanent=true")
        .await;
    assert_eq!(first.status, StatusCode::OK);
    let theirs = database
        .lock(&["BEGIN", "SELECT used FROM stock FOR UPDATE"])
        .await;
    let refused = replica
        .keyed("/qrcode.json?scene_id=2&permanent=true")
        .await;
    assert_eq!(refused.problem(), (503, "store_unavailable".to_owned()));
    assert_eq!(
        readiness(&replica.get("/readyz").await),
        (200, "ok".to_owned())
    );
    for path in [
        "/qrcode.json?scene_id=3",
        "/qrcode.json?scene_id=1&permanent=true",
    ] {
        assert_eq!(replica.get(path).await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(replica.stock().await, (1, 0));
    theirs.close().await.unwrap();
    // A new scene, because a failure is cached for a second.
    let free = replica
        .keyed("/qrcode.json?scene_id=4&permanent=true")
        .await;
    assert_eq!(free.status, StatusCode::OK, "{free:?}");

    let log = replica.process.stderr();
    for (line, times) in [
        ("a database call failed", 1),
        ("lock timeout", 1),
        ("the database cannot be used", 0),
    ] {
        assert_eq!(log.matches(line).count(), times, "{line}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_was_stopped_leaves_one_file_with_everything_in_it() {
    let database = Database::sqlite();
    let upstream = Upstream::spawn().await;
    let replica = upstream.replica(&database.url, &[]).await;
    let made = replica
        .keyed("/qrcode.json?scene_id=1&permanent=true")
        .await;
    replica.process.signal("TERM");
    let output = replica.process.output().await;
    assert_eq!(output.status, 0, "{}", output.stderr);
    let folder = fs::read_dir(database.file().parent().unwrap()).unwrap();
    assert_eq!(folder.count(), 1, "{}", output.stderr);

    let copy = Database::sqlite();
    fs::copy(database.file(), copy.file()).unwrap();
    let creates = upstream.creates();
    let replica = upstream.replica(&copy.url, &[]).await;
    let known = replica
        .keyed("/qrcode.json?scene_id=1&permanent=true")
        .await;
    assert_eq!(known.ticket(), made.ticket());
    assert_eq!(upstream.creates(), creates);
}

async fn ask(address: SocketAddr, path: &str) -> Option<Answer> {
    Answer::to_willing(client().get(format!("http://{address}{path}")))
        .await
        .ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_lives_and_is_not_ready_until_the_database_is_there() {
    let Some(cluster) = block_in_place(Cluster::start) else {
        return;
    };
    block_in_place(|| cluster.stop());
    let upstream = Upstream::spawn().await;
    let address = closed_port();
    let listen = address.to_string();
    let settings = [
        ("LISTEN", &*listen),
        ("PUBLIC_URL", "https://qr.example.com/base"),
    ];
    let process = upstream.process(&cluster.url(), &settings);
    eventually_async("it listens", || async {
        ask(address, "/healthz").await.is_some()
    })
    .await;
    let kept_alive = client();
    for _ in 0..3 {
        let url = format!("http://{address}/healthz");
        assert_eq!(
            kept_alive.get(&url).send().await.unwrap().status(),
            StatusCode::OK
        );
        let ready = ask(address, "/readyz").await.unwrap();
        assert_eq!(readiness(&ready), (503, "starting".to_owned()));
        assert_eq!(ask(address, "/base/readyz").await.unwrap().status, 503);
        let code = ask(address, "/qrcode.json?scene_id=1").await.unwrap();
        assert_eq!(code.problem(), (503, "store_unavailable".to_owned()));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    block_in_place(|| cluster.resume());
    process.wait_for_line("listening").await;
    let ready = kept_alive
        .get(format!("http://{address}/readyz"))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), StatusCode::OK);
    let code = ask(address, "/qrcode.json?scene_id=1").await.unwrap();
    assert_eq!(code.status, StatusCode::OK, "{code:?}");
    assert!(
        !process.stderr().contains("postgres://"),
        "{}",
        process.stderr()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_wait_for_a_database() {
    let upstream = Upstream::spawn().await;
    let url = format!(
        "postgres://user:not-to-be-seen@{}/x?odd=not-to-be-seen",
        closed_port()
    );
    let process = upstream.process(&url, &[]);
    process.wait_for_line("the database is not ready yet").await;
    process.signal("TERM");
    let output = process.output().await;
    assert_eq!(output.status, 0, "{}", output.stderr);
    assert!(
        !output.stderr.contains("not-to-be-seen"),
        "{}",
        output.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_ours_ends_the_start_with_78() {
    let upstream = Upstream::spawn().await;
    for (what, sql, says) in [
        (
            "foreign",
            "CREATE TABLE theirs (a INT)",
            "another program's tables",
        ),
        (
            "another WeChat's",
            "UPDATE about SET value = 'weixin.qq.com'",
            "codes of weixin.qq.com",
        ),
    ] {
        let database = Database::sqlite();
        if what != "foreign" {
            upstream.replica(&database.url, &[]).await.kill().await;
        }
        database.run(sql).await;
        let output = upstream.process(&database.url, &[]).output().await;
        assert_eq!(output.status, 78, "{what}: {}", output.stderr);
        assert!(output.stderr.contains(says), "{what}: {}", output.stderr);
    }
    let database = Database::sqlite();
    fs::write(database.file(), "this is no database".repeat(100)).unwrap();
    let output = upstream.process(&database.url, &[]).output().await;
    assert_eq!(output.status, 78, "{}", output.stderr);
    assert!(
        output.stderr.contains("move it away or restore a backup"),
        "{}",
        output.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_no_database_takes_is_the_callers_mistake() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let upstream = Upstream::spawn().await;
    let replica = upstream.replica(&database.url, &[]).await;
    for filter in ["label=%00", "group=a%00b", "scene=str:%00"] {
        let request = replica
            .request(&format!("/api/codes?{filter}"))
            .bearer_auth(keys::ADMIN);
        assert_eq!(Answer::to(request).await.problem().0, 400, "{filter}");
    }
    assert_eq!(
        readiness(&replica.get("/readyz").await),
        (200, "ok".to_owned())
    );
}
