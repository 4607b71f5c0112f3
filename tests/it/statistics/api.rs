//! Who came through which code: the events, the numbers, the file and the page, as their readers
//! get them.

use std::collections::BTreeSet;
use std::io::Cursor;

use calamine::{Data, Reader as _, Xlsx};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use wechat::event::EventKind::{Scan, Subscribe, Unsubscribe};

use crate::support::answer::Answer;
use crate::support::app::APP_ID;
use crate::support::database::Database;
use crate::support::followers::{Deed, Followed};
use crate::support::keys;
use crate::support::workbook::cells_of;

const ANN: &str = "oAnn_0123456789";
const BOB: &str = "oBob_0123456789";
const EVE: &str = "oEve_0123456789";

/// A week with three followers, and codes of every sort.
async fn a_week() -> Followed {
    a_week_on(Database::sqlite()).await
}

async fn a_week_on(database: Database) -> Followed {
    let followed = Followed::on(database, |builder| builder).await;
    let poster = json!({"scene_str": "poster", "permanent": true, "label": "=海报, \"A\"", "group": "+上海"});
    let poster = followed.code(&poster).await;
    let shop = followed
        .code(&json!({"scene_id": 7, "permanent": true}))
        .await;
    let passing = followed.code(&json!({"scene_id": 7})).await;
    followed
        .code(&json!({"scene_str": "quiet", "label": "Quiet"}))
        .await;
    // Neither named nor scanned.
    followed.code(&json!({"scene_str": "nameless"})).await;
    let deed = |who, kind, at, code| Deed {
        who,
        kind,
        at,
        code,
    };
    let poster = Some((&*poster, "poster"));
    followed
        .record(&[
            deed(ANN, Subscribe, "2026-11-02T01:00:00Z", poster),
            deed(ANN, Scan, "2026-11-02T02:00:00Z", poster),
            deed(ANN, Scan, "2026-11-03T02:00:00Z", poster),
            deed(ANN, Scan, "2026-11-03T03:00:00Z", Some((&shop, "7"))),
            // Ten to midnight in China, and ten past.
            deed(BOB, Subscribe, "2026-11-03T15:50:00Z", poster),
            deed(BOB, Scan, "2026-11-03T16:10:00Z", Some((&passing, "7"))),
            deed(BOB, Unsubscribe, "2026-11-05T01:00:00Z", None),
            deed(
                EVE,
                Subscribe,
                "2026-11-04T05:00:00Z",
                Some(("gQelsewhere", "-1+1")),
            ),
        ])
        .await;
    followed
}

const WEEK: &str = "from=2026-11-01&to=2026-11-07";

fn row(scene: Value, names: Value, numbers: [i64; 5]) -> Value {
    let mut row = json!({"attributed": true});
    let fields = row.as_object_mut().unwrap();
    for more in [scene, names] {
        fields.extend(more.as_object().unwrap().clone());
    }
    let [scans, people, new_followers, lost, net] = numbers;
    fields.extend(
        json!({"scans": scans, "people": people, "new_followers": new_followers, "lost": lost, "net": net})
            .as_object()
            .unwrap()
            .clone(),
    );
    row
}

/// In an order of its own: the answer's is not promised.
fn sorted(mut rows: Vec<Value>) -> Vec<String> {
    let mut texts: Vec<String> = rows.drain(..).map(|row| row.to_string()).collect();
    texts.sort_unstable();
    texts
}

fn poster(numbers: [i64; 5]) -> Value {
    row(
        json!({"scene_str": "poster", "permanent": true}),
        json!({"label": "=海报, \"A\"", "group": "+上海"}),
        numbers,
    )
}

fn shop(numbers: [i64; 5]) -> Value {
    row(
        json!({"scene_id": 7, "permanent": true}),
        json!({}),
        numbers,
    )
}

fn passing(numbers: [i64; 5]) -> Value {
    row(
        json!({"scene_id": 7, "permanent": false}),
        json!({}),
        numbers,
    )
}

fn quiet(numbers: [i64; 5]) -> Value {
    row(
        json!({"scene_str": "quiet", "permanent": false}),
        json!({"label": "Quiet"}),
        numbers,
    )
}

