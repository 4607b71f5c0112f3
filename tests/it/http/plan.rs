//! `POST /api/codes/plan`: what a file would make.

use std::collections::HashSet;

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::keys::{ADMIN, MINT, PERMANENT, STATS};

const CSV: &str = "text/csv";
const LINES: &str = "text/plain; charset=utf-8";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

async fn post(
    app: &TestApp,
    key: &str,
    query: &str,
    kind: &str,
    file: impl Into<Vec<u8>>,
) -> Answer {
    let request = app.request(Method::POST, &format!("/api/codes/plan{query}"));
    let request = request.bearer_auth(key).header("content-type", kind);
    Answer::to(request.body(file.into())).await
}

async fn plan(app: &TestApp, kind: &str, file: impl Into<Vec<u8>>) -> Value {
    let answer = post(app, ADMIN, "", kind, file).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

fn statuses(plan: &Value) -> Vec<&str> {
    let rows = plan["rows"].as_array().unwrap().iter();
    rows.map(|row| row["status"].as_str().unwrap()).collect()
}

/// Does what the plan says, and returns how many codes are new.
async fn execute(app: &TestApp, plan: &Value) -> usize {
    let mut new = 0;
    for row in plan["rows"].as_array().unwrap() {
        if ["new", "changed"].contains(&row["status"].as_str().unwrap()) {
            let body = row["request"].to_string();
            let answer = app.post_as(ADMIN, "/api/codes", body).await;
            assert!(answer.status.is_success(), "{answer:?}");
            new += usize::from(answer.status == StatusCode::CREATED);
        }
    }
    new
}

#[tokio::test]
async fn a_plan_costs_nothing_and_done_twice_makes_each_code_once() {
    let app = TestApp::with().set("PERMANENT_LIMIT", "100").spawn().await;
    let names: Vec<_> = (1..=30).map(|n| format!("门店 {n}\n")).collect();
    let file = names.concat();
    let first = plan(&app, LINES, file.clone()).await;
    assert_eq!(statuses(&first), ["new"; 30]);
    assert_eq!(first["new_permanent"], 30);
    assert_eq!(first["permanent_left"], 100);
    assert_eq!(app.creates(), 0);
    assert_eq!(plan(&app, LINES, file.clone()).await, first);

    // Half of it, as if the tab had been closed.
    let mut half = first.clone();
    half["rows"].as_array_mut().unwrap().truncate(15);
    assert_eq!(execute(&app, &half).await, 15);
    let again = plan(&app, LINES, file.clone()).await;
    assert_eq!(again["new_permanent"], 15);
    assert_eq!(again["permanent_left"], 85);
    assert_eq!(execute(&app, &again).await, 15);
    assert_eq!(app.creates(), 30);

    let done = plan(&app, LINES, file).await;
    assert_eq!(statuses(&done), ["known"; 30]);
    assert_eq!(done["new_permanent"], 0);
}

#[tokio::test]
async fn every_row_says_what_would_become_of_it() {
    let app = TestApp::spawn().await;
    for body in [
        json!({"scene_str": "a", "permanent": true, "label": "甲", "group": "上海"}),
        json!({"scene_str": "b", "permanent": true, "label": "乙"}),
        json!({"scene_str": "shop", "permanent": true, "label": "Other"}),
        json!({"scene_id": 7, "permanent": true}),
        json!({"scene_str": "t", "expire_seconds": 600, "label": "甲"}),
        json!({"scene_str": " blank", "expire_seconds": 600}),
    ] {
        app.post_as(ADMIN, "/api/codes", body.to_string()).await;
    }
    let file = "名称,分组,场景值,scene_id,类型,有效期,城市\n\
        甲,上海,,,,,\n\
        甲,,a,,永久,,\n\
        丙,北京,b,,true,,\n\
        shop,,,,,,\n\
        ,,,7,永久,,\n\
        七,,,7,永久,,\n\
        甲,,,,临时,,\n\
        丁,,,,,30天,\n\
        戊,,,,永久,12h,\n\
        ,上海,,,,,\n\
        己,,,100001,永久,,\n\
        庚,,wxqr.x,,,,\n\
        辛,,a&scene_id=1,,,,\n";
    let file = format!("{file}{},,,,,,\n", "长".repeat(101));
    let answer = post(&app, ADMIN, "?lang=zh", CSV, file).await;
    let plan = answer.json();
    let rows = plan["rows"].as_array().unwrap();
    let got: Vec<_> = rows
        .iter()
        .map(|row| {
            let problem = row["problem"].as_str().unwrap_or_default();
            (
                row["line"].as_u64().unwrap(),
                row["status"].as_str().unwrap(),
                problem,
            )
        })
        .collect();
    let want = [
        (2, "known", ""),
        (
            3,
            "invalid",
            "与第 2 行重复（场景值 a）；请改名称，或填写另一个场景值。",
        ),
        (4, "changed", ""),
        (5, "new", ""),
        (6, "known", ""),
        (
            7,
            "invalid",
            "与第 6 行重复（场景值 7）；请改名称，或填写另一个场景值。",
        ),
        (8, "known", ""),
        (9, "new", ""),
        (
            10,
            "invalid",
            "有效期仅用于临时二维码，永久二维码不会过期。",
        ),
        (11, "invalid", "名称缺失，请填写。"),
        (12, "invalid", "数字场景值须为 1 至 100000 的整数。"),
        (
            13,
            "invalid",
            "场景值不能以“wxqr.”开头，这样的场景值由本服务自用。",
        ),
        (
            14,
            "invalid",
            "场景值含有参数 scene_id，像是链接的一部分；请去掉。",
        ),
        (15, "invalid", "名称最多 100 个字符，且不能含有控制字符。"),
    ];
    assert_eq!(got, want, "{plan}");
    assert_eq!(plan["new_permanent"], 1);
    assert_eq!(plan["unknown_columns"], json!(["城市"]));
    // The scene "shop" has another name.
    let proposed = rows[3]["request"]["scene_str"].as_str().unwrap();
    assert!(proposed.starts_with("shop-"), "{proposed}");
    assert_eq!(rows[0]["request"]["scene_str"], "a");
    assert_eq!(rows[7]["request"]["expire_seconds"], 2_592_000);
    assert_eq!(rows[7]["request"]["permanent"], false);
}

#[tokio::test]
async fn a_problem_begins_with_the_name_of_its_column() {
    let app = TestApp::spawn().await;
    let file = "名称,类型,有效期,回复\n\
        甲,长久,,\n\
        乙,,3年,\n\
        ,永久,,\n\
        \"丙\n丁\",,,\n\
        戊,,,,己\n";
    let got = plan(&app, CSV, file).await;
    let rows = got["rows"].as_array().unwrap().iter();
    let problems: Vec<_> = rows.map(|row| row["problem"].as_str().unwrap()).collect();
    let want = [
        "permanent must be 永久 (permanent) or 临时 (temporary), or true or false.",
        "expire_seconds must be a number of seconds, or such as 12h or 30d.",
        "label is missing: give a name, or a scene.",
        "label has a line break; perhaps a quotation mark is not closed.",
        "There are more cells than headings; put a text with a separator in quotes.",
    ];
    assert_eq!(problems, want);
}

#[tokio::test]
async fn a_temporary_code_that_exists_is_kept() {
    let app = TestApp::spawn().await;
    for name in ["Stand", "Pop-up"] {
        let code = json!({"scene_str": name, "expire_seconds": 86_400, "label": name});
        app.post_as(ADMIN, "/api/codes", code.to_string()).await;
    }
    let file = "label,group,permanent,expire_seconds\n\
        Stand,Fair,false,30d\n\
        Pop-up,,false,30d\n\
        Third,,false,30d\n\
        Poster,,true,\n";
    let plan = plan(&app, CSV, file).await;
    assert_eq!(statuses(&plan), ["changed", "known", "new", "new"]);
    let renew = [json!(false), json!(false), json!(null), json!(null)];
    for (row, renew) in plan["rows"].as_array().unwrap().iter().zip(renew) {
        assert_eq!(row["request"]["renew"], renew, "{row}");
    }
    assert_eq!(execute(&app, &plan).await, 2);
    let known = plan["rows"][1]["request"].to_string();
    let known = app.post_as(ADMIN, "/api/codes", known).await;
    assert_eq!(known.status, StatusCode::OK, "{known:?}");
    assert_eq!(app.creates(), 4);
}

#[tokio::test]
async fn a_row_may_have_a_reply() {
    let app = TestApp::spawn().await;
    let file = "名称,回复\n\
        甲,\"欢迎\n第二行\"\n\
        乙,  欢迎  \n\
        丙,\n";
    let first = plan(&app, CSV, file).await;
    assert_eq!(statuses(&first), ["new"; 3]);
    let rows = first["rows"].as_array().unwrap();
    assert_eq!(rows[0]["request"]["reply"], json!({"text": "欢迎\n第二行"}));
    assert_eq!(rows[1]["request"]["reply"], json!({"text": "欢迎"}));
    assert_eq!(rows[1]["trimmed"], json!(["reply"]));
    assert_eq!(rows[2]["request"]["reply"], json!(null));
    execute(&app, &first).await;
    assert_eq!(statuses(&plan(&app, CSV, file).await), ["known"; 3]);
    let other = "名称,reply\n甲,再见\n乙,\n丙,你好\n";
    let other = plan(&app, CSV, other).await;
    assert_eq!(statuses(&other), ["changed", "known", "changed"]);
    let long = format!("名称,回复\n丁,{}\n", "展".repeat(601));
    let long = post(&app, ADMIN, "?lang=zh", CSV, long).await.json();
    assert_eq!(long["rows"][0]["problem"], "回复不得超过 600 个字符。");
}

#[tokio::test]
async fn a_row_may_have_a_card() {
    let app = TestApp::spawn().await;
    let card = |fields: &str| format!("\"{}\"", fields.replace('"', "\"\""));
    let whole = json!({"title": "周年 \"庆\", 一", "description": "今天\n明天", "image_url": "https://example.com/a.png", "url": "https://example.com/?a=1&b=2"});
    let file = format!(
        "名称,回复,图文回复\n甲,,{}\n乙,欢迎,\n丙,欢迎,{}\n丁,,不是 JSON\n戊,,{}\n己,,{}\n庚,,{}\n辛,,{}\n",
        card(&whole.to_string()),
        card(&whole.to_string()),
        card(r#"{"title": "周年庆"}"#),
        card(r#"{"title": "周年庆", "url": "https://example.com/", "foo": 1}"#),
        card(&json!({"title": "长".repeat(65), "url": "https://example.com/"}).to_string()),
        card("[]"),
    );
    let first = post(&app, ADMIN, "?lang=zh", CSV, file.clone())
        .await
        .json();
    let problems: Vec<_> = first["rows"].as_array().unwrap().iter().collect();
    let problems: Vec<_> = problems
        .iter()
        .map(|row| row["problem"].as_str().unwrap_or_default())
        .collect();
    let want = [
        "",
        "",
        "回复和图文回复只能填写一个。",
        "图文回复须为 JSON，例如 {\"title\": \"开业周\", \"url\": \"https://example.com/\"}。",
        "图文回复的 url 缺失。",
        "reply.news.foo is not a field of a card; accepted: title, description, image_url, url.",
        "图文回复的 title 不得超过 64 个字符。",
        "reply.news must be an object such as {\"title\": …, \"url\": …}.",
    ];
    assert_eq!(problems, want);
    assert_eq!(first["unknown_columns"], json!([]));
    assert_eq!(first["rows"][0]["request"]["reply"], json!({"news": whole}));
    execute(&app, &first).await;
    let again = plan(&app, CSV, file).await;
    assert_eq!(statuses(&again)[..2], ["known", "known"]);
    let other = card(&json!({"title": "t", "url": "https://example.com/"}).to_string());
    let other = plan(&app, CSV, format!("label,reply_news\n甲,{other}\n")).await;
    assert_eq!(statuses(&other), ["changed"]);
}

#[tokio::test]
async fn a_plan_takes_the_scopes_of_what_it_would_make() {
    let app = TestApp::spawn().await;
    for (key, query, file, want) in [
        (STATS, "", "名称\n甲\n", StatusCode::FORBIDDEN),
        (MINT, "", "名称\n甲\n", StatusCode::FORBIDDEN),
        (MINT, "?permanent=false", "名称\n甲\n", StatusCode::OK),
        (MINT, "", "名称,类型\n甲,临时\n", StatusCode::OK),
        (PERMANENT, "", "名称\n甲\n", StatusCode::OK),
        (
            PERMANENT,
            "",
            "名称,类型\n甲,永久\n乙,临时\n",
            StatusCode::FORBIDDEN,
        ),
    ] {
        let answer = post(&app, key, query, CSV, file).await;
        assert_eq!(answer.status, want, "{file}: {answer:?}");
    }
    let anonymous = app.request(Method::POST, "/api/codes/plan").body("甲");
    assert_eq!(Answer::to(anonymous).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_a_clear_error() {
    let app = TestApp::spawn().await;
    let rows = |rows: usize| format!("名称\n{}", "甲\n".repeat(rows)).into_bytes();
    for (kind, file, status, code) in [
        (CSV, b"".to_vec(), 400, "invalid_body"),
        (CSV, b"a,b\n1,2\n".to_vec(), 400, "invalid_body"),
        (CSV, rows(10_001), 413, "too_large"),
        (CSV, vec![b'a'; 4 * 1024 * 1024 + 1], 413, "too_large"),
        (
            XLSX,
            b"PK\x03\x04 and half a file".to_vec(),
            400,
            "invalid_body",
        ),
        (
            "application/pdf",
            b"name\na".to_vec(),
            400,
            "invalid_parameter",
        ),
    ] {
        let answer = post(&app, ADMIN, "", kind, file).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        assert_eq!(answer.field("code"), code);
    }
    let chinese = post(&app, ADMIN, "?lang=zh", CSV, "名称\n").await;
    assert_eq!(chinese.field("detail"), "文件只有表头，没有数据行");
    assert_eq!(app.creates(), 0);
}

#[tokio::test]
async fn a_file_may_have_ten_thousand_rows() {
    let app = TestApp::spawn().await;
    let rows: Vec<_> = (0..10_000)
        .map(|n| format!("门店 {n},{n},永久\n"))
        .collect();
    let file = format!("名称,分组,类型\n{}", rows.concat());
    let plan = plan(&app, CSV, file).await;
    assert_eq!(plan["new_permanent"], 10_000);
    let scenes = plan["rows"].as_array().unwrap().iter();
    let scenes: HashSet<_> = scenes
        .map(|row| row["request"]["scene_str"].as_str().unwrap())
        .collect();
    assert_eq!(scenes.len(), 10_000);
}
