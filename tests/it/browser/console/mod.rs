//! The console, used as a campaign manager would: the pages alone.

mod downloads;
mod list;
mod making;
mod paper;
mod printing;
mod reading;
mod replies;

use std::path::Path;

use serde_json::{Value, json};

use super::chromium::Page;
use crate::support::app::TestApp;
use crate::support::keys;

/// A browser, or leaves the test where there is none.
macro_rules! browser {
    () => {{
        let Some(browser) = $crate::browser::chromium::Chromium::launch().await else {
            return;
        };
        browser
    }};
}
use browser;

/// The service and a browser, or leaves the test where there is none.
macro_rules! app_and_browser {
    () => {{
        let browser = $crate::browser::console::browser!();
        ($crate::support::app::TestApp::spawn().await, browser)
    }};
}
use app_and_browser;

/// The names in the list, as they are shown.
const NAMES: &str =
    "[...document.querySelectorAll('#list tbody [data-part=name]')].map(it => it.textContent)";

impl Page {
    /// Opens a page of the console, and signs in if that is asked for.
    async fn open_console(&mut self, app: &TestApp, path: &str, key: &str) {
        self.open(&app.url(path)).await;
        if self.eval("sessionStorage.length === 0").await == json!(true) {
            self.enter(key).await;
        }
        self.until("!board.hidden").await;
    }

    /// Chooses in a `<select>`, as a person does.
    async fn choose(&mut self, selector: &str, value: &str) {
        self.eval(&format!(
            "(field => {{ field.value = {value:?}; field.dispatchEvent(new Event('change', {{bubbles: true}})) }})(document.querySelector({selector:?}))"
        ))
        .await;
    }

    /// Has what is downloaded written to a folder.
    async fn download_to(&mut self, folder: &Path) {
        let allow = json!({"behavior": "allow", "downloadPath": folder});
        self.call("Page.setDownloadBehavior", allow).await;
    }

    /// Waits until the list shows these names.
    async fn until_listed(&mut self, names: &[&str]) {
        self.until(&format!(
            "JSON.stringify({NAMES}) === {:?}",
            json!(names).to_string()
        ))
        .await;
    }
}

/// Makes codes, many at a time.
async fn make_many(app: &TestApp, codes: &[Value]) {
    for some in codes.chunks(100) {
        let answer = app
            .post_as(keys::ADMIN, "/api/codes", json!(some).to_string())
            .await;
        let items = answer.json()["items"].as_array().unwrap().clone();
        assert!(items.iter().all(|item| item["status"] == 201), "{answer:?}");
    }
}

/// Makes permanent codes with these names, in this order.
async fn make_codes(app: &TestApp, names: &[String], group: &str) {
    for (n, name) in names.iter().enumerate() {
        let code = json!({"scene_str": format!("{group}-{n}"), "permanent": true, "label": name, "group": group});
        let answer = app
            .post_as(keys::ADMIN, "/api/codes", code.to_string())
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

fn numbered(start: &str, count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("{start} {n:02}")).collect()
}

/// The codes that the service lists for a query.
async fn listed(app: &TestApp, query: &str) -> Vec<Value> {
    let path = format!("/api/codes?limit=1000&{query}");
    let answer = app.get_as(keys::STATS, &path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["items"].as_array().unwrap().clone()
}