fn elsewhere(numbers: [i64; 5]) -> Value {
    let mut row = row(json!({"scene_str": "-1+1"}), json!({}), numbers);
    row["attributed"] = json!(false);
    row
}

fn on(mut row: Value, day: &str) -> Value {
    row["day"] = json!(day);
    row
}

#[tokio::test]
async fn the_files_name_says_what_is_in_it() {
    let followed = Followed::spawn().await;
    for (query, ascii, full) in [
        ("by=total", "total", "total"),
        ("by=day", "by-day", "by-day"),
        (
            "scene=id:7&by=day",
            "scene_id-7-by-day",
            "scene_id-7-by-day",
        ),
        (
            "scene=str:7&by=day",
            "scene_str-7-by-day",
            "scene_str-7-by-day",
        ),
        ("group=7&by=day", "group-7-by-day", "group-7-by-day"),
        (
            "scene=permanent:str:7&q=a",
            "permanent-scene_str-7-q-a-total",
            "permanent-scene_str-7-q-a-total",
        ),
        (
            "group=%E4%B8%8A%E6%B5%B7&scene=str:a%2Fb%22",
            "group-__-scene_str-a_b_-total",
            "group-%E4%B8%8A%E6%B5%B7-scene_str-a_b_-total",
        ),
    ] {
        let path = format!("/api/stats.csv?from=2026-11-01&to=2026-11-07&{query}");
        let got = followed
            .get(keys::STATS, &path)
            .await
            .header("content-disposition");
        let days = "2026-11-01-to-2026-11-07.csv";
        let want = format!(
            "attachment; filename=\"wxqr-stats-{ascii}-{days}\"; filename*=UTF-8''wxqr-stats-{full}-{days}"
        );
        assert_eq!(got, want, "{query}");
    }
}

#[tokio::test]
async fn numbers_are_listed_for_each_code_with_a_name_or_a_scan() {
    check_numbers(&a_week().await).await;
}

/// What SQLite and PostgreSQL answer is the same.
#[tokio::test]
async fn postgresql_answers_the_same() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let followed = a_week_on(database).await;
    check_numbers(&followed).await;
    check_sums(&followed).await;
    check_filters(&followed).await;
}

async fn check_numbers(followed: &Followed) {
    for (query, want) in [
        (
            WEEK,
            vec![
                poster([4, 2, 2, 1, 1]),
                shop([1, 1, 0, 0, 0]),
                passing([1, 1, 0, 0, 0]),
                quiet([0, 0, 0, 0, 0]),
                elsewhere([1, 1, 1, 0, 1]),
            ],
        ),
        (
            "from=2026-11-03&to=2026-11-03",
            vec![
                poster([2, 2, 1, 1, 0]),
                shop([1, 1, 0, 0, 0]),
                quiet([0, 0, 0, 0, 0]),
            ],
        ),
        (
            "from=2026-11-06&to=2026-11-07",
            vec![
                poster([0, 0, 0, 0, 0]),
                shop([0, 0, 0, 0, 0]),
                quiet([0, 0, 0, 0, 0]),
            ],
        ),
        (
            &format!("{WEEK}&group=%2B上海"),
            vec![poster([4, 2, 2, 1, 1])],
        ),
        (
            &format!("{WEEK}&scene=id:7"),
            vec![shop([1, 1, 0, 0, 0]), passing([1, 1, 0, 0, 0])],
        ),
        (
            &format!("{WEEK}&scene=str:-1%2B1"),
            vec![elsewhere([1, 1, 1, 0, 1])],
        ),
        (
            "from=2026-11-03&to=2026-11-04&by=day&scene=str:poster",
            vec![
                on(poster([2, 2, 1, 1, 0]), "2026-11-03"),
                on(poster([0, 0, 0, 0, 0]), "2026-11-04"),
            ],
        ),
        (&format!("{WEEK}&scene=id:8"), vec![]),
        (&format!("{WEEK}&group=no"), vec![]),
    ] {
        assert_eq!(sorted(followed.rows(query).await), sorted(want), "{query}");
    }
}

#[tokio::test]
async fn all_codes_together_have_sums_and_no_people() {
    check_sums(&a_week().await).await;
}

