//! The pages in a real browser: the demo's binary is started, Chromium opens what it serves.
//!
//! `SCREENSHOTS=folder` keeps the pictures. Without Chromium the tests say so and pass, unless
//! `REQUIRE_BROWSER` is set.

mod chromium;
mod console;
mod counting;
mod embedding;
mod login;
mod markup;
mod phone;
mod stats;
mod stats_sums;

use std::sync::OnceLock;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use self::chromium::{Chromium, Page, Screen, keep};
use crate::support::TIMEOUT;
use crate::support::demo::Demo;
use crate::support::figures::sized;
use crate::support::picture::{decode_png, read_by_zbar};
use crate::support::skip::skip;

const SCREENS: [Screen; 2] = [Screen::PHONE, Screen::DESK];
const LANGS: [&str; 2] = ["zh", "en"];

/// Each screen and each language once.
const EACH_ONCE: [(Screen, &str); 2] = [(Screen::PHONE, "zh"), (Screen::DESK, "en")];

/// Each screen with each language; in the small size each once.
fn screens_and_langs() -> Vec<(Screen, &'static str)> {
    let of_screen = |screen| LANGS.map(|lang| (screen, lang));
    sized(
        EACH_ONCE.to_vec(),
        SCREENS.into_iter().flat_map(of_screen).collect(),
    )
}

/// The words in a language.
fn in_lang<'a>(lang: &str, zh: &'a str, en: &'a str) -> &'a str {
    if lang == "zh" { zh } else { en }
}

/// Gets both, or leaves the test where there is no browser.
macro_rules! demo_and_browser {
    () => {{
        let Some(browser) = Chromium::launch().await else {
            return;
        };
        (Demo::start().await, browser)
    }};
}

/// Controls under the 24 px that WCAG 2.2 asks for (2.5.8).
const SMALL_TARGETS: &str = "[...document.querySelectorAll('a, button, input, select, textarea')]
    .filter(it => it.checkVisibility() && it.type !== 'hidden' && it.getBoundingClientRect().height < 24)
    .map(it => it.outerHTML)";

/// Texts whose contrast to their background is under the 4.5 that WCAG 2.2 asks for (1.4.3).
const FAINT_TEXTS: &str = "(() => {
    const light = ([r, g, b]) => {
        const [x, y, z] = [r, g, b].map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * x + 0.7152 * y + 0.0722 * z;
    };
    const numbers = color => color.match(/[\\d.]+/g).map(Number);
    const paper = element => {
        for (let it = element; it; it = it.parentElement) {
            const color = numbers(getComputedStyle(it).backgroundColor);
            if (color.length === 3 || color[3] > 0) return color;
        }
        return matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
    };
    const faint = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
        const element = walk.currentNode.parentElement;
        if (!walk.currentNode.data.trim() || !element.checkVisibility() || element.matches('style, script')) continue;
        const style = getComputedStyle(element);
        const [ink, ground] = [numbers(style.color), paper(element)];
        const [low, high] = [light(ink), light(ground)].sort((a, b) => a - b);
        const contrast = (high + 0.05) / (low + 0.05);
        if (contrast < 4.5) faint.push([walk.currentNode.data.trim(), contrast, style.color, ground]);
    }
    return faint;
})()";

/// What every page of the demo owes to its reader.
async fn check_page(page: &mut Page, name: &str) {
    check_reading(page, name).await;
    let body = page.text("document.body.innerText").await;
    assert!(body.contains("SANDBOX"), "{name}: {body}");
}

/// The script of axe-core, whose path is in `AXE_CORE`.
fn axe() -> Option<&'static str> {
    static AXE: OnceLock<Option<String>> = OnceLock::new();
    let axe = AXE.get_or_init(|| {
        let Some(path) = std::env::var_os("AXE_CORE") else {
            skip("AXE_CORE does not name axe.min.js", "REQUIRE_AXE");
            return None;
        };
        Some(std::fs::read_to_string(path).unwrap())
    });
    axe.as_deref()
}

/// What axe-core finds.
async fn violations(page: &mut Page) -> Value {
    let Some(axe) = axe() else {
        return json!([]);
    };
    if page.eval("typeof axe").await == "undefined" {
        page.eval(axe).await;
    }
    // The page of an error may come back by itself, since nothing on it is lost.
    let rules = "{rules: {'meta-refresh': {enabled: !document.querySelector('main.problem')}}}";
    page.eval(&format!(
        "axe.run({rules}).then(it => it.violations.map(one => [one.id, one.nodes.map(node => node.html)]))"
    ))
    .await
}

