//! Channels are made: one, and many, of which each costs one code for ever.

use std::collections::BTreeSet;
use std::path::Path;

use channel_files::{Cell, Heading, Width, Workbook};
use serde_json::{Value, json};

use super::{app_and_browser, browser, listed, make_codes, numbered};
use crate::browser::chromium::{Chromium, Page, Screen, keep};
use crate::browser::{EACH_ONCE, check_reading, decoded, in_lang, screens_and_langs};
use crate::support::app::TestApp;
use crate::support::figures::sized;
use crate::support::keys;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_enough_for_a_code() {
    let mut browser = browser!();
    for (screen, lang) in screens_and_langs() {
        let mut page = browser.page(screen).await;
        make_one(&mut page, lang).await;
    }
}

/// Makes a channel of a name, and the same one again.
async fn make_one(page: &mut Page, lang: &str) {
    let app = TestApp::spawn().await;
    page.open_console(&app, &format!("/codes/new?lang={lang}"), keys::ADMIN)
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
    keep(&format!("new-made-{lang}-{}", page.screen.name), &png);
    assert_eq!(decoded(&png), [code["url"].as_str().unwrap()]);
    assert!(page.text("cost.textContent").await.contains("99,999"));
    // The same name is the same channel.
    page.fill("#label", "静安寺站 A 口海报").await;
    page.fill("#group", "上海").await;
    let exists = in_lang(lang, "已有", "exists");
    page.until(&format!("cost.textContent.includes('{exists}')"))
        .await;
    page.click("#submit").await;
    page.until("!submit.disabled").await;
    assert_eq!(app.creates(), 1);
    check_reading(page, "a new channel").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scene_of_the_first_page_is_taken_along() {
    let (app, mut browser) = app_and_browser!();
    for (scene, field, want) in [
        ("scene_id=77", "scene_id", json!(77)),
        ("scene_str=shop-7", "scene_str", json!("shop-7")),
    ] {
        let mut page = browser.page(Screen::PHONE).await;
        page.open(&app.url(&format!("/?{scene}&permanent=true&lang=zh")))
            .await;
        page.click("#result a.button").await;
        page.loaded().await;
        page.enter(keys::ADMIN).await;
        page.until("!board.hidden && about_scene.textContent !== ''")
            .await;
        page.click("#submit").await;
        page.until("!shown.hidden && !submit.disabled").await;
        let codes = listed(&app, "permanent=true").await;
        assert!(codes.iter().any(|code| code[field] == want), "{codes:?}");
    }
    assert_eq!(app.creates(), 2);
    // A code has one scene.
    let mut page = browser.page(Screen::PHONE).await;
    page.open_console(&app, "/codes/new?lang=zh&scene_id=5", keys::ADMIN)
        .await;
    page.fill("#scene_str", "five").await;
    assert_eq!(page.text("scene_id.value").await, "");
    page.fill("#scene_id", "6").await;
    assert_eq!(page.text("scene_str.value").await, "");
}

/// What the plan shows beside each status.
async fn counts(page: &mut Page) -> Value {
    page.eval("Object.fromEntries([...document.querySelectorAll('[data-count]')].map(it => [it.dataset.count, it.textContent]))")
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pasted_names_are_checked_before_anything_is_made() {
    let mut browser = browser!();
    for (screen, lang) in screens_and_langs() {
        let mut page = browser.page(screen).await;
        paste_names(&mut page, lang).await;
    }
}

/// Pastes five names, and then thirty: the same five, three that are wrong, and the others.
async fn paste_names(page: &mut Page, lang: &str) {
    let app = TestApp::spawn().await;
    let names = numbered("Shop", 27);
    let wrong = ["x".repeat(101), "y".repeat(101), "z".repeat(101)];
    page.open_console(&app, &format!("/codes/import?lang={lang}"), keys::ADMIN)
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
    assert_eq!(counts(page).await, want);
    let problems = page
        .eval("[...document.querySelectorAll('#rows tbody tr')].map(it => [it.cells[0].textContent, it.querySelector('.problem').textContent !== ''])")
        .await;
    assert_eq!(problems, json!([["28", true], ["29", true], ["30", true]]));
    let cost = page.text("cost.textContent").await;
    for part in ["22", "99,995", in_lang(lang, "不能删除", "never")] {
        assert!(cost.contains(part), "{part}: {cost}");
    }
    check_reading(page, "a plan").await;
    page.click("#confirm").await;
    page.until("!finished.hidden").await;
    assert_eq!(app.creates(), 27);
    assert_eq!(listed(&app, "").await.len(), 27);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_brings_replies_that_are_texts_and_cards() {
    let (app, mut browser) = app_and_browser!();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shops.csv");
    let card = json!({"title": "周年 \"庆\"", "url": "https://example.com/"});
    let cell = card.to_string().replace('"', "\"\"");
    let text =
        format!("名称,回复,reply_news\n一店,欢迎,\n二店,,\"{cell}\"\n三店,欢迎,\"{cell}\"\n");
    std::fs::write(&file, text).unwrap();
    let mut page = browser.page(Screen::DESK).await;
    check_file(&mut page, &app, "zh", &file).await;
    let want = json!({"": "3", "new": "2", "changed": "0", "known": "0", "invalid": "1"});
    assert_eq!(counts(&mut page).await, want);
    assert_eq!(page.eval("unknown.hidden").await, true);
    // Where there are wrong rows, they are shown first.
    let shown = page.text("rows.textContent").await;
    assert!(shown.contains("只能填写一个"), "{shown}");
    page.click("#confirm").await;
    page.until("!finished.hidden").await;
    for (name, want) in [
        ("一店", json!({"text": "欢迎"})),
        ("二店", json!({"news": card})),
    ] {
        let listed = listed(&app, "sort=label").await;
        let code = listed.iter().find(|code| code["label"] == name).unwrap();
        assert_eq!(code["reply"], want);
    }
}

/// The names below the codes of a sheet, in its order.
const PRINTED: &str =
    "[...document.querySelectorAll('.label [data-part=name]')].map(it => it.textContent)";

/// A workbook with Chinese headings, which are not in the order of the documents.
fn five_hundred() -> Vec<u8> {
    let width = Width::Middle;
    let headings = ["分组", "名称", "类型"].map(|text| Heading { text, width });
    let mut workbook = Workbook::new("门店", &headings);
    for n in 1..=500 {
        let name = format!("门店 {n:03}");
        workbook.write(&[Cell::Text("华东"), Cell::Text(&name), Cell::Text("永久")]);
    }
    let mut file = workbook.take();
    file.extend(workbook.finish());
    file
}

async fn check_file(page: &mut Page, app: &TestApp, lang: &str, file: &Path) {
    page.open_console(app, &format!("/codes/import?lang={lang}"), keys::ADMIN)
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
async fn a_workbook_that_was_stopped_half_way_is_finished_without_minting_twice() {
    let mut browser = browser!();
    let runs = sized(&EACH_ONCE[1..], &EACH_ONCE[..]);
    for &(screen, lang) in runs {
        stop_half_way(&mut browser, screen, lang).await;
    }
}

/// Stops a batch of five hundred, closes the tab, and does it again in another one.
async fn stop_half_way(browser: &mut Chromium, screen: Screen, lang: &str) {
    let app = TestApp::spawn().await;
    make_codes(&app, &numbered("Other", 1), "Other").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("门店.xlsx");
    std::fs::write(&file, five_hundred()).unwrap();
    let mut page = browser.page(screen).await;
    check_file(&mut page, &app, lang, &file).await;
    page.click("#confirm").await;
    page.until("document.querySelector('progress').value > 50")
        .await;
    page.click("#stop").await;
    page.until("!failures.hidden").await;
    let unfinished = in_lang(lang, "还没有做完", "Not finished");
    assert_eq!(page.text("plan_title.textContent").await, unfinished);
    let left = in_lang(lang, "未完成的渠道", "What is left");
    assert_eq!(page.text("failures_title.textContent").await, left);
    check_reading(&mut page, "a batch that was stopped").await;
    let so_far = app.creates();
    assert!(so_far > 50 && so_far < 501, "{so_far}");
    // The tab is closed; another one begins again.
    page.open("about:blank").await;
    let mut page = browser.page(screen).await;
    check_file(&mut page, &app, lang, &file).await;
    let known = (so_far - 1).to_string();
    assert_eq!(counts(&mut page).await["known"], known.as_str());
    page.click("#confirm").await;
    page.until("!finished.hidden").await;
    let finished = in_lang(lang, "已完成", "Finished");
    assert_eq!(page.text("plan_title.textContent").await, finished);
    assert_eq!(page.eval("planned.checkVisibility()").await, json!(false));
    check_reading(&mut page, "a batch that is finished").await;
    // The whole file is printed, not only what was made now.
    page.click("#to_print").await;
    page.loaded().await;
    page.until("document.querySelectorAll('.label').length === 480")
        .await;
    let printed = page.eval(PRINTED).await;
    let want: Vec<_> = (1..=480).map(|n| format!("门店 {n:03}")).collect();
    assert_eq!(printed, json!(want));
    let codes = listed(&app, "group=%E5%8D%8E%E4%B8%9C").await;
    let scenes: BTreeSet<_> = codes
        .iter()
        .map(|code| code["scene_str"].as_str())
        .collect();
    assert_eq!((codes.len(), scenes.len()), (500, 500));
    assert_eq!(app.creates(), 501, "each is minted once");
}

/// Counts what is sent to make codes, and the gaps of 10 ms that were waited before each.
const COUNTING: &str = "window.sent = []; window.gaps = 0; window.real = fetch; window.fetch = (url, options) => {
    if (String(url).endsWith('/api/codes') && options?.method === 'POST') sent.push([gaps, JSON.parse(options.body).label]);
    return real(url, options);
};
window.timer = setTimeout; window.setTimeout = (end, wait) => timer(() => { if (wait === 10) gaps += 1; end(); }, wait)";

async fn check_text(page: &mut Page, text: &str) {
    page.fill("#lines", text).await;
    page.click("#check").await;
    page.until("!plan.hidden").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heading_that_was_pasted_is_no_name() {
    let (app, mut browser) = app_and_browser!();
    let mut page = browser.page(Screen::PHONE).await;
    page.open_console(&app, "/codes/import?lang=zh", keys::ADMIN)
        .await;
    for (text, lines) in [
        ("名称\n甲店\n乙店\n", json!(["2", "3"])),
        ("\n渠道名称\n\n甲店\n乙店", json!(["4", "5"])),
        ("\n \n名称\t分组\n甲店\t上海\n乙店\t上海", json!(["4", "5"])),
        ("甲店\n\n乙店", json!(["1", "3"])),
    ] {
        check_text(&mut page, text).await;
        let want = json!({"": "2", "new": "2", "changed": "0", "known": "0", "invalid": "0"});
        assert_eq!(counts(&mut page).await, want, "{text:?}");
        let got = page
            .eval("[...document.querySelectorAll('#rows tbody tr')].map(it => it.cells[0].textContent)")
            .await;
        assert_eq!(got, lines, "{text:?}");
        page.click("#back").await;
    }
    // A row names another by its line in the text, and gets the group of the form.
    page.fill("#group", "上海").await;
    check_text(&mut page, "\n甲店\n\n甲店\n乙店\n").await;
    let problem = page
        .text("document.querySelector('#rows .problem').textContent")
        .await;
    assert!(problem.starts_with("与第 2 行重复"), "{problem}");
    page.click("#confirm").await;
    page.until("!finished.hidden").await;
    let codes = listed(&app, "group=%E4%B8%8A%E6%B5%B7").await;
    // Several are made at a time, in any order.
    let labels = codes.iter().map(|code| code["label"].as_str().unwrap());
    assert_eq!(labels.collect::<BTreeSet<_>>(), ["甲店", "乙店"].into());
    assert_eq!(app.creates(), 2);
}

/// Drops a file on the form.
async fn drop_file(page: &mut Page, name: &str, text: &str) {
    page.eval(&format!(
        "(() => {{
            const data = new DataTransfer();
            data.items.add(new File([{}], {}));
            const drop = new DragEvent('drop', {{ bubbles: true, cancelable: true, dataTransfer: data }});
            document.querySelector('#drop').dispatchEvent(drop);
        }})()",
        json!(text),
        json!(name)
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_form_says_what_a_file_leaves_open() {
    let (app, mut browser) = app_and_browser!();
    let mut page = browser.page(Screen::PHONE).await;
    page.open_console(&app, "/codes/import?lang=zh", keys::ADMIN)
        .await;
    page.fill("#group", "上海").await;
    page.click("label:has([name=permanent][value=false])").await;
    drop_file(
        &mut page,
        "店.csv",
        "名称,分组,类型\n一店,,\n二店,北京,永久\n",
    )
    .await;
    for field in ["#group", "[name=permanent]", "#amount"] {
        let seen = format!("document.querySelector({field:?}).checkVisibility()");
        assert_eq!(page.eval(&seen).await, json!(true), "{field}");
    }
    page.click("#check").await;
    page.until("!plan.hidden").await;
    let cells = "[...document.querySelectorAll('#rows tbody tr')].map(it => ['label', 'group', 'kind'].map(part => it.querySelector(`[data-part=${part}]`).textContent))";
    let want = json!([["一店", "上海", "临时"], ["二店", "北京", "永久"]]);
    assert_eq!(page.eval(cells).await, want);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_dropped_is_read_and_two_presses_are_one() {
    let (app, mut browser) = app_and_browser!();
    let mut page = browser.page(Screen::DESK).await;
    page.open_console(&app, "/codes/import?lang=en", keys::ADMIN)
        .await;
    let lines: Vec<_> = (1..=9).rev().map(|n| format!("Stand {n},Fair\n")).collect();
    let text = format!("label,group\n{}", lines.concat());
    drop_file(&mut page, "stands.csv", &text).await;
    assert_eq!(page.eval("file.files[0].name").await, json!("stands.csv"));
    page.click("#check").await;
    page.until("!plan.hidden").await;
    assert_eq!(page.text("plan_source.textContent").await, "stands.csv");
    page.eval(COUNTING).await;
    page.eval(
        "document.querySelector('#confirm').click(); document.querySelector('#confirm').click()",
    )
    .await;
    page.until("!finished.hidden").await;
    let sent = page.eval("sent").await;
    let sent: Vec<(u32, String)> = serde_json::from_value(sent).unwrap();
    let want: Vec<_> = (1..=9).rev().map(|n| format!("Stand {n}")).collect();
    let labels: Vec<_> = sent.iter().map(|(_, label)| label.clone()).collect();
    assert_eq!(labels, want, "in the order of the file, each once");
    // So they are new in that order, too, as far as a page can see to it.
    for pair in sent.windows(2) {
        assert!(pair[1].0 > pair[0].0, "a gap between both: {sent:?}");
    }
    assert_eq!(app.creates(), 9);

    page.open_console(&app, "/codes/new?lang=en", keys::ADMIN)
        .await;
    page.fill("#label", "One").await;
    page.eval(COUNTING).await;
    page.eval("document.querySelector('#make').requestSubmit(); document.querySelector('#make').requestSubmit()")
        .await;
    page.until("!shown.hidden && !submit.disabled").await;
    assert_eq!(page.eval("sent.length").await, json!(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_shows_what_a_row_changes() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &["Shop 1".to_owned()], "Shanghai").await;
    let mut page = browser.page(Screen::PHONE).await;
    page.open_console(&app, "/codes/import?lang=zh", keys::ADMIN)
        .await;
    check_text(&mut page, "名称\t分组\t回复\nShop 1\tBeijing\t欢迎\n").await;
    let cells = "[...document.querySelectorAll('#rows tbody tr')].map(it => ['status', 'label', 'group', 'reply'].map(part => it.querySelector(`[data-part=${part}]`).textContent))";
    let want = json!([["修改", "Shop 1", "Shanghai → Beijing", "（无） → 欢迎"]]);
    assert_eq!(page.eval(cells).await, want);
    let cost = page.text("cost.textContent").await;
    assert!(cost.contains("不会新建"), "{cost}");
    // No word is broken in two.
    let lines = page.eval("(it => it.getClientRects().length)(document.querySelector('#rows [data-part=status]'))").await;
    assert_eq!(lines, json!(1));
    keep("plan-changed", &page.full_screenshot().await);
    page.click("#confirm").await;
    page.until("!finished.hidden").await;
    assert_eq!(app.creates(), 1);
    assert_eq!(
        listed(&app, "group=Beijing").await[0]["reply"]["text"],
        "欢迎"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_that_is_used_up_ends_a_batch_in_one_sentence() {
    let mut browser = browser!();
    let app = TestApp::with().set("PERMANENT_LIMIT", "12").spawn().await;
    let mut page = browser.page(Screen::PHONE).await;
    page.open_console(&app, "/codes/import?lang=zh", keys::ADMIN)
        .await;
    check_text(&mut page, &numbered("店", 10).join("\n")).await;
    // Another client uses 9 of the 12 codes of the stock.
    make_codes(&app, &numbered("Other", 9), "Other").await;
    page.eval(COUNTING).await;
    page.click("#confirm").await;
    page.until("!failures.hidden").await;
    let sentence = "永久二维码数量已用完，不能再新建；可以改用临时码。";
    let outcome = page.text("outcome.textContent").await;
    let want = format!("完成 3 个，失败 1 个，未做 6 个。已完成的都已保存。原因：{sentence}");
    assert_eq!(outcome, want);
    let failed = page
        .eval("[...document.querySelectorAll('#failed_list li')].map(it => it.textContent)")
        .await;
    assert_eq!(failed.as_array().unwrap().len(), 1, "{failed}");
    assert!(failed[0].as_str().unwrap().ends_with(sentence), "{failed}");
    let sent = page.eval("sent.length").await.as_u64().unwrap();
    assert!(sent <= 8, "{sent}: none is tried after the first refusal");
    // The browser notes the refusals.
    let refusals = page.complaints().await;
    assert!(refusals.iter().all(|it| it.contains("409")), "{refusals:?}");
    check_reading(&mut page, "a batch with failures").await;

    // The button says so before it is pressed, and a known name is still shown.
    for (lang, none) in [("zh", "还剩 0 个"), ("en", "(0)")] {
        page.open_console(&app, &format!("/codes/new?lang={lang}"), keys::ADMIN)
            .await;
        page.until(&format!(
            "cost.textContent.includes('{none}') && submit.disabled"
        ))
        .await;
        page.fill("#label", "Newcomer").await;
        page.until("about_scene.textContent !== '' && submit.disabled")
            .await;
        page.fill("#label", "Other 01").await;
        page.until("!submit.disabled").await;
        page.fill("#label", "Newcomer").await;
        page.until("submit.disabled").await;
        page.click("label:has([name=permanent][value=false])").await;
        page.until("!submit.disabled").await;
        check_reading(&mut page, "a new channel without stock").await;
    }
    assert_eq!(app.creates(), 12);
}