async fn check_sums(followed: &Followed) {
    let sum = |day: Option<&str>, [scans, new_followers, lost, net]: [i64; 4]| {
        let mut row =
            json!({"scans": scans, "new_followers": new_followers, "lost": lost, "net": net});
        if let Some(day) = day {
            row["day"] = json!(day);
        }
        row
    };
    for (query, want) in [
        (format!("{WEEK}&sum=true"), vec![sum(None, [7, 3, 1, 2])]),
        (
            format!("{WEEK}&sum=true&group=%2B上海"),
            vec![sum(None, [4, 2, 1, 1])],
        ),
        (
            format!("{WEEK}&sum=true&scene=id:7"),
            vec![sum(None, [2, 0, 0, 0])],
        ),
        (
            "from=2026-11-02&to=2026-11-05&sum=true&by=day".to_owned(),
            vec![
                sum(Some("2026-11-02"), [2, 1, 0, 1]),
                sum(Some("2026-11-03"), [3, 1, 1, 0]),
                sum(Some("2026-11-04"), [2, 1, 0, 1]),
                sum(Some("2026-11-05"), [0, 0, 0, 0]),
            ],
        ),
        (
            "from=2026-11-08&to=2026-11-09&sum=true".to_owned(),
            vec![sum(None, [0, 0, 0, 0])],
        ),
    ] {
        assert_eq!(followed.rows(&query).await, want, "{query}");
    }
}

