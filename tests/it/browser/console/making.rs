//! Channels are made: one, and many, of which each costs one code for ever.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{app_and_browser, listed, make_codes, numbered};
use crate::browser::chromium::{Page, Screen, keep};
use crate::browser::{check_reading, decoded};
use crate::support::app::TestApp;
use crate::support::keys;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_enough_for_a_code() {
    let (app, mut browser) = app_and_browser!();
    let mut page = browser.page(Screen::PHONE).await;
    page.open_console(&app, "/codes/new?lang=zh", keys::ADMIN)
        .await;
    page.until("cost.textContent.includes('100,000')").await;
    page.fill("#label", "静安寺站 A 口海报").await;
    page.fill("#group", "上海").await;
    page.until("about_scene.textContent !== ''").await;
    page.click("#submit").await;
    page.until("!shown.hidden && picture.complete && picture.naturalWidth > 0")
        .await;
    page.until("!submit.disabled").await;
    let code = &listed(&app, "").await[0];
    assert_eq!(code["label"], "静安寺站 A 口海报");
    assert_eq!(code["group"], "上海");
    assert_eq!(code["permanent"], true);
    page.eval("picture.scrollIntoView({block: 'center', behavior: 'instant'})")
        .await;
    let png = page.screenshot().await;
    keep("new-made", &png);
    assert_eq!(decoded(&png), [code["url"].as_str().unwrap()]);
    assert!(page.text("cost.textContent").await.contains("99,999"));
    // The same name is the same channel.
    page.fill("#label", "静安寺站 A 口海报").await;
    page.fill("#group", "上海").await;
    page.until("cost.textContent.includes('已有')").await;
    page.click("#submit").await;
    page.until("!submit.disabled").await;
    assert_eq!(app.creates(), 1);
    check_reading(&mut page, "a new channel").await;
}

/// What the plan shows beside each status.
async fn counts(page: &mut Page) -> Value {
    page.eval("Object.fromEntries([...document.querySelectorAll('[data-count]')].map(it => [it.dataset.count, it.textContent]))")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pasted_names_are_checked_before_anything_is_made() {
    let (app, mut browser) = app_and_browser!();
    let mut page = browser.page(Screen::DESK).await;
    let names = numbered("Shop", 27);
    let wrong = ["x".repeat(101), "y".repeat(101), "z".repeat(101)];
    page.open_console(&app, "/codes/import?lang=en", keys::ADMIN)
        .await;
    page.fill("#lines", &names[..5].join("\n")).await;
    page.click("#check").await;
    page.until("!plan.hidden").await;
    assert_eq!(app.creates(), 0, "a check makes nothing");
    page.click("#confirm").await;
    page.until("!finished.hidden").await;
    assert_eq!(app.creates(), 5);

    page.click("#more").await;
    let lines = [&names[..], &wrong].concat().join("\n");
    page.fill("#lines", &lines).await;
    page.click("#check").await;
    page.until("!plan.hidden").await;
    let want = json!({"": "30", "new": "22", "changed": "0", "known": "5", "invalid": "3"});
    assert_eq!(counts(&mut page).await, want);
    let problems = page
        .eval("[...document.querySelectorAll('#rows tbody tr')].map(it => [it.cells[0].textContent, it.querySelector('.problem').textContent !== ''])")
        .await;
    assert_eq!(problems, json!([["28", true], ["29", true], ["30", true]]));
    let cost = page.text("cost.textContent").await;
    for part in ["22", "99,995", "never"] {
        assert!(cost.contains(part), "{part}: {cost}");
    }
    check_reading(&mut page, "a plan").await;
    page.click("#confirm").await;
    page.until("!finished.hidden").await;
    assert_eq!(app.creates(), 27);
    assert_eq!(listed(&app, "").await.len(), 27);
}

/// A workbook would do as well; a text needs no library here.
fn five_hundred() -> String {
    let rows = (1..=500).map(|n| format!("门店 {n:03},华东,永久\n"));
    std::iter::once("名称,分组,类型\n".to_owned())
        .chain(rows)
        .collect()
}

async fn check_file(page: &mut Page, app: &TestApp, file: &std::path::Path) {
    page.open_console(app, "/codes/import?lang=zh", keys::ADMIN)
        .await;
    let document = page.call("DOM.getDocument", json!({})).await;
    let field = json!({"nodeId": document["root"]["nodeId"], "selector": "#file"});
    let field = page.call("DOM.querySelector", field).await;
    let files = json!({"nodeId": field["nodeId"], "files": [file]});
    page.call("DOM.setFileInputFiles", files).await;
    page.click("#check").await;
    page.until("!plan.hidden").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_was_stopped_and_closed_is_finished_without_minting_twice() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &numbered("Other", 1), "Other").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shops.csv");
    std::fs::write(&file, five_hundred()).unwrap();
    let mut page = browser.page(Screen::DESK).await;
    check_file(&mut page, &app, &file).await;
    page.click("#confirm").await;
    page.until("document.querySelector('progress').value > 50")
        .await;
    page.click("#stop").await;
    page.until("!failures.hidden").await;
    let so_far = app.creates();
    assert!(so_far > 50 && so_far < 501, "{so_far}");
    // The tab is closed; another one begins again.
    page.open("about:blank").await;
    let mut page = browser.page(Screen::DESK).await;
    check_file(&mut page, &app, &file).await;
    let known = (so_far - 1).to_string();
    assert_eq!(counts(&mut page).await["known"], known.as_str());
    page.click("#confirm").await;
    page.until("!finished.hidden").await;
    let codes = listed(&app, "group=%E5%8D%8E%E4%B8%9C").await;
    let scenes: BTreeSet<_> = codes
        .iter()
        .map(|code| code["scene_str"].as_str())
        .collect();
    assert_eq!((codes.len(), scenes.len()), (500, 500));
    assert_eq!(app.creates(), 501, "each is minted once");
}
