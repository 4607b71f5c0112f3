//! `wxqr codes`: the binary against a running service.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::json;
use tempfile::TempDir;
use wechat_sandbox::{FaultKind, Target};

use crate::support::app::TestApp;
use crate::support::keys::{ADMIN, STATS};
use crate::support::process::{Output, Process, run};
use crate::support::{Server, eventually};

/// A file in a folder of its own.
fn file(name: &str, text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn arguments<'a>(command: &'a str, path: &'a Path, url: &'a str) -> Vec<&'a str> {
    vec!["codes", command, path.to_str().unwrap(), "--url", url]
}

async fn codes(command: &str, path: &Path, url: &str, more: &[&str]) -> Output {
    let arguments = [&arguments(command, path, url)[..], more].concat();
    let output = run(&arguments, &[("WXQR_KEY", ADMIN)]).await;
    for said in [&output.stdout, &output.stderr] {
        assert!(!said.contains(ADMIN), "{said}");
    }
    output
}

#[tokio::test]
async fn a_file_is_imported_once_and_says_what_failed() {
    let app = TestApp::spawn().await;
    let url = app.url("");
    let text = "名称,分组,类型,有效期,备注\n\
        南京路店,上海,,,a\n\
        静安寺店,上海,,,b\n\
        南京路店,上海,,,c\n\
        快闪,活动,临时,30天,d\n\
        坏行,活动,永远,,e\n";
    let (_folder, path) = file("shops.csv", text);
    let dry = codes("import", &path, &url, &["--dry-run"]).await;
    assert_eq!(app.creates(), 0);
    assert_eq!(dry.status, 1, "{dry:?}");
    assert!(
        dry.stderr
            .contains("5 rows: 3 new, 0 known, 0 changed, 2 invalid."),
        "{dry:?}"
    );
    assert!(
        dry.stderr.contains("2 new, which stay taken for ever"),
        "{dry:?}"
    );
    assert!(dry.stderr.contains("not read: 备注"), "{dry:?}");
    let lines: Vec<_> = dry.stdout.lines().collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0], "2\tnew\t南京路店");
    assert!(
        lines[2].starts_with("4\tinvalid\t南京路店\tIt is the same as line 2"),
        "{dry:?}"
    );

    for (known, stderr) in [(0, "3 created or changed."), (3, "0 created or changed.")] {
        let made = codes("import", &path, &url, &[]).await;
        assert_eq!(made.status, 1, "{made:?}");
        assert!(made.stderr.contains(&format!("{known} known")), "{made:?}");
        assert!(made.stderr.contains(stderr), "{made:?}");
        assert!(made.stderr.ends_with("wxqr: 2 rows failed\n"), "{made:?}");
        let lines: Vec<_> = made.stdout.lines().collect();
        assert_eq!(lines.len(), 2, "{made:?}");
        assert!(lines[0].starts_with("4\t南京路店\t"), "{made:?}");
        assert!(lines[1].starts_with("6\t坏行\t"), "{made:?}");
        assert_eq!(app.creates(), 3);
    }
    let list = app
        .get_as(STATS, "/api/codes?group=%E4%B8%8A%E6%B5%B7")
        .await;
    assert_eq!(list.json()["total"], 2);
}

#[tokio::test]
async fn an_import_changes_names_and_keeps_temporary_codes() {
    let app = TestApp::spawn().await;
    let url = app.url("");
    for (group, life) in [("Events", "1d"), ("Fair", "30d")] {
        let text = format!("label,group,permanent,expire_seconds\nStand,{group},false,{life}\n");
        let (_folder, path) = file("stands.csv", &text);
        let made = codes("import", &path, &url, &[]).await;
        assert_eq!(made.status, 0, "{made:?}");
        assert!(made.stderr.contains("1 created or changed."), "{made:?}");
        let list = app
            .get_as(STATS, &format!("/api/codes?group={group}"))
            .await;
        assert_eq!(list.json()["total"], 1, "{list:?}");
    }
    assert_eq!(app.creates(), 1);
}