#[tokio::test]
async fn the_answer_says_which_days_it_is_about_and_what_the_numbers_mean() {
    let followed = Followed::with(|builder| builder.set("TIME_ZONE", "+14:00")).await;
    let today = || Offset::constant(14).to_datetime(now()).date();
    let before = today();
    let stats = followed.get(keys::STATS, "/api/stats").await;
    let after = today();
    let (from, to) = (stats.field("from"), stats.field("to"));
    // A test may begin a moment before midnight.
    assert!(
        [before, after].map(|day| day.to_string()).contains(&to),
        "{to}"
    );
    let [first, last] = [from, to].map(|day| day.parse::<jiff::civil::Date>().unwrap());
    assert_eq!((last - first).get_days(), 29);
    assert_eq!(stats.field("by"), "total");
    assert_eq!(stats.field("time_zone"), "+14:00");
    for (lang, want) in [
        ("", "New followers minus lost."),
        ("lang=en", "New followers minus lost."),
        ("lang=zh", "新增关注减去流失。"),
    ] {
        let stats = followed
            .get(keys::STATS, &format!("/api/stats?{lang}"))
            .await;
        let definitions = &stats.json()["definitions"];
        assert_eq!(definitions["net"], want, "{lang}");
        for name in ["scans", "people", "new_followers", "lost", "unattributed"] {
            let text = definitions[name].as_str().unwrap();
            assert!(text.chars().count() > 10, "{lang} {name}: {text}");
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the service reads the same clock"
)]
fn now() -> Timestamp {
    Timestamp::now()
}

#[tokio::test]
async fn the_file_is_what_a_spreadsheet_reads_and_runs_nothing() {
    let followed = a_week().await;
    let path = format!("/api/stats.csv?{WEEK}");
    let file = followed.get(keys::STATS, &path).await;
    assert_eq!(file.status, 200, "{file:?}");
    assert_eq!(file.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(
        file.header("content-disposition"),
        "attachment; filename=\"wxqr-stats-total-2026-11-01-to-2026-11-07.csv\"; filename*=UTF-8''wxqr-stats-total-2026-11-01-to-2026-11-07.csv"
    );
    assert_eq!(file.header("cache-control"), "no-store");
    assert_eq!(file.header("access-control-allow-origin"), "");
    let lines = ["'=海报, \"\"A\"\""];
    let poster = format!("\"{}\",'+上海,,poster,permanent,4,2,2,1,1\r\n", lines[0]);
    let want = [
        poster.as_str(),
        ",,7,,permanent,1,1,0,0,0\r\n",
        ",,7,,temporary,1,1,0,0,0\r\n",
        "Quiet,,,quiet,temporary,0,0,0,0,0\r\n",
        ",,,'-1+1,unattributed,1,1,1,0,1\r\n",
    ];
    let headings =
        "\u{feff}Label,Group,scene_id,scene_str,Kind,Scans,People,New followers,Lost,Net\r\n";
    let rest = file.text().strip_prefix(headings).unwrap();
    let got: BTreeSet<&str> = rest.split_inclusive("\r\n").collect();
    assert_eq!(got, BTreeSet::from(want));

    let path = "/api/stats.csv?from=2026-11-03&to=2026-11-04&by=day&scene=str:poster&lang=zh";
    let file = followed.get(keys::STATS, path).await;
    let want = "\u{feff}名称,分组,scene_id,scene_str,类型,日期,扫码次数,扫码人数,新增关注,流失,净增\r\n\
        \"'=海报, \"\"A\"\"\",'+上海,,poster,永久,2026-11-03,2,2,1,1,0\r\n\
        \"'=海报, \"\"A\"\"\",'+上海,,poster,永久,2026-11-04,0,0,0,0,0\r\n";
    assert_eq!(file.text(), want);
    assert_eq!(&file.body[..3], [0xEF, 0xBB, 0xBF]);
}

#[tokio::test]
async fn archived_codes_are_counted_and_marked() {
    let followed = a_week().await;
    let path = format!("/api/stats?{WEEK}");
    let before = followed.get(keys::STATS, &path).await.json();
    for code in [
        json!({"scene_str": "poster", "permanent": true, "archived": true}),
        json!({"scene_id": 7, "permanent": true, "archived": true}),
    ] {
        followed.code(&code).await;
    }
    let after = followed.get(keys::STATS, &path).await.json();
    let rows = after["rows"].as_array().unwrap();
    let marked: Vec<_> = rows.iter().filter(|row| row["archived"] == true).collect();
    assert_eq!(marked.len(), 2, "{after}");
    assert!(marked.iter().all(|row| row["permanent"] == true), "{after}");
    let mut unmarked = after.clone();
    for row in unmarked["rows"].as_array_mut().unwrap() {
        row.as_object_mut().unwrap().remove("archived");
    }
    assert_eq!(unmarked, before);
    let group = format!("{path}&group=%2B%E4%B8%8A%E6%B5%B7");
    let group = followed.get(keys::STATS, &group).await.json();
    assert_eq!(group["rows"][0]["archived"], true, "{group}");
}

#[tokio::test]
async fn a_workbook_has_numbers_and_days_and_texts_that_stay() {
    let followed = a_week().await;
    let path = "/api/stats.xlsx?from=2026-11-03&to=2026-11-04&by=day&scene=str:poster&lang=zh";
    let file = followed.get(keys::STATS, path).await;
    assert_eq!(file.status, 200, "{file:?}");
    assert!(
        file.header("content-disposition")
            .ends_with("UTF-8''wxqr-stats-scene_str-poster-by-day-2026-11-03-to-2026-11-04.xlsx"),
        "{file:?}"
    );
    let texts = ["=海报, \"A\"", "+上海", "poster", "永久"];
    let [label, group, scene, kind] = texts;
    if let Some(cells) = cells_of(&file.body) {
        let want = json!([
            [
                "名称",
                "分组",
                "scene_id",
                "scene_str",
                "类型",
                "日期",
                "扫码次数",
                "扫码人数",
                "新增关注",
                "流失",
                "净增"
            ],
            [
                label,
                group,
                null,
                scene,
                kind,
                "2026-11-03T00:00:00",
                2,
                2,
                1,
                1,
                0
            ],
            [
                label,
                group,
                null,
                scene,
                kind,
                "2026-11-04T00:00:00",
                0,
                0,
                0,
                0,
                0
            ],
        ]);
        assert_eq!(cells, want);
    }
    // Another library reads the same.
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(file.body)).unwrap();
    let sheet = workbook.worksheet_range("统计").unwrap();
    assert_eq!(sheet[(1, 1)], Data::String(group.to_owned()));
    assert_eq!(sheet[(1, 6)], Data::Float(2.0));
    let Data::DateTime(day) = &sheet[(1, 5)] else {
        unreachable!("{sheet:?}")
    };
    assert_eq!(day.to_ymd_hms_milli(), (2026, 11, 3, 0, 0, 0, 0));

    let path = format!("/api/stats.xlsx?{WEEK}");
    let totals = followed.get(keys::STATS, &path).await;
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(totals.body)).unwrap();
    let sheet = workbook.worksheet_range("Statistics").unwrap();
    assert_eq!(sheet.get_size(), (6, 10));
    let numbered = sheet
        .rows()
        .find(|row| row[4] == Data::String("permanent".to_owned()) && row[0] == Data::Empty);
    assert_eq!(numbered.unwrap()[2], Data::String("7".to_owned()));
}