/// Boxes with a part that is read by scrolling sideways only.
const SIDEWAYS: &str = "[...document.querySelectorAll('.scroll')].filter(it => it.scrollWidth > it.clientWidth).map(it => it.outerHTML.slice(0, 99))";

/// What every page of ours owes to its reader.
async fn check_reading(page: &mut Page, name: &str) {
    let complaints = page.complaints().await;
    assert!(complaints.is_empty(), "{name}: {complaints:#?}");
    // Not the window's width: a phone zooms out until all fits.
    let content = page.eval("document.scrollingElement.scrollWidth").await;
    let window = u64::from(page.screen.width);
    assert!(content.as_u64().unwrap() <= window, "{name}: {content} px");
    let sideways = page.eval(SIDEWAYS).await;
    assert_eq!(sideways, json!([]), "{name}: scrolls sideways");
    assert_eq!(
        page.eval(SMALL_TARGETS).await,
        json!([]),
        "{name}: hard to tap"
    );
    for dark in [true, false] {
        page.prefer_dark(dark).await;
        let faint = page.eval(FAINT_TEXTS).await;
        assert_eq!(faint, json!([]), "{name}, dark {dark}: hard to read");
        assert_eq!(violations(page).await, json!([]), "{name}, dark {dark}");
    }
}

async fn keep_dark(page: &mut Page, name: &str) {
    page.prefer_dark(true).await;
    keep(&format!("{name}-dark"), &page.screenshot().await);
    page.prefer_dark(false).await;
}