#[tokio::test]
async fn an_import_that_was_stopped_goes_on_where_it_ended() {
    const ROWS: usize = 60;
    let app = TestApp::spawn().await;
    let slow = FaultKind::Slow(Duration::from_millis(100));
    app.fail(Target::Create, slow);
    let names: Vec<_> = (0..ROWS).map(|n| format!("Shop {n}\n")).collect();
    let (_folder, path) = file("shops.txt", &names.concat());
    let url = app.url("");
    let arguments = arguments("import", &path, &url);
    let stopped = Process::start(&arguments, &[("WXQR_KEY", ADMIN)]);
    eventually("some are made", || app.creates() >= 5).await;
    stopped.kill().await;
    let before = app.creates();
    assert!(before < ROWS, "{before} were made before it was stopped");
    app.heal();
    let whole = codes("import", &path, &url, &[]).await;
    assert_eq!((whole.status, whole.stdout.as_str()), (0, ""), "{whole:?}");
    assert_eq!(app.creates(), ROWS);
}

/// A service that asks to be called later at first, and how often it was called.
async fn busy_service() -> (Server, String, Arc<[AtomicUsize; 2]>) {
    let calls = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let answer = |calls: &Arc<[AtomicUsize; 2]>, at: usize, good: serde_json::Value| {
        let calls = Arc::clone(calls);
        post(async move || {
            if calls[at].fetch_add(1, Ordering::Relaxed) == 0 {
                let later = [(header::RETRY_AFTER, "1")];
                let status = [
                    StatusCode::SERVICE_UNAVAILABLE,
                    StatusCode::TOO_MANY_REQUESTS,
                ][at];
                return (status, later, "{}").into_response();
            }
            axum::Json(good).into_response()
        })
    };
    let plan = json!({
        "rows": [{"line": 1, "status": "new", "request": {"label": "a", "scene_str": "a"}}],
        "new_permanent": 1, "permanent_left": 1, "unknown_columns": [],
    });
    let router = Router::new()
        .route("/wx/api/codes/plan", answer(&calls, 0, plan))
        .route(
            "/wx/api/codes",
            answer(&calls, 1, json!({"scene_str": "a"})),
        )
        .route("/wx/api/codes.zip", get(cut_off));
    let (server, address) = Server::spawn(|_| router).await;
    (server, format!("http://{address}/wx"), calls)
}

/// A file whose end does not come.
async fn cut_off() -> Response {
    // More than is kept back, so that the answer has begun.
    let begun = std::iter::repeat_n(Ok(vec![0; 64 * 1024]), 64);
    let pieces = begun.chain([Err("the database is away")]);
    let media_type = [(header::CONTENT_TYPE, "application/zip")];
    (media_type, Body::from_stream(stream::iter(pieces))).into_response()
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (_server, url, calls) = busy_service().await;
    let (_folder, path) = file("shops.txt", "a\n");
    let made = codes("import", &path, &url, &[]).await;
    assert_eq!(made.status, 0, "{made:?}");
    let calls = [&calls[0], &calls[1]].map(|calls| calls.load(Ordering::Relaxed));
    assert_eq!(calls, [2, 2]);
}

#[tokio::test]
async fn a_key_that_is_refused_ends_the_import() {
    let app = TestApp::spawn().await;
    let (_folder, path) = file("shops.txt", "a\nb\n");
    let url = app.url("");
    for (key, want) in [(STATS, "scope"), ("wrong-key-of-nobody", "key")] {
        let refused = run(&arguments("import", &path, &url), &[("WXQR_KEY", key)]).await;
        assert_eq!(refused.status, 1, "{refused:?}");
        assert!(refused.stderr.contains(want), "{refused:?}");
        assert!(!refused.stderr.contains(key), "{refused:?}");
    }
    assert_eq!(app.creates(), 0);
}