#[tokio::test]
async fn events_are_newest_first_with_openids_for_the_scope_people() {
    let followed = a_week().await;
    let page = followed.get(keys::STATS, "/api/scans?limit=3").await.json();
    let items = page["items"].as_array().unwrap();
    let [left, eve, bob] = &items[..] else {
        unreachable!("{page}")
    };
    let person = |event: &Value| event["person"].as_str().unwrap().to_owned();
    assert_eq!(
        *left,
        json!({"id": left["id"], "at": "2026-11-05T01:00:00Z", "event": "unsubscribe", "person": left["person"]})
    );
    assert_eq!(
        *eve,
        json!({"id": eve["id"], "at": "2026-11-04T05:00:00Z", "event": "subscribe", "scene_str": "-1+1", "attributed": false, "person": eve["person"]})
    );
    assert_eq!(
        *bob,
        json!({"id": bob["id"], "at": "2026-11-03T16:10:00Z", "event": "scan", "scene_id": 7, "permanent": false, "attributed": true, "person": bob["person"]})
    );
    assert_eq!(person(left), person(bob));
    assert_ne!(person(left), person(eve));
    // The openid is erased after an unfollow.
    for key in [keys::STATS_AND_PEOPLE, keys::ADMIN] {
        let page = followed.get(key, "/api/scans?limit=3").await.json();
        let openids: Vec<_> = (0..3).map(|n| page["items"][n].get("openid")).collect();
        assert_eq!(openids, [None, Some(&json!(EVE)), None], "{page}");
        let without = |mut page: Value| {
            for item in page["items"].as_array_mut().unwrap() {
                item.as_object_mut().unwrap().remove("openid");
            }
            page
        };
        let plain = followed.get(keys::STATS, "/api/scans?limit=3").await.json();
        assert_eq!(without(page), plain, "nothing else is different");
    }
    assert!(!page.to_string().contains("oEve"), "{page}");
}

/// The ids of all events after a cursor, page by page, and the last cursor.
async fn caught_up(followed: &Followed, from: &str, limit: usize) -> (Vec<String>, String) {
    let (mut ids, mut cursor) = (Vec::new(), from.to_owned());
    loop {
        let path = format!("/api/scans?cursor={cursor}&limit={limit}");
        let page = followed.get(keys::STATS, &path).await;
        assert_eq!(page.status, 200, "{page:?}");
        cursor = page.field("cursor");
        let page = page.json();
        let items = page["items"].as_array().unwrap();
        if items.is_empty() {
            return (ids, cursor);
        }
        assert!(items.len() <= limit, "{page}");
        let new = items
            .iter()
            .map(|item| item["id"].as_str().unwrap().to_owned());
        ids.extend(new);
    }
}

