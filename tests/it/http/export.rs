//! `GET /api/codes.csv` and `/api/codes.xlsx`, read back.

use axum::http::StatusCode;
use reqwest::Method;
use serde_json::json;

use crate::support::answer::Answer;
use crate::support::app::TestApp;
use crate::support::keys::{ADMIN, MINT, STATS};
use crate::support::workbook::cells_of;

const LABELS: [&str; 5] = [
    "南京路店",
    "=1+1",
    "000123",
    "🎪 \"a\", b",
    "12345678901234567890",
];

/// With all that a file might break.
const REPLY: &str = "=欢迎, \"a\";\n第二行 ]]> 🎪";

async fn with_codes() -> TestApp {
    let app = TestApp::spawn().await;
    for (n, label) in LABELS.iter().enumerate() {
        let scene = format!("0{n}");
        let body = json!({"scene_str": scene, "permanent": true, "label": label, "group": "上海"});
        app.post_as(ADMIN, "/api/codes", body.to_string()).await;
    }
    for (scene, reply) in [
        ("00", json!({"text": REPLY})),
        (
            "01",
            json!({"news": {"title": "Sale", "url": "https://example.com/"}}),
        ),
    ] {
        let body = json!({"scene_str": scene, "permanent": true, "reply": reply});
        app.post_as(ADMIN, "/api/codes", body.to_string()).await;
    }
    let body = json!({"scene_id": 7, "expire_seconds": 600, "label": "临时"});
    app.post_as(ADMIN, "/api/codes", body.to_string()).await;
    app
}

#[tokio::test]
async fn csv_has_every_value_as_it_is() {
    let app = with_codes().await;
    let answer = app
        .get_as(STATS, "/api/codes.csv?group=%E4%B8%8A%E6%B5%B7")
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let name = answer.header("content-disposition");
    assert!(
        name.contains("UTF-8''wxqr-codes-%E4%B8%8A%E6%B5%B7.csv"),
        "{name}"
    );
    let lines: Vec<_> = answer.text().split("\r\n").collect();
    let quoted = format!(",\"{}\",,", REPLY.replace('"', "\"\""));
    assert!(lines[1].contains(&quoted), "{}", lines[1]);
    let card = r#",,"{""title"":""Sale"",""url"":""https://example.com/""}","#;
    assert!(lines[2].contains(card), "{}", lines[2]);
    assert_eq!(lines.len(), LABELS.len() + 2, "{lines:?}");
    assert!(lines[0].starts_with("label,group,scene_str,scene_id,permanent,"));
    assert!(
        lines[1].starts_with("南京路店,上海,00,,true,,"),
        "{}",
        lines[1]
    );
    assert!(lines[2].starts_with("=1+1,上海,01,,true,,"), "{}", lines[2]);
    assert!(
        lines[4].starts_with("\"🎪 \"\"a\"\", b\",上海,03,"),
        "{}",
        lines[4]
    );
    assert_eq!(
        app.get_as(MINT, "/api/codes.csv").await.status,
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn a_workbook_has_texts_as_texts() {
    let app = with_codes().await;
    let answer = app.get_as(STATS, "/api/codes.xlsx?lang=zh").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let Some(cells) = cells_of(&answer.body) else {
        return;
    };
    assert_eq!(cells[0][0], "名称");
    for (n, label) in LABELS.iter().enumerate() {
        assert_eq!(cells[n + 1][0], *label, "{cells}");
        assert_eq!(cells[n + 1][2], format!("0{n}"));
        assert_eq!(cells[n + 1][4], "永久");
    }
    assert_eq!(cells[1][6], REPLY);
    assert!(cells[2][7].as_str().unwrap().contains("Sale"), "{cells}");
    let temporary = &cells[LABELS.len() + 1];
    assert_eq!(temporary[3], "7");
    assert_eq!(temporary[5], 600);
    assert!(
        temporary[8].as_str().unwrap().starts_with("20"),
        "{temporary}"
    );
}

#[tokio::test]
async fn an_exported_file_imports_as_known() {
    let app = with_codes().await;
    let xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
    for (path, kind) in [
        ("/api/codes.csv", "text/csv"),
        ("/api/codes.xlsx", xlsx),
        ("/api/codes.xlsx?lang=zh", xlsx),
    ] {
        let file = app.get_as(STATS, path).await.body;
        let request = app
            .request(Method::POST, "/api/codes/plan")
            .bearer_auth(ADMIN);
        let plan = Answer::to(request.header("content-type", kind).body(file))
            .await
            .json();
        let rows = plan["rows"].as_array().unwrap();
        assert_eq!(rows.len(), LABELS.len() + 1);
        assert!(
            rows.iter().all(|row| row["status"] == "known"),
            "{path}: {plan}"
        );
    }
}

#[tokio::test]
async fn a_scene_with_a_kind_selects_one_code() {
    let app = TestApp::spawn().await;
    for code in [
        json!({"scene_str": "ab", "permanent": true, "label": "Poster"}),
        json!({"scene_str": "ab", "expire_seconds": 600, "label": "Stand"}),
        json!({"scene_id": 7, "permanent": true, "label": "Seven"}),
    ] {
        app.post_as(ADMIN, "/api/codes", code.to_string()).await;
    }
    for (query, want) in [
        ("scene=str:ab", "Poster,Stand"),
        ("scene=permanent:str:ab", "Poster"),
        ("scene=temporary:str:ab&scene=permanent:id:7", "Seven,Stand"),
        ("scene=unattributed:str:ab", ""),
        ("scene=temporary:id:7", ""),
    ] {
        let list = app
            .get_as(STATS, &format!("/api/codes?{query}"))
            .await
            .json();
        let items = list["items"].as_array().unwrap();
        let mut labels: Vec<_> = items
            .iter()
            .map(|it| it["label"].as_str().unwrap())
            .collect();
        labels.sort_unstable();
        assert_eq!(labels.join(","), want, "{query}");
        assert_eq!(list["total"], items.len(), "{query}");
    }
}
