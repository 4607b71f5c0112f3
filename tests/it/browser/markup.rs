//! What strangers write, in a browser that would run it: it finds no element, no attribute and no
//! script of theirs.

use serde_json::{Value, json};

use super::chromium::{Chromium, Page, Screen};
use crate::support::demo::Demo;
use crate::support::figures::{Figures, grouped, sized};
use crate::support::payloads::{encoded, payloads};

/// What a harmless text gets in a payload's place: a page with the same elements.
const HARMLESS: &str = "harmless";

/// Counts what the payloads call, before any script of a page runs.
const LISTEN: &str = "window.hits = 0; window.hit = () => { window.hits++ };";

/// What the page is made of, and what was run in it.
const MADE_OF: &str = "(() => {
    const all = [...document.querySelectorAll('*')];
    return [all.length, all.flatMap(it => [...it.attributes]).length, document.scripts.length, window.hits];
})()";

/// What the first page has in its field.
const FIELD: &str = "document.querySelector('[name=scene_str]').value";

/// The pages that show, or refuse, what a stranger wrote.
async fn pages_with(demo: &Demo, text: &str) -> [String; 5] {
    let text = encoded(text);
    let code = demo.code(&format!("scene_str={text}")).await;
    [
        demo.url(&format!("/?scene_str={text}")),
        demo.url(&format!("/?scene_id={text}&lang=en")),
        demo.url(&format!("/qrcode.html?scene_str={text}")),
        // The page that plays the phone shows the scene.
        code["url"].as_str().unwrap().to_owned(),
        // The last one, because the browser complains of the status of a page that was left.
        demo.url(&format!("/qrcode.html?scene_id={text}&lang=en")),
    ]
}

async fn listening(browser: &mut Chromium) -> Page {
    let mut page = browser.page(Screen::PHONE).await;
    let script = json!({"source": LISTEN});
    page.call("Page.addScriptToEvaluateOnNewDocument", script)
        .await;
    page
}

async fn made_of(page: &mut Page, demo: &Demo, text: &str) -> Vec<Value> {
    let mut all = Vec::new();
    for (n, url) in pages_with(demo, text).await.iter().enumerate() {
        page.open(url).await;
        all.push(page.eval(MADE_OF).await);
        if n == 0 {
            assert_eq!(
                page.text(FIELD).await,
                text,
                "it is shown as it was written"
            );
        }
    }
    let complaints = page.complaints().await;
    assert!(complaints.is_empty(), "{text:?}: {complaints:#?}");
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_finds_nothing_of_what_strangers_write_but_text() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let demo = Demo::start().await;
    let mut page = listening(&mut browser).await;
    let want = made_of(&mut page, &demo, HARMLESS).await;
    // In small, every so many of them.
    let texts: Vec<_> = payloads().into_iter().step_by(sized(40, 1)).collect();
    let mut found = Vec::new();
    for text in &texts {
        if made_of(&mut page, &demo, text).await != want {
            found.push(text);
        }
    }
    assert!(found.is_empty(), "{found:?}");
    let mut figures = Figures::of(format!(
        "{} texts that try to be elements or scripts, opened in Chromium on {} pages each",
        grouped(texts.len()),
        want.len()
    ));
    figures.exactly(
        "with an element or attribute more, or a script that ran",
        0,
        found.len(),
    );
}

/// Without it, the test above could pass with a browser that detects nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unescaped_markup_is_detected_in_the_browser() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let mut page = listening(&mut browser).await;
    let mut harmful = 0;
    let texts = payloads();
    for text in texts.iter().step_by(40) {
        let plain = encoded(&format!("<!doctype html><p>{HARMLESS}</p>"));
        page.open(&format!("data:text/html;charset=utf-8,{plain}"))
            .await;
        let want = page.eval(MADE_OF).await;
        let marked = encoded(&format!("<!doctype html><p>{text}</p>"));
        page.open(&format!("data:text/html;charset=utf-8,{marked}"))
            .await;
        harmful += usize::from(page.eval(MADE_OF).await != want);
    }
    assert!(
        harmful > 5,
        "{harmful} of them become elements where nothing is escaped"
    );
}