#[tokio::test]
async fn a_reader_with_a_cursor_misses_nothing_however_late_it_comes() {
    let followed = Followed::spawn().await;
    let ticket = followed.code(&json!({"scene_id": 1})).await;
    let code = Some((&*ticket, "1"));
    let mut listed = Vec::new();
    let mut cursor = "0".to_owned();
    // Each batch happened before the one before it, so that time and storing run against each
    // other.
    for batch in 0..12 {
        let day = 28 - batch;
        let moments: Vec<_> = (0..9)
            .map(|n| format!("2026-10-{day:02}T0{n}:00:00Z"))
            .collect();
        let deeds: Vec<_> = moments
            .iter()
            .map(|at| Deed {
                who: ANN,
                kind: Scan,
                at,
                code,
            })
            .collect();
        followed.record(&deeds).await;
        let (new, next) = caught_up(&followed, &cursor, 4).await;
        assert_eq!(new.len(), 9, "batch {batch}");
        listed.extend(new);
        cursor = next;
        let (again, same) = caught_up(&followed, &cursor, 4).await;
        assert_eq!((again, &same), (vec![], &cursor));
    }
    let (all, end) = caught_up(&followed, "0", 1000).await;
    assert_eq!(all, listed, "in the order of storing");
    assert_eq!(end, cursor);
    // After the newest page, the cursor continues with events stored later, however old.
    let newest = followed.get(keys::STATS, "/api/scans?limit=5").await;
    let times: Vec<_> = newest.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["at"].as_str().unwrap().to_owned())
        .collect();
    let want = [8, 7, 6, 5, 4].map(|hour| format!("2026-10-28T0{hour}:00:00Z"));
    assert_eq!(times, want);
    let late = Deed {
        who: BOB,
        kind: Scan,
        at: "2026-01-01T00:00:00Z",
        code,
    };
    followed.record(&[late]).await;
    let (new, _) = caught_up(&followed, &newest.field("cursor"), 100).await;
    assert_eq!(new.len(), 1);
}

#[tokio::test]
async fn a_reader_may_ask_for_some_events_only() {
    check_filters(&a_week().await).await;
}

async fn check_filters(followed: &Followed) {
    for (query, want) in [
        ("scene=id:7", 2),
        ("scene=str:poster", 4),
        ("scene=str:-1%2B1", 1),
        ("scene=id:8", 0),
        ("since=2026-11-03", 6),
        ("since=2026-11-03T15:50:00Z", 4),
        ("since=2026-11-03T23:50:00%2B08:00", 4),
        ("since=2026-11-03T15:50:01Z", 3),
        ("scene=str:poster&since=2026-11-03", 2),
        ("limit=2", 2),
    ] {
        for more in ["", "&cursor=0"] {
            let path = format!("/api/scans?{query}{more}");
            let page = followed.get(keys::STATS, &path).await.json();
            assert_eq!(page["items"].as_array().unwrap().len(), want, "{path}");
        }
    }
}

