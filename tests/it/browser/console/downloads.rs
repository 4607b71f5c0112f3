//! Files of a selection: they have what was selected, and nothing else.

use std::path::Path;

use serde_json::{Value, json};

use super::{app_and_browser, make_many};
use crate::browser::chromium::{Page, Screen};
use crate::support::archive::unpacked;
use crate::support::keys;
use crate::support::workbook::cells_of;

/// A permanent and a temporary code of one scene, and another temporary one.
fn codes() -> [Value; 3] {
    [
        json!({"scene_str": "ab", "permanent": true, "label": "Poster"}),
        json!({"scene_str": "ab", "expire_seconds": 86400, "label": "Stand"}),
        json!({"scene_str": "cd", "expire_seconds": 86400, "label": "Other"}),
    ]
}

/// Downloads the selection, and returns the file.
async fn file(page: &mut Page, folder: &Path, button: &str) -> Vec<u8> {
    for old in std::fs::read_dir(folder).unwrap() {
        std::fs::remove_file(old.unwrap().path()).unwrap();
    }
    page.click(button).await;
    page.until(&format!("!document.querySelector('{button}').disabled"))
        .await;
    page.downloaded().await;
    let file = std::fs::read_dir(folder).unwrap().next();
    std::fs::read(file.expect("it is there").unwrap().path()).unwrap()
}

/// The labels in a CSV file, whose first column they are, in order.
fn labels(csv: &[u8], column: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(csv);
    let at = reader.headers().unwrap().iter().position(|it| it == column);
    let rows = reader.records().map(Result::unwrap);
    let mut labels: Vec<_> = rows.map(|row| row[at.unwrap()].to_owned()).collect();
    labels.sort();
    labels
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_selection_have_what_was_selected() {
    let (app, mut browser) = app_and_browser!();
    make_many(&app, &codes()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut page = browser.page(Screen::DESK).await;
    page.download_to(folder.path()).await;
    page.open_console(&app, "/codes?lang=en&sort=label", keys::STATS)
        .await;
    page.until_listed(&["Other", "Poster", "Stand"]).await;
    // Of one kind, and of both. Chromium takes no more than ten downloads a second of a page.
    for (want, format) in [
        (vec!["Poster"], "png"),
        (vec!["Other", "Poster"], "svg"),
        (vec!["Other"], "png"),
    ] {
        for (n, label) in ["Other", "Poster", "Stand"].iter().enumerate() {
            let row = format!("#list tbody tr:nth-of-type({}) [data-part=pick]", n + 1);
            let is_on = page
                .eval(&format!("document.querySelector('{row}').checked"))
                .await;
            if is_on != json!(want.contains(label)) {
                page.click(&row).await;
            }
        }
        let count = format!("selected.textContent === '{} selected'", want.len());
        page.until(&count).await;
        let csv = file(&mut page, folder.path(), "[data-file=csv]").await;
        assert_eq!(labels(&csv, "label"), want);
        let xlsx = file(&mut page, folder.path(), "[data-file=xlsx]").await;
        if let Some(Value::Array(cells)) = cells_of(&xlsx) {
            let mut got: Vec<_> = cells[1..].iter().map(|row| row[0].clone()).collect();
            got.sort_by_key(ToString::to_string);
            assert_eq!(json!(got), json!(want));
        }
        let button = format!("[data-file=zip][data-format={format}]");
        let zip = file(&mut page, folder.path(), &button).await;
        let Some(mut entries) = unpacked(&zip) else {
            return;
        };
        let rows = entries.remove("codes.csv").unwrap();
        assert_eq!(labels(&rows, "label"), want);
        let pictures = want.iter().map(|label| format!("{label}.{format}"));
        assert_eq!(
            entries.into_keys().collect::<Vec<_>>(),
            pictures.collect::<Vec<_>>()
        );
    }
}
