//! `/embed.js` on a page of another origin, under a strict content security policy.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wechat_sandbox::Api;

use super::chromium::{Chromium, Page, Screen, keep};
use crate::support::app::TestApp;

/// Serves one page to everybody, on a port of its own, and returns its address.
async fn host(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let length = page.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    format!("http://{address}/")
}

/// A shop's page, which allows nothing but what the script needs.
async fn shop(app: &TestApp, elements: &str) -> String {
    let base = app.url("");
    let policy =
        format!("default-src 'none'; script-src {base}; img-src {base} data:; connect-src {base}");
    host(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Shop</title>\
         <meta name=viewport content=\"width=device-width\">\
         <link rel=icon href=\"data:,\">\
         <meta http-equiv=Content-Security-Policy content=\"{policy}\">\
         <script src=\"{base}/embed.js\" async></script><h1>Shop</h1>{elements}"
    ))
    .await
}

/// Waits until an expression of the page holds.
async fn until(page: &mut Page, expression: &str) {
    let wait = format!(
        "new Promise(done => {{ const look = () => ({expression}) ? done(true) : setTimeout(look, 20); look(); }})"
    );
    assert_eq!(page.eval(&wait).await, true, "{expression}");
}

const LOADED: &str = "[...document.images].filter(it => it.naturalWidth > 0).length";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elements_become_pictures_on_a_strict_page() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let elements = "<wx-qrcode scene-str=\"poster 7&amp;8\"></wx-qrcode>\
        <div data-wxqr-scene-id=\"12\" data-wxqr-size=\"600\"></div>\
        <div data-wxqr-scene-id=\"12\" data-wxqr-size=\"600\"></div>\
        <wx-qrcode scene-id=\"0\" lang=\"en\"></wx-qrcode>";
    let mut page = browser.page(Screen::PHONE).await;
    page.open(&shop(&app, elements).await).await;
    until(&mut page, &format!("{LOADED} === 3")).await;
    until(
        &mut page,
        "document.querySelector('wx-qrcode [role=status]')",
    )
    .await;
    keep("embedded", &page.full_screenshot().await);
    assert_eq!(app.creates(), 2, "two scenes");
    let bodies: Vec<String> = app
        .calls(Api::Create)
        .into_iter()
        .map(|it| it.body)
        .collect();
    assert!(
        bodies.iter().any(|it| it.contains("poster 7&8")),
        "{bodies:?}"
    );
    let sizes = page
        .eval("[...document.images].map(it => it.naturalWidth)")
        .await;
    assert_eq!(sizes, json!([430, 600, 600]));
    let text = page
        .text("document.querySelector('[role=status]').textContent")
        .await;
    assert!(text.contains("scene_id"), "says what is wrong: {text}");
    let fits = page
        .eval("document.documentElement.scrollWidth <= innerWidth")
        .await;
    assert_eq!(fits, true, "no scrolling sideways");
    // A later element, and a change of one.
    page.eval("document.body.append(Object.assign(document.createElement('div'), {id: 'late'}))")
        .await;
    page.eval("document.querySelector('#late').setAttribute('data-wxqr-scene-id', '13')")
        .await;
    page.eval("document.querySelector('wx-qrcode[lang]').setAttribute('scene-id', '14')")
        .await;
    until(&mut page, &format!("{LOADED} === 5")).await;
    assert_eq!(app.creates(), 4);
    let complaints = page.complaints().await;
    let refused = |it: &String| it.contains("400");
    assert!(
        complaints.iter().all(refused),
        "but for scene 0: {complaints:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_renewed_before_its_end_and_stays_while_the_service_is_away() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let element = "<wx-qrcode scene-id=\"12\" expire-seconds=\"8\"></wx-qrcode>";
    let mut page = browser.page(Screen::DESK).await;
    page.open(&shop(&app, element).await).await;
    until(&mut page, &format!("{LOADED} === 1")).await;
    page.eval("first = document.images[0]; least = 1; new MutationObserver(() => { least = Math.min(least, document.images.length) }).observe(document.body, {subtree: true, childList: true})")
        .await;
    until(
        &mut page,
        &format!("document.images[0] !== first && {LOADED} === 1"),
    )
    .await;
    assert_eq!(app.creates(), 2, "one for each life");
    assert_eq!(page.eval("least").await, 1, "never without a picture");

    page.eval("reach = fetch; fetch = async () => { throw new TypeError('away') }")
        .await;
    let failed = "new Promise(done => addEventListener('wxqr-error', event => done([String(event.detail), document.images.length]), {once: true}))";
    let failed = page.eval(failed).await;
    assert_eq!(failed, json!(["TypeError: away", 1]), "a good code stays");
    until(&mut page, "document.querySelector('[role=status]')").await;
    let text = "document.querySelector('[role=status]').textContent";
    assert!(page.text(text).await.contains("cannot be shown"));
    page.eval("fetch = reach, undefined").await;
    until(&mut page, &format!("{LOADED} === 1")).await;
}
