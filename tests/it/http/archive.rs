//! `GET /api/codes.zip`, unpacked and read by others.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::{Value, json};
use wxqr::clock::{Clock as _, ManualClock, SystemClock};

use crate::support::app::TestApp;
use crate::support::archive::unpacked;
use crate::support::keys::{ADMIN, MINT, STATS};
use crate::support::picture::{decode_png, decode_svg, read_by_zbar};
use crate::support::skip::skip;

/// Labels, and the names of their pictures.
const NAMES: [(&str, &str); 9] = [
    ("南京路店 🎪", "南京路店 🎪"),
    ("CON", "_CON"),
    ("../../x", "_.._x"),
    ("a", "a"),
    ("A", "A (2)"),
    ("a (2)", "a (2) (2)"),
    ("=1+1", "=1+1"),
    ("a:b", "a_b"),
    ("codes", "codes"),
];

/// The rows of `codes.csv`, by their headings.
fn rows(file: &[u8]) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(file);
    reader.deserialize().map(Result::unwrap).collect()
}

async fn make(app: &TestApp, code: Value) {
    let made = app.post_as(ADMIN, "/api/codes", code.to_string()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{made:?}");
}

async fn with_names() -> TestApp {
    let app = TestApp::spawn().await;
    for (n, (label, _)) in NAMES.iter().enumerate() {
        let scene = format!("s{n}");
        let code = json!({"scene_str": scene, "permanent": true, "label": label, "group": "上海"});
        make(&app, code).await;
    }
    make(&app, json!({"scene_id": 7, "expire_seconds": 600})).await;
    app
}

#[tokio::test]
async fn an_archive_has_a_picture_of_each_code_under_its_label() {
    let app = with_names().await;
    for (format, query) in [("png", ""), ("svg", "format=svg&color=07603b&size=300")] {
        let answer = app.get_as(STATS, &format!("/api/codes.zip?{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.header("content-type"), "application/zip");
        let Some(mut entries) = unpacked(&answer.body) else {
            return;
        };
        let rows = rows(&entries.remove("codes.csv").unwrap());
        assert_eq!(rows.len(), NAMES.len() + 1);
        for row in &rows {
            let name = NAMES.iter().find(|(label, _)| *label == row["label"]);
            let name = name.map_or("7", |(_, name)| name);
            assert_eq!(row["file"], format!("{name}.{format}"));
            let picture = entries.remove(&row["file"]).unwrap();
            let (size, texts) = match format {
                "png" => decode_png(&picture),
                _ => decode_svg(std::str::from_utf8(&picture).unwrap()),
            };
            assert_eq!(size.0, if format == "png" { 430 } else { 300 });
            assert_eq!(texts, [row["url"].as_str()], "{}", row["file"]);
            if format == "png" {
                match read_by_zbar(&picture) {
                    Some(texts) => assert_eq!(texts, [row["url"].as_str()], "{}", row["file"]),
                    None => skip("zbar-tools is not installed", "REQUIRE_ZBAR"),
                }
            }
        }
        assert_eq!(entries, BTreeMap::new(), "pictures without a row");
    }
}

#[tokio::test]
async fn an_archive_has_the_codes_that_the_list_would_have() {
    let app = with_names().await;
    let group = "%E4%B8%8A%E6%B5%B7";
    let archived = json!({"scene_str": "s6", "permanent": true, "archived": true});
    app.post_as(ADMIN, "/api/codes", archived.to_string()).await;
    for (query, name) in [
        ("permanent=false", "wxqr-codes-temporary.zip"),
        (
            &*format!("group={group}"),
            &*format!("wxqr-codes-{group}.zip"),
        ),
        (
            "scene=str:s1&scene=id:7&scene=str:s6",
            "wxqr-codes-3-scenes.zip",
        ),
        ("q=CODES", "wxqr-codes-CODES.zip"),
        ("q=nothing", "wxqr-codes-nothing.zip"),
        ("archived=all&sort=-label", "wxqr-codes-with-archived.zip"),
    ] {
        let list = app
            .get_as(STATS, &format!("/api/codes?{query}"))
            .await
            .json();
        let listed = list["items"].as_array().unwrap().iter();
        let listed: Vec<_> = listed.map(|code| code["url"].as_str().unwrap()).collect();
        let answer = app.get_as(STATS, &format!("/api/codes.zip?{query}")).await;
        let disposition = answer.header("content-disposition");
        assert!(
            disposition.ends_with(&format!("UTF-8''{name}")),
            "{disposition}"
        );
        let Some(entries) = unpacked(&answer.body) else {
            return;
        };
        let rows = rows(&entries["codes.csv"]);
        let written: Vec<_> = rows.iter().map(|row| row["url"].as_str()).collect();
        assert_eq!(written, listed, "{query}");
        assert_eq!(entries.len(), listed.len() + 1, "{query}");
    }
    let refused = app.get_as(MINT, "/api/codes.zip").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_code_that_is_over_has_no_picture() {
    let clock = Arc::new(ManualClock::starting_at(SystemClock.now()));
    let app = TestApp::with()
        .spawn_by(Arc::<ManualClock>::clone(&clock))
        .await;
    for (id, seconds) in [(1, 600), (2, 6000)] {
        make(&app, json!({"scene_id": id, "expire_seconds": seconds})).await;
    }
    clock.advance(Duration::from_secs(601));
    let answer = app.get_as(STATS, "/api/codes.zip").await;
    let Some(entries) = unpacked(&answer.body) else {
        return;
    };
    let names: Vec<_> = entries.keys().map(String::as_str).collect();
    assert_eq!(names, ["2.png", "codes.csv"]);
}

/// More pages than one, whose names differ without regard to case.
#[tokio::test]
async fn a_long_archive_is_whole() {
    const CODES: usize = 230;
    let app = TestApp::spawn().await;
    let codes: Vec<_> = (0..CODES)
        .map(|n| json!({"scene_str": format!("s{n}"), "permanent": true, "label": if n % 2 == 0 { "Shop" } else { "shop" }}))
        .collect();
    for some in codes.chunks(100) {
        let made = app
            .post_as(ADMIN, "/api/codes", json!(some).to_string())
            .await;
        assert_eq!(made.status, StatusCode::MULTI_STATUS, "{made:?}");
    }
    let answer = app.get_as(STATS, "/api/codes.zip?size=100").await;
    let Some(mut entries) = unpacked(&answer.body) else {
        return;
    };
    let rows = rows(&entries.remove("codes.csv").unwrap());
    let names: HashSet<_> = entries.keys().map(|name| name.to_lowercase()).collect();
    assert_eq!((rows.len(), names.len()), (CODES, CODES));
    for row in rows {
        let (_, texts) = decode_png(&entries[&row["file"]]);
        assert_eq!(texts, [row["url"].as_str()], "{}", row["file"]);
    }
}