#[tokio::test]
async fn a_refused_parameter_names_what_is_accepted() {
    let followed = a_week().await;
    let (days, limit) = ("must be a day such as 2026-11-22", "from 1 to 1000");
    for (path, parameter, want) in [
        ("/api/scans?cursor=x", "cursor", "or 0 for the beginning"),
        ("/api/scans?cursor=-1", "cursor", "or 0 for the beginning"),
        ("/api/scans?cursor=9", "cursor", "begin again with cursor=0"),
        ("/api/scans?limit=0", "limit", limit),
        ("/api/scans?limit=1001", "limit", limit),
        (
            "/api/scans?since=yesterday",
            "since",
            "2026-11-22T08:00:00Z",
        ),
        ("/api/scans?since=2026-11-22T08:00:00+08:00", "since", "%2B"),
        ("/api/scans?scene=7", "scene", "id:NUMBER or str:TEXT"),
        ("/api/scans?limit=1&limit=2", "limit", "once"),
        (
            "/api/scans?openid=o",
            "openid",
            "scene, since, cursor, limit",
        ),
        ("/api/stats?from=2026-11-31", "from", days),
        ("/api/stats?to=tomorrow", "to", days),
        (
            "/api/stats?from=2026-11-02&to=2026-11-01",
            "from",
            "after to (2026-11-01)",
        ),
        ("/api/stats?by=week", "by", "day or total"),
        ("/api/stats?group=%00", "group", "control characters"),
        ("/api/stats?lang=de", "lang", "zh or en"),
        (
            "/api/stats.csv?sum=true",
            "sum",
            "accepted: q, scene, group, from, to, by, lang",
        ),
        ("/api/stats.csv?by=", "by", "day or total"),
    ] {
        let answer = followed.get(keys::STATS, path).await;
        assert_eq!(
            answer.problem(),
            (400, "invalid_parameter".to_owned()),
            "{path}"
        );
        assert_eq!(answer.field("parameter"), parameter, "{path}");
        let detail = answer.field("detail");
        assert!(detail.contains(want), "{path}: {detail}");
    }
    assert_eq!(
        followed
            .get(keys::STATS, "/api/scans?cursor=8")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn row_limit_refuses_statistics_before_they_are_computed() {
    let followed = Followed::spawn().await;
    for scene in 1..=3 {
        let body = json!({"scene_id": scene, "label": "a", "group": if scene == 1 { "one" } else { "more" }});
        followed.code(&body).await;
    }
    // 40,000 days.
    let range = "from=2000-01-01&to=2109-07-07";
    for (query, want) in [
        (format!("{range}&by=day"), 400),
        (format!("{range}&by=day&group=more"), 200),
        (format!("{range}&by=day&group=one"), 200),
        (format!("{range}&by=day&scene=id:2"), 200),
        (format!("{range}&by=day&sum=true"), 200),
        (range.to_owned(), 200),
        ("by=day&from=1970-01-01&to=9999-12-31".to_owned(), 400),
        (
            "by=day&from=1970-01-01&to=9999-12-31&sum=true".to_owned(),
            400,
        ),
        ("from=1970-01-01&to=9999-12-31".to_owned(), 200),
    ] {
        for path in ["/api/stats", "/api/stats.csv", "/api/stats.xlsx"] {
            if path != "/api/stats" && query.contains("sum") {
                continue;
            }
            let answer = followed.get(keys::STATS, &format!("{path}?{query}")).await;
            assert_eq!(answer.status, want, "{path}?{query}");
            if want == 400 {
                assert_eq!(answer.problem().1, "invalid_parameter");
                assert!(answer.field("detail").contains("100,000 rows"));
            }
        }
    }
}

#[tokio::test]
async fn slow_clients_of_long_answers_keep_no_connection_of_the_database() {
    /// More than the database reads statistics at once.
    const SLOW_CLIENTS: usize = 5;
    /// With long names, so that an answer of few rows fills the buffers of its connection.
    const CODES: usize = 10_000;
    let database = Database::sqlite();
    database.store().await.database.close().await;
    let insert = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {CODES})
         INSERT INTO channel (appid, kind, scene, label, group_name) SELECT '{APP_ID}', 'QR_SCENE', i, printf('%.1500c', 'x'), 'south' FROM n"
    );
    database.run(&insert).await;
    let followed = Followed::on(database, |builder| builder).await;
    let mut slow = Vec::new();
    for _ in 0..SLOW_CLIENTS {
        let mut client = TcpStream::connect(followed.app.address).await.unwrap();
        let request = format!(
            "GET /api/stats HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
            keys::STATS
        );
        client.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 15];
        client.read_exact(&mut start).await.unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        slow.push(client);
    }
    let answer = followed.get(keys::STATS, "/api/stats").await;
    assert_eq!(answer.json()["rows"].as_array().unwrap().len(), CODES);
    let file = followed.get(keys::STATS, "/api/stats.csv").await;
    assert_eq!(file.text().lines().count(), CODES + 1);
}

