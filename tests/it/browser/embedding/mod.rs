//! `/embed.js` on a page of another origin, under a strict content security policy.

mod canvas;
mod outages;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wechat_sandbox::Api;

use super::chromium::{Chromium, Page, Screen, keep};
use crate::support::app::TestApp;
use crate::support::keys;

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

/// The script as the documentation has it.
fn script(base: &str) -> String {
    format!("<script src=\"{base}/embed.js\" async></script>")
}

/// A shop's page, which allows nothing but what the script needs.
async fn shop(base: &str, elements: &str) -> String {
    shop_with(base, &script(base), elements).await
}

/// The same with other elements that load the script.
async fn shop_with(base: &str, scripts: &str, elements: &str) -> String {
    let policy =
        format!("default-src 'none'; script-src {base}; img-src {base} data:; connect-src {base}");
    host(format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Shop</title>\
         <meta name=viewport content=\"width=device-width\">\
         <link rel=icon href=\"data:,\">\
         <meta http-equiv=Content-Security-Policy content=\"{policy}\">\
         {scripts}<h1>Shop</h1>{elements}"
    ))
    .await
}

/// A tab that keeps what the script reports: the codes, and the failures with the number of
/// pictures at that moment.
async fn listening(browser: &mut Chromium, screen: Screen) -> Page {
    let source = "window.codes = []; window.failures = [];
        addEventListener('wxqr-code', event => codes.push(event.detail));
        addEventListener('wxqr-error', event =>
            failures.push([event.detail.detail ?? String(event.detail), document.images.length]));";
    let mut page = browser.page(screen).await;
    page.call(
        "Page.addScriptToEvaluateOnNewDocument",
        json!({"source": source}),
    )
    .await;
    page
}

/// Waits until an expression of the page holds.
async fn until(page: &mut Page, expression: &str) {
    let wait = format!(
        "new Promise(done => {{ const look = () => ({expression}) ? done(true) : setTimeout(look, 20); look(); }})"
    );
    assert_eq!(page.eval(&wait).await, true, "{expression}");
}

