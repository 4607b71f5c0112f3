//! `examples/login`: a visitor signs in by a scan, from the page to the phone and back.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::chromium::{Chromium, Page, Screen, keep};
use crate::support::demo::Demo;
use crate::support::files::path;
use crate::support::skip::skip;

/// The example's back end on a port of its own. Dropping it ends it.
struct Site {
    url: String,
    _process: Child,
    /// Held open, so that it can print.
    _lines: Lines<BufReader<ChildStdout>>,
}

impl Site {
    /// None where there is no Python, which is said.
    async fn start(demo: &Demo) -> Option<Self> {
        let server = path("examples/login/server.py");
        let started = Command::new("python3")
            .arg(server)
            .arg("0")
            .env("WXQR_URL", &demo.base)
            .env("BIND_KEY", &demo.key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut process) = started else {
            skip("there is no Python", "REQUIRE_PYTHON");
            return None;
        };
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = lines.next_line().await.unwrap().expect("it starts");
        Some(Self {
            url,
            _process: process,
            _lines: lines,
        })
    }
}

/// Waits in the page until an expression is true.
pub(crate) async fn until(page: &mut Page, holds: &str) {
    let wait = format!(
        "new Promise((done, fail) => {{
            const end = Date.now() + 20000;
            const look = () => ({holds}) ? done(true) : Date.now() > end ? fail(new Error('never')) : setTimeout(look, 20);
            look();
        }})"
    );
    page.eval(&wait).await;
}

const SAID: &str = "document.getElementById('say').textContent";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_signs_in_by_a_scan() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let demo = Demo::start().await;
    let Some(site) = Site::start(&demo).await else {
        return;
    };
    let mut page = browser.page(Screen::PHONE).await;
    page.open(&site.url).await;
    page.click("button").await;
    until(&mut page, "document.querySelector('img').naturalWidth > 0").await;
    keep("login", &page.screenshot().await);
    let phone = page.text("document.querySelector('#code a').href").await;

    // The link without the session shows nothing.
    let mut other = browser.page(Screen::DESK).await;
    other.open(&site.url).await;
    let mut telephone = browser.page(Screen::PHONE).await;
    telephone.open(&phone).await;
    telephone
        .eval("document.querySelector('[name=openid]').value = 'o6_bmjrPTlm6_2sgVt7hMZOPfL2M'")
        .await;
    telephone.click("[value=follow]").await;
    telephone.loaded().await;

    until(&mut page, &format!("{SAID}.startsWith('Signed in')")).await;
    let said = page.text(SAID).await;
    assert_eq!(said, "Signed in as o6_bmjrPTlm6_2sgVt7hMZOPfL2M.");
    assert_eq!(other.text(SAID).await, "You are not signed in.");
}