#[tokio::test]
async fn only_a_key_with_the_scope_reads_the_numbers() {
    let followed = a_week().await;
    for path in [
        "/api/scans",
        "/api/stats",
        "/api/stats.csv",
        "/api/stats.xlsx",
    ] {
        for key in [keys::MINT, keys::PEOPLE] {
            let answer = followed.get(key, path).await;
            assert_eq!(
                answer.problem(),
                (403, "scope_missing".to_owned()),
                "{path}"
            );
            assert!(answer.field("detail").contains("stats"), "{answer:?}");
        }
        let unknown = followed.get("no-such-key-0123456", path).await;
        assert_eq!(
            unknown.problem(),
            (401, "unauthorized".to_owned()),
            "{path}"
        );
        for path in [path.to_owned(), format!("{path}?key={}", keys::STATS)] {
            let none: Answer = followed.app.get(&path).await;
            assert_eq!(none.problem(), (401, "unauthorized".to_owned()), "{path}");
        }
        for key in [keys::STATS, keys::STATS_AND_PEOPLE, keys::ADMIN] {
            assert_eq!(followed.get(key, path).await.status, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn the_page_has_no_numbers_and_says_whether_the_callback_is_on() {
    let followed = a_week().await;
    let off = followed.app.get("/stats?lang=en").await;
    assert_eq!(off.status, 200);
    assert!(off.text().contains("WXQR_CALLBACK_TOKEN is not set"));
    for private in ["海报", "poster", "oAnn"] {
        assert!(!off.text().contains(private), "{private}");
    }
    let taken = Followed::with(|builder| builder.set("CALLBACK_TOKEN", "token123")).await;
    let on = taken.app.get("/stats?lang=en").await;
    assert!(!on.text().contains("WXQR_CALLBACK_TOKEN"));
    assert!(on.text().contains("No scan has come yet"));
    for (accept, want) in [("zh-CN", "扫码统计"), ("en", "Scan statistics")] {
        let page = taken
            .app
            .get_with("/stats", &[("accept-language", accept)])
            .await;
        assert!(page.text().contains(&format!("<h1>{want}</h1>")));
    }
}

#[tokio::test]
async fn a_scene_with_a_kind_has_the_numbers_of_one_code() {
    let followed = Followed::spawn().await;
    let permanent = json!({"scene_str": "ab", "permanent": true, "label": "Poster"});
    let permanent = followed.code(&permanent).await;
    let temporary = json!({"scene_str": "ab", "label": "Stand", "group": "Fair"});
    let temporary = followed.code(&temporary).await;
    let deeds = [
        (&*permanent, 1, "oA"),
        (&*temporary, 2, "oA"),
        (&*temporary, 3, "oB"),
        ("gQunknown", 4, "oC"),
    ];
    let at = |minute: i32| format!("2026-11-03T10:0{minute}:00+08:00");
    let times = deeds.map(|(_, minute, _)| at(minute));
    let deeds: Vec<_> = deeds
        .iter()
        .zip(&times)
        .map(|((ticket, _, who), at)| Deed {
            who,
            kind: Scan,
            at,
            code: Some((ticket, "ab")),
        })
        .collect();
    followed.record(&deeds).await;
    let days = "from=2026-11-01&to=2026-11-07";
    for (scene, scans, events) in [
        ("str:ab", vec![1, 2, 1], 4),
        ("permanent:str:ab", vec![1], 1),
        ("temporary:str:ab", vec![2], 2),
        ("unattributed:str:ab", vec![1], 1),
        ("permanent:id:7", vec![], 0),
    ] {
        let rows = followed.rows(&format!("{days}&scene={scene}")).await;
        let mut got: Vec<_> = rows.iter().map(|row| row["scans"].clone()).collect();
        got.sort_by_key(ToString::to_string);
        let mut want = scans.clone();
        want.sort_unstable();
        assert_eq!(json!(got), json!(want), "{scene}: {rows:?}");
        let sum = format!("{days}&sum=true&scene={scene}");
        let sum = &followed.rows(&sum).await[0]["scans"];
        assert_eq!(*sum, json!(scans.iter().sum::<i32>()), "{scene}");
        let scans = format!("/api/scans?scene={scene}");
        let scans = followed.get(keys::STATS, &scans).await.json();
        assert_eq!(scans["items"].as_array().unwrap().len(), events, "{scene}");
    }
    // A file has what a search finds in label, group or scene.
    for (query, want) in [
        ("q=POST", vec!["Poster"]),
        ("q=fair", vec!["Stand"]),
        ("q=ab&scene=permanent:str:ab", vec!["Poster"]),
        ("q=none", vec![]),
    ] {
        let path = format!("/api/stats.csv?{days}&{query}");
        let file = followed.get(keys::STATS, &path).await;
        let lines = file.text().lines().skip(1);
        let labels: Vec<_> = lines.map(|line| line.split(',').next().unwrap()).collect();
        assert_eq!(labels, want, "{query}");
        let path = format!("/api/stats.xlsx?{days}&{query}");
        let file = followed.get(keys::STATS, &path).await;
        if let Some(Value::Array(cells)) = cells_of(&file.body) {
            let labels: Vec<_> = cells[1..].iter().map(|row| row[0].clone()).collect();
            assert_eq!(json!(labels), json!(want), "{query}");
        }
    }
}