#[tokio::test]
async fn a_service_behind_an_extra_ca_is_reached() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let ca = ca.to_str().unwrap();
    let listen = [
        "sandbox",
        "--listen",
        "127.0.0.1:0",
        "--tls",
        "--ca-out",
        ca,
    ];
    let sandbox = Process::start(&listen, &[]);
    let line = sandbox.wait_for_line("SANDBOX of").await;
    let url = line.trim().trim_end_matches('/');
    let url = &url[url.find("https://").unwrap()..];
    sandbox.wait_for_line("CA certificate:").await;
    let path = folder.path().join("list.csv");
    for (variables, want) in [
        (
            &[("WXQR_EXTRA_CA_FILE", ca)][..],
            "not the answer of a wxqr service",
        ),
        (&[], "no TLS"),
    ] {
        let variables = [&[("WXQR_KEY", ADMIN)], variables].concat();
        let output = run(&arguments("export", &path, url), &variables).await;
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains(want), "{output:?}");
    }
    let none = [("WXQR_KEY", ADMIN), ("WXQR_EXTRA_CA_FILE", "/nosuch.pem")];
    let output = run(&arguments("export", &path, url), &none).await;
    assert_eq!(output.status, 2, "{output:?}");
    assert!(output.stderr.contains("WXQR_EXTRA_CA_FILE"), "{output:?}");
}