/// The texts of the codes in a picture, read by two independent readers where the second is
/// installed.
fn decoded(png: &[u8]) -> Vec<String> {
    let (_, texts) = decode_png(png);
    if let Some(second) = read_by_zbar(png) {
        assert_eq!(second, texts, "zbarimg reads the same");
    }
    texts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_code_shows_one_picture_that_a_camera_reads() {
    let (demo, mut browser) = demo_and_browser!();
    for (query, kind) in [
        ("scene_id=123", "temporary"),
        ("scene_str=poster&permanent=true", "permanent"),
    ] {
        let code = demo.code(query).await;
        for screen in SCREENS {
            let mut page = browser.page(screen).await;
            for lang in LANGS {
                let name = format!("code-{kind}-{lang}-{}", screen.name);
                page.open(&demo.url(&format!("/qrcode?{query}&lang={lang}")))
                    .await;
                let png = page.screenshot().await;
                keep(&name, &png);
                keep_dark(&mut page, &name).await;
                check_page(&mut page, &name).await;
                let images = page
                    .eval("[...document.images].map(image => [image.complete, image.naturalWidth > 0, image.alt !== ''])")
                    .await;
                assert_eq!(images, json!([[true, true, true]]), "{name}");
                let drawn = page
                    .eval("document.querySelectorAll('canvas, svg').length")
                    .await;
                assert_eq!(drawn, 0, "{name}: a phone cannot press and hold those");
                assert_eq!(decoded(&png), [code["url"].as_str().unwrap()], "{name}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whether_to_print_a_code_is_said_on_paper_only() {
    let (demo, mut browser) = demo_and_browser!();
    for (query, zh, en) in [
        ("scene_id=123", "请勿印刷", "do not print"),
        ("scene_id=123&permanent=true", "可用于印刷", "may print"),
    ] {
        demo.code(query).await;
        for (lang, words) in [("zh", zh), ("en", en)] {
            let mut page = browser.page(Screen::PHONE).await;
            page.open(&demo.url(&format!("/qrcode?{query}&lang={lang}")))
                .await;
            for (media, on_paper) in [("screen", false), ("print", true)] {
                page.call("Emulation.setEmulatedMedia", json!({"media": media}))
                    .await;
                let text = page.text("document.body.innerText").await;
                let said = ["print", "印刷"].iter().any(|it| text.contains(it));
                assert_eq!(said, on_paper, "{query} on {media}: {text}");
                assert_eq!(text.contains(words), on_paper, "{query} on {media}: {text}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_page_makes_the_code_that_was_typed() {
    let (demo, mut browser) = demo_and_browser!();
    for screen in SCREENS {
        for lang in LANGS {
            let name = format!("home-{lang}-{}", screen.name);
            let mut page = browser.page(screen).await;
            page.open(&demo.url(&format!("/?lang={lang}"))).await;
            keep(&name, &page.full_screenshot().await);
            keep_dark(&mut page, &name).await;
            check_page(&mut page, &name).await;

            page.fill("[name=scene_str]", "展会 A+1").await;
            page.eval("unit.value = '1'").await;
            page.fill("[name=expire_seconds]", "600").await;
            page.click("form button").await;
            page.loaded().await;
            keep(&format!("{name}-filled"), &page.full_screenshot().await);
            check_page(&mut page, &name).await;
            let query = "scene_str=%E5%B1%95%E4%BC%9A%20A%2B1&expire_seconds=600";
            let code = demo.code(query).await;
            page.eval("document.images[0].scrollIntoView({block: 'center', behavior: 'instant'})")
                .await;
            let png = page.screenshot().await;
            assert_eq!(decoded(&png), [code["url"].as_str().unwrap()], "{name}");

            let snippets = page
                .eval("[...document.querySelectorAll('.snippet pre')].map(it => it.textContent)")
                .await;
            let snippets: Vec<&str> = snippets
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it.as_str().unwrap())
                .collect();
            assert_eq!(snippets.len(), 5, "{name}: {snippets:?}");
            assert_eq!(
                snippets[1],
                format!(
                    "<script src=\"{}/embed.js\" async></script>\n\
                     <wx-qrcode scene-str=\"展会 A+1\" expire-seconds=\"600\"></wx-qrcode>",
                    demo.base
                ),
                "{name}"
            );
            for snippet in &snippets {
                check_snippet(&demo, snippet).await;
            }
            check_copying(&mut page, snippets[0]).await;
        }
    }
}

/// The frame as the first page gives it.
async fn frame_snippet(page: &mut Page, demo: &Demo, lang: &str) -> String {
    page.open(&demo.url(&format!("/?scene_id=1&lang={lang}")))
        .await;
    page.text("[...document.querySelectorAll('.snippet pre')].map(it => it.textContent).find(it => it.startsWith('<iframe'))")
        .await
}

/// What the window shows once there is a code to be seen: a frame of another site is drawn later
/// than the page around it.
async fn drawn_code(page: &mut Page) -> Vec<u8> {
    let started = std::time::Instant::now();
    loop {
        let png = page.screenshot().await;
        if !decoded(&png).is_empty() {
            return png;
        }
        assert!(started.elapsed() < TIMEOUT, "no code is drawn");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_frame_fits_the_page_that_it_is_pasted_into() {
    let (demo, mut browser) = demo_and_browser!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.html");
    for screen in SCREENS {
        let mut page = browser.page(screen).await;
        for lang in LANGS {
            let name = format!("frame-{lang}-{}", screen.name);
            let snippet = frame_snippet(&mut page, &demo, lang).await;
            let html = format!(
                "<!doctype html><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><h1>Shop</h1>{snippet}"
            );
            std::fs::write(&file, html).unwrap();
            // A file is what no scheme in `frame-ancestors *` matches.
            page.open(&format!("file://{}", file.display())).await;
            let framed = drawn_code(&mut page).await;
            keep(&name, &framed);
            let complaints = page.complaints().await;
            assert!(complaints.is_empty(), "{name}: {complaints:#?}");
            let content = page.eval("document.scrollingElement.scrollWidth").await;
            let window = u64::from(screen.width);
            assert!(content.as_u64().unwrap() <= window, "{name}: {content} px");
            let code = demo.code(&format!("scene_id=1&lang={lang}")).await;
            assert_eq!(
                decoded(&framed),
                [code["url"].as_str().unwrap()],
                "{name}: the framed code is seen whole"
            );
            let size: [u32; 2] = serde_json::from_value(
                page.eval("(it => [it.width, it.height])(document.querySelector('iframe').getBoundingClientRect())")
                    .await,
            )
            .unwrap();
            // What the frame holds, in a window of its size.
            for width in [size[0], 288] {
                let metrics = json!({"width": width, "height": size[1], "deviceScaleFactor": 1, "mobile": false});
                page.call("Emulation.setDeviceMetricsOverride", metrics)
                    .await;
                page.open(&demo.url(&format!("/qrcode?scene_id=1&lang={lang}")))
                    .await;
                let inside = "[document.scrollingElement.scrollWidth, document.scrollingElement.scrollHeight]";
                let inside: [u32; 2] = serde_json::from_value(page.eval(inside).await).unwrap();
                assert!(
                    inside[0] <= width && inside[1] <= size[1],
                    "{name}: {inside:?} in {width} x {}",
                    size[1]
                );
            }
            page = browser.page(screen).await;
        }
    }
}

/// The link in a snippet works on another page.
async fn check_snippet(demo: &Demo, snippet: &str) {
    let rest = &snippet[snippet.find("http").expect("a whole address")..];
    let end = rest.find(['"', '\'']).unwrap();
    let link = rest[..end].replace("&amp;", "&");
    assert!(link.starts_with(&demo.base), "{snippet}");
    let answer = demo.client.get(&link).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "{link}");
}

async fn check_copying(page: &mut Page, snippet: &str) {
    let permissions = json!({"permissions": ["clipboardReadWrite"]});
    page.call("Browser.grantPermissions", permissions).await;
    let before = page
        .text("document.querySelector('.snippet button').textContent")
        .await;
    page.click(".snippet button").await;
    let after = page
        .text(
            "new Promise(done => {
                const button = document.querySelector('.snippet button');
                const look = () => button.textContent === button.dataset.done ? done(button.textContent) : requestAnimationFrame(look);
                look();
            })",
        )
        .await;
    assert_ne!(before, after, "the button says that it has copied");
    let copied = page.text("navigator.clipboard.readText()").await;
    assert_eq!(copied, snippet);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_a_page_that_a_person_can_read() {
    let (demo, mut browser) = demo_and_browser!();
    for screen in SCREENS {
        let mut page = browser.page(screen).await;
        for lang in LANGS {
            for (path, expected) in [
                ("/qrcode?scene_id=0", "invalid_parameter"),
                ("/qrcode?scene_id=1&expire=60", "expire_seconds"),
                ("/qrcode?scene_id=7&permanent=true", "mint_not_allowed"),
                ("/nowhere?", "404"),
                ("/?scene_id=0", "scene_id"),
            ] {
                let name = format!("error-{}-{lang}-{}", expected, screen.name);
                page.open(&demo.url(&format!("{path}&lang={lang}"))).await;
                keep(&name, &page.screenshot().await);
                check_page(&mut page, &name).await;
                let said = page.text("document.querySelector('main').innerText").await;
                assert!(said.contains(expected), "{name}: {said}");
                let tag = page.text("document.documentElement.lang").await;
                assert!(tag.starts_with(lang), "{name}: {tag}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pretended_phone_is_readable() {
    let (demo, mut browser) = demo_and_browser!();
    for (query, kind) in [
        ("scene_id=123", "temporary"),
        (
            "scene_str=%E5%B1%95%E4%BC%9A%20A%2B1&permanent=true",
            "permanent",
        ),
    ] {
        let code = demo.code(query).await;
        let url = code["url"].as_str().unwrap();
        for screen in SCREENS {
            let mut page = browser.page(screen).await;
            for lang in LANGS {
                let name = format!("phone-{kind}-{lang}-{}", screen.name);
                page.open(&format!("{url}?lang={lang}")).await;
                keep(&name, &page.screenshot().await);
                check_page(&mut page, &name).await;
            }
        }
    }
    let mut page = browser.page(Screen::PHONE).await;
    page.open(&demo.url("/q/nothing")).await;
    keep("phone-unknown", &page.screenshot().await);
    check_page(&mut page, "phone-unknown").await;
}

/// The ticket's picture and the end of the code that a page shows.
async fn shown(page: &mut Page) -> (String, String) {
    let image = page.text("document.images[0].src").await;
    let end = page.text("document.querySelector('time').dateTime").await;
    (image, end)
}

/// When the browser began to load what it shows, by its own clock: what a busy machine keeps us
/// waiting for is not in it.
async fn begun(page: &mut Page) -> Duration {
    let milliseconds = page.eval("Math.floor(performance.timeOrigin)").await;
    Duration::from_millis(milliseconds.as_u64().unwrap())
}

/// Opens the page of a code that lives so long, waits until it comes back by itself, and tells what
/// it did.
async fn awaited_renewal(mut page: Page, url: String) -> Renewal {
    page.open(&url).await;
    let opened = begun(&mut page).await;
    let (old, end) = shown(&mut page).await;
    page.loaded().await;
    let after = begun(&mut page).await.saturating_sub(opened);
    let (new, new_end) = shown(&mut page).await;
    Renewal {
        after,
        is_new: new != old && new_end > end,
        complaints: page.complaints().await,
    }
}

#[derive(Debug)]
struct Renewal {
    after: Duration,
    is_new: bool,
    complaints: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_shows_a_new_code_before_the_old_one_expires() {
    const LIFE: Duration = Duration::from_secs(21);
    const SHORTEST: Duration = Duration::from_secs(10);
    let (demo, mut browser) = demo_and_browser!();
    let with_script = browser.page(Screen::PHONE).await;
    let mut without = browser.page(Screen::PHONE).await;
    let off = json!({"value": true});
    without
        .call("Emulation.setScriptExecutionDisabled", off)
        .await;
    let hasty = browser.page(Screen::DESK).await;
    let url = |scene, life| demo.url(&format!("/qrcode?scene_id={scene}&expire_seconds={life}"));
    let (with_script, without, hasty) = tokio::join!(
        awaited_renewal(with_script, url(1, LIFE.as_secs())),
        awaited_renewal(without, url(2, LIFE.as_secs())),
        awaited_renewal(hasty, url(3, 2)),
    );
    for (case, renewal) in [
        ("script", with_script),
        ("no script", without),
        ("a code that dies at once", hasty),
    ] {
        assert!(renewal.is_new, "{case}: {renewal:?}");
        assert!(renewal.complaints.is_empty(), "{case}: {renewal:?}");
        // The page counts from when it was read, which is later; a moment is for rounding.
        let early = SHORTEST.saturating_sub(Duration::from_millis(50));
        assert!(renewal.after >= early, "{case}: {renewal:?}");
        assert!(renewal.after < LIFE, "{case}: {renewal:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hidden_page_shows_a_new_code_when_its_visitor_is_back() {
    let (demo, mut browser) = demo_and_browser!();
    let mut page = browser.page(Screen::PHONE).await;
    page.open(&demo.url("/qrcode?scene_id=5")).await;
    let reloads = page
        .eval(
            "(async now => {
                let reloads = 0;
                addEventListener('beforeunload', () => { reloads++ });
                window.hidden = true;
                Object.defineProperty(document, 'hidden', {get: () => window.hidden});
                Date.now = () => now + 7_200_000;
                document.dispatchEvent(new Event('visibilitychange'));
                // A reload would begin with the next task.
                await new Promise(done => setTimeout(done));
                return reloads;
            })(Date.now())",
        )
        .await;
    assert_eq!(reloads, 0, "while it is hidden");
    page.eval("window.hidden = false; document.dispatchEvent(new Event('visibilitychange'))")
        .await;
    page.loaded().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_that_slept_shows_a_new_code_when_it_wakes() {
    let (demo, mut browser) = demo_and_browser!();
    let mut page = browser.page(Screen::PHONE).await;
    page.open(&demo.url("/qrcode?scene_id=4")).await;
    for event in ["pageshow", "visibilitychange"] {
        let target = if event == "pageshow" {
            "window"
        } else {
            "document"
        };
        page.eval("window.opened = true").await;
        page.eval(&format!("{target}.dispatchEvent(new Event('{event}'))"))
            .await;
        assert_eq!(
            page.eval("window.opened").await,
            json!(true),
            "{event}: too early"
        );
        let sleep = format!(
            "(now => {{ Date.now = () => now() + 7_200_000; {target}.dispatchEvent(new Event('{event}')) }})(Date.now)"
        );
        page.eval(&sleep).await;
        page.loaded().await;
        assert_eq!(
            page.eval("window.opened").await,
            Value::Null,
            "{event}: a new page"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_failed_comes_back_by_itself_where_waiting_helps() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let mut page = browser.page(Screen::PHONE).await;
    let refresh = "document.querySelector('meta[http-equiv=refresh]')?.content ?? null";
    for (errcode, comes_back) in [(45009, true), (40013, false)] {
        let demo = Demo::start().await;
        let fault = json!([{"api": "create", "kind": "errcode", "value": errcode, "times": 9}]);
        let request = demo.client.put(demo.url("/sandbox/faults")).json(&fault);
        assert!(request.send().await.unwrap().status().is_success());
        let name = format!("error-{errcode}");
        page.open(&demo.url("/qrcode?scene_id=5")).await;
        keep(&name, &page.screenshot().await);
        check_page(&mut page, &name).await;
        let again = page.eval(refresh).await;
        let seconds = again.as_str().map(|text| text.parse::<u64>().unwrap());
        assert_eq!(
            seconds.is_some_and(|it| it >= 30),
            comes_back,
            "{name}: {again}"
        );
    }
}