/// WeChat's browsers on Android and on an iPhone.
const WECHAT: [&str; 2] = [
    "Mozilla/5.0 (Linux; Android 14; V2309A Build/UP1A.231005.007; wv) AppleWebKit/537.36 \
     (KHTML, like Gecko) Version/4.0 Chrome/126.0.6478.188 Mobile Safari/537.36 \
     XWEB/1260117 MMWEBSDK/20240501 MMWEBID/1234 MicroMessenger/8.0.50.2701(0x2800325B) \
     WeChat/arm64 Weixin NetType/WIFI Language/zh_CN ABI/arm64",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 \
     (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.50(0x1800323d) NetType/WIFI Language/zh_CN",
];

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
    let mut page = listening(&mut browser, Screen::PHONE).await;
    page.open(&shop(&app.url(""), elements).await).await;
    until(&mut page, &format!("{LOADED} === 3")).await;
    until(
        &mut page,
        "document.querySelector('wx-qrcode[lang]').textContent !== ''",
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
    let failure = page.text("failures[0][0]").await;
    assert!(
        failure.contains("scene_id"),
        "says what is wrong: {failure}"
    );
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
async fn visitors_read_a_sentence_in_their_language() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    for (browsers, attribute, sentence) in [
        ("zh-CN", "", "二维码暂时无法显示"),
        ("zh-CN", "lang=en", "The code cannot be shown now"),
        ("en-US", "", "The code cannot be shown now"),
        ("en-US", "lang=zh", "二维码暂时无法显示"),
    ] {
        let mut page = listening(&mut browser, Screen::PHONE).await;
        let agent = json!({"userAgent": "Mozilla/5.0", "acceptLanguage": browsers});
        page.call("Network.setUserAgentOverride", agent).await;
        let element = format!("<wx-qrcode scene-id=0 {attribute}></wx-qrcode>");
        page.open(&shop(&app.url(""), &element).await).await;
        until(&mut page, "failures.length > 0").await;
        let text = page
            .text("document.querySelector('wx-qrcode').textContent")
            .await;
        assert_eq!(text, sentence, "{browsers} {attribute}");
    }
}

/// As people who write HTML do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attributes_may_be_written_as_html_has_them() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let codes = r##"[{"scene_str": "#7", "permanent": true}, {"scene_id": 7, "permanent": true}]"##;
    let made = app.post_as(keys::ADMIN, "/api/codes", codes).await;
    assert_eq!(made.status.as_u16(), 207);
    let elements = "<wx-qrcode scene-str=\"#7\" permanent color=\"#07603b\" bg=\"#fefefe\"></wx-qrcode>\
        <div data-wxqr-scene-id=7 data-wxqr-permanent data-wxqr-color=#07603b></div>\
        <wx-qrcode scene-id=8 permanent=false color=07603b></wx-qrcode>";
    let mut page = listening(&mut browser, Screen::PHONE).await;
    page.open(&shop(&app.url(""), elements).await).await;
    until(&mut page, &format!("{LOADED} + failures.length === 3")).await;
    assert_eq!(page.eval("failures").await, json!([]));
    let queries = page
        .eval("[...document.images].map(it => new URL(it.src).search.replace(/&until=.*/, ''))")
        .await;
    assert_eq!(
        queries,
        json!([
            "?scene_str=%237&permanent=true&color=07603b&bg=fefefe",
            "?scene_id=7&permanent=true&color=07603b",
            "?scene_id=8&permanent=false&color=07603b",
        ])
    );
    // Permanent codes have no end.
    let are_endless =
        "[...document.images].map(it => new URL(it.src).searchParams.get('until') === '')";
    assert_eq!(page.eval(are_endless).await, json!([true, true, false]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_script_runs_once_however_often_and_in_whatever_form_it_is_included() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let base = app.url("");
    let module = format!("<script type=module src=\"{base}/embed.js\"></script>");
    let classic = script(&base);
    for (case, scripts) in [
        ("twice", classic.repeat(2)),
        ("a module", module.clone()),
        ("both", format!("{module}{classic}")),
    ] {
        let mut page = browser.page(Screen::DESK).await;
        let element = "<wx-qrcode scene-id=1></wx-qrcode>";
        page.open(&shop_with(&base, &scripts, element).await).await;
        until(&mut page, &format!("{LOADED} === 1")).await;
        let asked = "performance.getEntriesByType('resource').filter(it => it.name.includes('qrcode.json')).length";
        assert_eq!(page.eval(asked).await, 1, "{case}");
        let complaints = page.complaints().await;
        assert!(complaints.is_empty(), "{case}: {complaints:?}");
    }
}

/// WeChat finds a code under the finger only in a plain image that nothing covers.
const CAN_BE_PRESSED: &str = "[...document.images].map(image => {
    const box = image.getBoundingClientRect();
    const style = getComputedStyle(image);
    return image.src.startsWith('http')
        && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2) === image
        && image.closest('a, button') === null
        && style.pointerEvents === 'auto'
        && style.userSelect !== 'none'
        && document.querySelectorAll('canvas, svg').length === 0;
})";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_wechat_there_is_a_plain_image_to_press_and_hold() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let app = TestApp::spawn().await;
    let element = "<wx-qrcode scene-id=1></wx-qrcode>";
    for url in [
        app.url("/qrcode?scene_id=1"),
        shop(&app.url(""), element).await,
    ] {
        for agent in WECHAT {
            let mut page = browser.page(Screen::PHONE).await;
            page.call("Network.setUserAgentOverride", json!({"userAgent": agent}))
                .await;
            page.open(&url).await;
            until(&mut page, &format!("{LOADED} === 1")).await;
            assert_eq!(page.eval(CAN_BE_PRESSED).await, json!([true]), "{url}");
            let complaints = page.complaints().await;
            assert!(complaints.is_empty(), "{url}: {complaints:?}");
        }
    }
}
