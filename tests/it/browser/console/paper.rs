//! What is on the sheet, and what is said of what is not.

use serde_json::json;

use super::{app_and_browser, make_codes, make_many, numbered};
use crate::browser::check_reading;
use crate::browser::chromium::{Screen, keep};
use crate::support::keys;

/// The names below the codes, in the order of the sheet.
const PRINTED: &str =
    "[...document.querySelectorAll('.label [data-part=name]')].map(it => it.textContent)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sheet_says_which_codes_it_lacks() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &numbered("Shop", 4), "Shanghai").await;
    for (screen, lang, said, print) in [
        (
            Screen::PHONE,
            "zh",
            "有 2 个读不到二维码，没有排入：Shop 01、Shop 03",
            "仍然打印其余 2 个",
        ),
        (
            Screen::DESK,
            "en",
            "2 codes that cannot be read are left out: Shop 01, Shop 03",
            "Print the other 2 all the same",
        ),
    ] {
        let mut page = browser.page(screen).await;
        let breaking = "window.real = fetch; window.fetch = (url, options) =>
            /qrcode.svg.*Shanghai-[02]/.test(url) && !window.healed ? Promise.resolve(new Response('', { status: 503 })) : real(url, options)";
        page.call(
            "Page.addScriptToEvaluateOnNewDocument",
            json!({"source": breaking}),
        )
        .await;
        page.open_console(
            &app,
            &format!("/codes/print?lang={lang}&sort=created"),
            keys::STATS,
        )
        .await;
        page.until("document.querySelectorAll('.label').length === 2")
            .await;
        assert_eq!(page.eval(PRINTED).await, json!(["Shop 02", "Shop 04"]));
        assert_eq!(page.text("missing.textContent").await, said);
        assert_eq!(
            page.text("document.querySelector('#print').textContent")
                .await,
            print
        );
        check_reading(&mut page, "a sheet that lacks some").await;
        keep(
            &format!("print-missing-{}", screen.name),
            &page.screenshot().await,
        );
        page.eval("window.healed = true").await;
        page.click("#retry").await;
        page.until("document.querySelectorAll('.label').length === 4")
            .await;
        assert_eq!(page.text("missing.textContent").await, "");
        assert_eq!(page.eval("retry.checkVisibility()").await, json!(false));
    }
    // What is kept for the sheet and is not there any more is missed, too.
    let mut page = browser.page(Screen::DESK).await;
    page.open_console(&app, "/codes?lang=en", keys::STATS).await;
    page.eval("sessionStorage.setItem('wxqr.print', JSON.stringify(['permanent:str:Shanghai-3', 'temporary:str:Shanghai-3', 'permanent:str:Shanghai-1']))")
        .await;
    page.open_console(&app, "/codes/print?lang=en&picked=1", keys::STATS)
        .await;
    page.until("document.querySelectorAll('.label').length === 2")
        .await;
    assert_eq!(page.eval(PRINTED).await, json!(["Shop 04", "Shop 02"]));
    let said = page.text("missing.textContent").await;
    assert!(said.ends_with(": Shanghai-3"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_a_sheet_can_have_is_printed_in_parts() {
    let (app, mut browser) = app_and_browser!();
    let code = |n: u32| json!({"scene_id": n, "permanent": true, "label": format!("Shop {n:03}")});
    make_many(&app, &(1..=500).map(code).collect::<Vec<_>>()).await;
    let mut page = browser.page(Screen::DESK).await;
    page.open_console(&app, "/codes/print?lang=en&per=4x6&sort=label", keys::STATS)
        .await;
    page.until("document.querySelectorAll('.label').length === 480")
        .await;
    let options = "[...part.options].map(it => it.textContent)";
    assert_eq!(page.eval(options).await, json!(["1 to 480", "481 to 500"]));
    let warning = page.text("warning.textContent").await;
    assert!(warning.contains("There are 500"), "{warning}");
    page.choose("#part", "480").await;
    page.until("document.querySelectorAll('.label').length === 20")
        .await;
    let want: Vec<_> = (481..=500).map(|n| format!("Shop {n}")).collect();
    assert_eq!(page.eval(PRINTED).await, json!(want));
    // The address keeps it.
    let address = page.text("location.href").await;
    page.open(&address).await;
    page.until("document.querySelectorAll('.label').length === 20")
        .await;
    assert_eq!(page.eval(PRINTED).await, json!(want));
    assert_eq!(page.text("part.value").await, "480");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_names_are_seen_whole_on_every_layout() {
    let (app, mut browser) = app_and_browser!();
    let longest = json!({
        "scene_str": "景".repeat(64), "permanent": true, "label": "名".repeat(100), "group": "组".repeat(100),
    });
    let short = json!({"scene_str": "a", "permanent": true, "label": "a"});
    make_many(&app, &[longest, short]).await;
    let mut page = browser.page(Screen::DESK).await;
    for layout in [
        "1",
        "2x3",
        "3x4",
        "4x6",
        "mm&mm=15",
        "mm&mm=40",
        "mm&mm=150",
    ] {
        let path = format!("/codes/print?lang=en&show_group=true&show_scene=true&per={layout}");
        page.open_console(&app, &path, keys::STATS).await;
        page.until("document.querySelectorAll('.label').length === 2")
            .await;
        let clipped = "[...document.querySelectorAll('.label, .label figcaption')]
            .filter(it => it.scrollHeight > it.clientHeight)
            .map(it => [it.tagName, it.scrollHeight, it.clientHeight, it.style.cssText])";
        assert_eq!(page.eval(clipped).await, json!([]), "{layout}");
        keep(
            &format!("print-longest-{}", layout.replace(['&', '='], "-")),
            &page.screenshot().await,
        );
    }
}