#[tokio::test]
async fn nothing_is_created_of_what_the_stock_does_not_cover() {
    let plan = json!({
        "rows": [{"line": 1, "status": "new", "request": {"label": "a", "scene_str": "a"}}],
        "new_permanent": 2, "permanent_left": 1, "unknown_columns": [],
    });
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let count = async move || {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let router = Router::new()
        .route("/api/codes/plan", post(async || axum::Json(plan)))
        .route("/api/codes", post(count));
    let (_server, address) = Server::spawn(|_| router).await;
    let (_folder, path) = file("shops.txt", "a\nb\n");
    let refused = codes("import", &path, &format!("http://{address}"), &[]).await;
    assert_eq!(refused.status, 1, "{refused:?}");
    assert!(
        refused.stderr.contains("nothing was created"),
        "{refused:?}"
    );
    assert_eq!(made.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_list_is_exported_as_the_api_has_it() {
    let app = TestApp::spawn().await;
    let (folder, path) = file(
        "shops.csv",
        "名称,分组\n南京路店,上海\n外滩店,上海\n大悦城,北京\n",
    );
    let url = app.url("");
    assert_eq!(codes("import", &path, &url, &[]).await.status, 0);
    for (name, query) in [
        ("all.csv", ""),
        ("all.xlsx", ""),
        ("all.zip", ""),
        ("shanghai.zip", "group=%E4%B8%8A%E6%B5%B7&format=svg"),
    ] {
        let written = folder.path().join(name);
        let more = ["--query", query];
        let output = codes("export", &written, &url, &more).await;
        assert_eq!(
            (output.status, output.stdout.as_str()),
            (0, ""),
            "{output:?}"
        );
        let extension = name.rsplit('.').next().unwrap();
        let want = app
            .get_as(ADMIN, &format!("/api/codes.{extension}?{query}"))
            .await;
        assert!(std::fs::read(&written).unwrap() == want.body, "{name}");
        assert!(
            output
                .stderr
                .contains(&format!("{} bytes", want.body.len())),
            "{output:?}"
        );
    }
    let again = codes("import", &folder.path().join("all.csv"), &url, &[]).await;
    assert!(again.stderr.contains("3 rows: 0 new, 3 known"), "{again:?}");
    assert_eq!(app.creates(), 3);
}

/// The list as CSV, in the columns that an import reads. The others are of the codes, which differ
/// from one account to another.
async fn rows_of(app: &TestApp) -> Vec<Vec<String>> {
    let list = app.get_as(ADMIN, "/api/codes.csv").await.body;
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).from_reader(&*list);
    let rows = reader.records().map(|row| {
        let row = row.unwrap();
        row.iter().take(8).map(str::to_owned).collect()
    });
    rows.collect()
}

#[tokio::test]
async fn an_exported_list_is_the_same_after_its_import_elsewhere() {
    let from = TestApp::spawn().await;
    let address = |start: &str| format!("{start}{}", "x".repeat(1024 - start.len()));
    let longest = json!({
        "title": "🎪".repeat(64), "description": "\"".repeat(120),
        "image_url": address("https://example.com/a.png?"), "url": address("https://example.com/"),
    });
    for body in [
        json!({"scene_str": "00", "permanent": true, "label": "=1+1", "group": "上海", "reply": "=欢迎, \"a\";\n第二行 ]]> 🎪"}),
        json!({"scene_str": "01", "permanent": true, "label": "000123", "reply": {"news": longest}}),
        json!({"scene_id": 7, "permanent": true, "reply": {"news": {"title": "周年 <庆>", "url": "https://example.com/?a=1&b=2"}}}),
        json!({"scene_id": 7, "expire_seconds": 600, "label": "临时", "reply": "🎪".repeat(512)}),
        json!({"scene_str": "silent", "expire_seconds": 600, "label": "静"}),
    ] {
        let answer = from.post_as(ADMIN, "/api/codes", body.to_string()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    }
    let want = rows_of(&from).await;
    assert_eq!((want.len(), want[0][7].as_str()), (6, "reply_news"));
    let folder = tempfile::tempdir().unwrap();
    for (name, query) in [("all.csv", ""), ("all.xlsx", ""), ("zh.xlsx", "lang=zh")] {
        let path = folder.path().join(name);
        let written = codes("export", &path, &from.url(""), &["--query", query]).await;
        assert_eq!(written.status, 0, "{written:?}");
        let to = TestApp::spawn().await;
        let read = codes("import", &path, &to.url(""), &[]).await;
        assert_eq!((read.status, read.stdout.as_str()), (0, ""), "{read:?}");
        assert!(!read.stderr.contains("reply"), "{read:?}");
        assert_eq!(rows_of(&to).await, want, "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_replaces_nothing() {
    let (_server, url, _) = busy_service().await;
    let (folder, path) = file("all.zip", "before");
    let output = codes("export", &path, &url, &[]).await;
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("cut off"), "{output:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn the_page_of_another_service_replaces_nothing() {
    let page = || async { axum::response::Html("<h1>It works!</h1>") };
    let (_server, address) = Server::spawn(|_| Router::new().fallback(page)).await;
    for name in ["all.csv", "all.xlsx", "all.zip"] {
        let (folder, path) = file(name, "before");
        let output = codes("export", &path, &format!("http://{address}"), &[]).await;
        assert_eq!(output.status, 1, "{output:?}");
        assert!(output.stderr.contains("check --url"), "{output:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn wrong_usage_of_codes_exits_with_2() {
    let (_folder, path) = file("a.csv", "名称\na\n");
    let key = [("WXQR_KEY", ADMIN)];
    let local = "http://127.0.0.1:9";
    for (arguments, variables, want) in [
        (
            arguments("import", &path, local),
            &[][..],
            "WXQR_KEY must hold an API key",
        ),
        (
            arguments("import", &path, local),
            &[("WXQR_KEY", "\"0123456789abcdef\"")],
            "WXQR_KEY has quotation marks around it",
        ),
        (
            arguments("import", &path, "http://qr.example.com"),
            &key,
            "--allow-http",
        ),
        (arguments("import", &path, "qr.example.com"), &key, "--url"),
        (
            arguments("import", Path::new("a.pdf"), local),
            &key,
            ".xlsx",
        ),
        (arguments("export", Path::new("a.pdf"), local), &key, ".zip"),
        (vec!["codes", "import", "a.csv"], &key, "--url"),
        (vec!["codes"], &key, "import"),
    ] {
        let output = run(&arguments, variables).await;
        assert_eq!(output.status, 2, "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(want), "{output:?}");
    }
    let absent = codes("import", &path.with_file_name("b.csv"), local, &[]).await;
    assert_eq!(absent.status, 1, "{absent:?}");
    assert!(absent.stderr.contains("b.csv cannot be read"), "{absent:?}");
}
