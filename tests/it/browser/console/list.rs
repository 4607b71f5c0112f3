//! The list of channels: found, changed, archived, picked, and kept in the address.

use serde_json::json;

use super::{app_and_browser, browser, listed, make_codes, make_many, numbered};
use crate::browser::chromium::{Page, Screen, keep};
use crate::browser::{EACH_ONCE, SCREENS, check_reading, in_lang, screens_and_langs};
use crate::support::app::TestApp;
use crate::support::keys;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_renamed_archived_and_brought_back_where_it_is_listed() {
    let mut browser = browser!();
    for (screen, lang) in screens_and_langs() {
        let mut page = browser.page(screen).await;
        change_one(&mut page, lang).await;
    }
}

/// Renames the second of three channels, takes it out of its group and out of the list, and brings
/// it back.
async fn change_one(page: &mut Page, lang: &str) {
    let app = TestApp::spawn().await;
    make_codes(&app, &numbered("Shop", 3), "Shanghai").await;
    let list = app.url(&format!("/codes?lang={lang}"));
    page.open_console(&app, &format!("/codes?lang={lang}"), keys::ADMIN)
        .await;
    page.until_listed(&["Shop 03", "Shop 02", "Shop 01"]).await;
    page.click("#list tbody tr:nth-of-type(2) [data-part=name]")
        .await;
    page.fill(".panel [data-part=label]", "  Flagship  ").await;
    page.fill(".panel [data-part=group]", "").await;
    page.click(".panel form button").await;
    page.until_listed(&["Shop 03", "Flagship", "Shop 01"]).await;
    let saved = in_lang(lang, "已保存", "Saved");
    page.until(&format!(
        "document.querySelector('.panel [data-part=note]').textContent === '{saved}'"
    ))
    .await;
    let code = &listed(&app, "scene=str:Shanghai-1").await[0];
    assert_eq!(code["label"], "Flagship", "{code}");
    assert_eq!(code.get("group"), None, "an empty field clears: {code}");

    page.click(".panel [data-part=archive]").await;
    page.until("!document.querySelector('.panel [data-part=bring_back]').hidden")
        .await;
    page.open(&list).await;
    page.until_listed(&["Shop 03", "Shop 01"]).await;
    page.choose("[name=archived]", "true").await;
    page.until_listed(&["Flagship"]).await;
    page.click("#list [data-part=name]").await;
    page.click(".panel [data-part=bring_back]").await;
    page.until("!document.querySelector('.panel [data-part=archive]').hidden")
        .await;
    page.choose("[name=archived]", "").await;
    page.until_listed(&["Shop 03", "Flagship", "Shop 01"]).await;
    assert_eq!(app.creates(), 3, "names cost nothing");
    check_reading(page, "the list").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporary_channel_keeps_its_code_through_every_change() {
    let (app, mut browser) = app_and_browser!();
    // Less is left of it than a visitor would get.
    let code = json!({"scene_str": "stand", "expire_seconds": 600, "label": "Stand"});
    make_many(&app, &[code]).await;
    let ticket = listed(&app, "").await[0]["ticket"].clone();
    let mut page = browser.page(Screen::PHONE).await;
    page.open_console(&app, "/codes?lang=zh", keys::ADMIN).await;
    page.until_listed(&["Stand"]).await;
    page.click("#list [data-part=name]").await;
    page.fill(".panel [data-part=label]", "快闪").await;
    page.click(".panel form button").await;
    page.until_listed(&["快闪"]).await;
    page.click("#list [data-part=pick]").await;
    page.fill("#new_group", "活动").await;
    page.click("#regroup button").await;
    page.until("outcome.textContent === '完成：1 个。'").await;
    page.until("document.querySelector('#list tbody [data-part=group]').textContent === '活动'")
        .await;
    page.click("#list [data-part=pick]").await;
    page.until("selected.textContent === '已选 1 个' && !archive.disabled")
        .await;
    page.click("#archive").await;
    // It stays in the list as long as it is open.
    page.until("document.querySelector('#list tbody').textContent.includes('已归档')")
        .await;
    let code = &listed(&app, "archived=true").await[0];
    assert_eq!(
        [&code["label"], &code["group"], &code["ticket"]],
        [&json!("快闪"), &json!("活动"), &ticket]
    );
    assert_eq!(app.creates(), 1, "names cost nothing");

    // A name that is known shows its code.
    page.open_console(&app, "/codes/new?lang=zh", keys::ADMIN)
        .await;
    page.click("label:has([name=permanent][value=false])").await;
    page.fill("#label", "快闪").await;
    page.until("cost.textContent.includes('不会新建')").await;
    page.click("#submit").await;
    page.until("!shown.hidden && !submit.disabled && picture.complete && picture.naturalWidth > 0")
        .await;
    assert_eq!(app.creates(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_is_regrouped_and_archived_as_one() {
    let mut browser = browser!();
    for (screen, lang) in screens_and_langs() {
        let mut page = browser.page(screen).await;
        change_many(&mut page, lang).await;
    }
}

/// Moves twenty of thirty channels to another group, and archives them all.
async fn change_many(page: &mut Page, lang: &str) {
    let app = TestApp::spawn().await;
    make_codes(&app, &numbered("Shop", 30), "Shanghai").await;
    page.open_console(&app, &format!("/codes?lang={lang}"), keys::ADMIN)
        .await;
    let selected = |count: u32| {
        let text = in_lang(lang, "已选 # 个", "# selected").replace('#', &count.to_string());
        format!("selected.textContent === '{text}'")
    };
    let done = |count: u32| {
        let text = in_lang(lang, "完成：# 个。", "Done: #.").replace('#', &count.to_string());
        format!("outcome.textContent === '{text}'")
    };
    page.until("document.querySelectorAll('#list tbody tr').length === 25")
        .await;
    for n in 1..=20 {
        page.click(&format!("#list tbody tr:nth-of-type({n}) [data-part=pick]"))
            .await;
    }
    page.until(&selected(20)).await;
    page.fill("#new_group", "北京").await;
    page.click("#regroup button").await;
    page.until(&done(20)).await;
    assert_eq!(listed(&app, "group=%E5%8C%97%E4%BA%AC").await.len(), 20);
    assert_eq!(listed(&app, "group=Shanghai").await.len(), 10);
    let total = in_lang(lang, "共 30 个渠道", "30 channels");
    page.until(&format!("count.textContent === '{total}'"))
        .await;
    check_reading(page, "a report of what was done").await;

    // All that match are more than the page has. On a phone the table has no head.
    page.until("document.querySelector('#list tbody [data-part=group]').textContent === '北京'")
        .await;
    let (some, count) = match page.screen.name {
        "390" => ("#list [data-part=pick]", 1),
        _ => ("#pick_page", 25),
    };
    page.click(some).await;
    page.until(&selected(count)).await;
    page.click("#pick_all").await;
    page.until(&format!("{} && !archive.disabled", selected(30)))
        .await;
    page.click("#archive").await;
    page.until(&done(30)).await;
    assert_eq!(listed(&app, "archived=true").await.len(), 30);
    page.until("document.querySelectorAll('#list tbody tr').length === 0")
        .await;
    assert_eq!(app.creates(), 30, "none is minted again");
    check_reading(page, "the empty list").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reload_and_back_keep_what_is_shown() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &numbered("Shop", 28), "Shanghai").await;
    make_codes(&app, &numbered("Poster", 2), "Beijing").await;
    for (screen, lang) in EACH_ONCE {
        let mut page = browser.page(screen).await;
        leave_and_come_back(&mut page, &app, lang).await;
    }
}

/// Chooses what the list shows, and reloads, goes back and follows a link.
async fn leave_and_come_back(page: &mut Page, app: &TestApp, lang: &str) {
    let total = |count: u32| {
        let text = in_lang(lang, "共 # 个渠道", "# channels").replace('#', &count.to_string());
        format!("count.textContent === '{text}'")
    };
    page.open_console(app, &format!("/codes?lang={lang}"), keys::STATS)
        .await;
    page.until(&total(30)).await;
    page.choose("[name=group]", "Shanghai").await;
    page.choose("[name=sort]", "label").await;
    let first = "document.querySelector('#list [data-part=name]').textContent === 'Shop 01'";
    page.until(&format!("{} && {first}", total(28))).await;
    page.click("#next").await;
    page.until_listed(&["Shop 26", "Shop 27", "Shop 28"]).await;
    page.click("#list tbody tr:nth-of-type(2) [data-part=name]")
        .await;
    page.until("document.querySelector('.panel')").await;
    let address = page.text("location.href").await;
    page.open(&address).await;
    page.until_listed(&["Shop 26", "Shop 27", "Shop 28"]).await;
    let opened = "document.querySelector('[aria-expanded=true]')?.textContent ?? ''";
    assert_eq!(page.text(opened).await, "Shop 27");
    page.eval("history.back()").await;
    page.until("!document.querySelector('.panel')").await;
    page.eval("history.back()").await;
    page.until("document.querySelectorAll('#list tbody tr').length === 25")
        .await;
    page.fill("#q", "shop 2").await;
    page.until(&total(9)).await;
    let address = page.text("location.href").await;
    page.open(&address).await;
    page.until(&total(9)).await;
    assert_eq!(page.text("q.value").await, "shop 2");
    assert_eq!(page.text("group.value").await, "Shanghai");
    // A link to a channel shows it, whatever the list shows.
    let channel = "channel=permanent%3Astr%3ABeijing-1";
    page.open(&app.url(&format!("/codes?lang={lang}&group=Shanghai&{channel}")))
        .await;
    page.until("document.querySelector('.panel')").await;
    assert_eq!(page.text(opened).await, "Poster 02");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_offered_only_what_it_may_do() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &numbered("Shop", 2), "Shanghai").await;
    for screen in SCREENS {
        let mut page = browser.page(screen).await;
        check_offers(&mut page, &app).await;
    }
    for (path, key) in [("/codes/new", keys::STATS), ("/codes", keys::MINT)] {
        let mut page = browser.page(Screen::DESK).await;
        page.open(&app.url(&format!("{path}?lang=en"))).await;
        page.enter(key).await;
        page.until("trouble.textContent.includes('scope')").await;
        assert_eq!(page.eval("board.hidden").await, json!(true), "{path}");
    }
}

/// Looks at what the list and a channel offer to a key with the scope `stats`.
async fn check_offers(page: &mut Page, app: &TestApp) {
    page.open_console(app, "/codes?lang=en", keys::STATS).await;
    page.until_listed(&["Shop 02", "Shop 01"]).await;
    page.click("#list [data-part=pick]").await;
    page.click("#list [data-part=name]").await;
    let offered = "[...document.querySelectorAll('main :is(button, a, input)')].filter(it => it.checkVisibility()).map(it => it.id || it.dataset.part || it.dataset.file || it.textContent.trim())";
    let offered = page.eval(offered).await.to_string();
    for absent in [
        "New channel",
        "Many at once",
        "new_group",
        "archive",
        "bring_back",
        "label",
        "Save",
    ] {
        assert!(
            !offered.contains(&format!("\"{absent}\"")),
            "{absent}: {offered}"
        );
    }
    for present in ["png", "svg", "print", "zip", "xlsx", "csv", "copy_link"] {
        assert!(
            offered.contains(&format!("\"{present}\"")),
            "{present}: {offered}"
        );
    }
    keep(
        &format!("codes-stats-key-{}", page.screen.name),
        &page.screenshot().await,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_are_cleared_by_a_button_of_their_own_and_archived_ones_come_back() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &numbered("Shop", 3), "Shanghai").await;
    let mut page = browser.page(Screen::DESK).await;
    page.open_console(&app, "/codes?lang=en", keys::ADMIN).await;
    page.until_listed(&["Shop 03", "Shop 02", "Shop 01"]).await;
    page.click("#pick_page").await;
    page.until("selected.textContent === '3 selected'").await;
    // An empty field clears nothing.
    page.click("#regroup button").await;
    page.until("!new_group.checkValidity()").await;
    assert_eq!(page.text("outcome.textContent").await, "");
    page.click("#ungroup").await;
    page.until("outcome.textContent === 'Done: 3.'").await;
    assert_eq!(listed(&app, "group=Shanghai").await.len(), 0);

    page.until("document.querySelector('#list tbody [data-part=group]').textContent === ''")
        .await;
    page.click("#pick_page").await;
    page.until("archive.checkVisibility() && !bring_back.checkVisibility()")
        .await;
    page.click("#archive").await;
    page.until_listed(&[]).await;
    page.choose("[name=archived]", "true").await;
    page.until_listed(&["Shop 03", "Shop 02", "Shop 01"]).await;
    page.click("#pick_page").await;
    page.until("selected.textContent === '3 selected'").await;
    page.until("bring_back.checkVisibility() && !archive.checkVisibility()")
        .await;
    page.click("#bring_back").await;
    page.until("outcome.textContent === 'Done: 3.'").await;
    page.until_listed(&[]).await;
    assert_eq!(listed(&app, "archived=false").await.len(), 3);
    // The report can be put away.
    assert_eq!(page.text("pick_none.textContent").await, "Close");
    page.click("#pick_none").await;
    page.until("selection.hidden").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_temporary_channel_has_a_script_that_renews_its_code() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &numbered("Poster", 1), "Shanghai").await;
    let stand = json!({"scene_str": "展会 \"A\"&1", "expire_seconds": 600, "label": "Stand", "group": "Fair"});
    make_many(&app, &[stand]).await;
    let mut page = browser.page(Screen::DESK).await;
    let permissions = json!({"permissions": ["clipboardReadWrite"]});
    page.call("Browser.grantPermissions", permissions).await;
    for (group, name) in [("Shanghai", "Poster 01"), ("Fair", "Stand")] {
        page.open_console(&app, &format!("/codes?lang=en&group={group}"), keys::ADMIN)
            .await;
        page.until_listed(&[name]).await;
        page.click("#list [data-part=name]").await;
        let offered = "document.querySelector('.panel [data-part=copy_script]').checkVisibility()";
        assert_eq!(page.eval(offered).await, json!(name == "Stand"), "{name}");
    }
    page.click(".panel [data-part=copy_script]").await;
    page.until("document.querySelector('.panel [data-part=copy_script]').textContent === 'Copied'")
        .await;
    let copied = page.text("navigator.clipboard.readText()").await;
    let start = format!(
        "<script src=\"{}\" async></script>\n<wx-qrcode scene-str=\"展会 &quot;A&quot;&amp;1\"",
        app.url("/embed.js")
    );
    assert!(copied.starts_with(&start), "{copied}");
    assert!(copied.ends_with("\"></wx-qrcode>"), "{copied}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_key_may_not_change_of_a_selection_is_said() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &numbered("Shop", 1), "Shanghai").await;
    make_many(
        &app,
        &[json!({"scene_id": 7, "expire_seconds": 600, "label": "Stand"})],
    )
    .await;
    for (lang, want) in [
        (
            "en",
            "Done: 1. Not changed: 1, because this key lacks the scope mint.",
        ),
        ("zh", "完成：1 个。另有 1 个未改：这个密钥没有 mint 权限。"),
    ] {
        let mut page = browser.page(Screen::DESK).await;
        page.open_console(
            &app,
            &format!("/codes?lang={lang}"),
            keys::STATS_AND_PERMANENT,
        )
        .await;
        page.until_listed(&["Stand", "Shop 01"]).await;
        page.click("#pick_page").await;
        page.fill("#new_group", lang).await;
        page.click("#regroup button").await;
        page.until("outcome.textContent !== '' && progress.hidden")
            .await;
        assert_eq!(page.text("outcome.textContent").await, want);
        assert_eq!(listed(&app, &format!("group={lang}")).await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_choice_of_groups_says_where_the_others_are() {
    let (app, mut browser) = app_and_browser!();
    let code = |n: u32| json!({"scene_id": n, "expire_seconds": 600, "group": format!("{n:03}")});
    make_many(&app, &(1..=201).map(code).collect::<Vec<_>>()).await;
    let last =
        "(it => [it.textContent, it.disabled])(document.querySelector('#group').lastElementChild)";
    for path in ["/codes", "/stats"] {
        let mut page = browser.page(Screen::DESK).await;
        page.open_console(&app, &format!("{path}?lang=en"), keys::STATS)
            .await;
        page.until("document.querySelectorAll('#group option').length === 202")
            .await;
        assert_eq!(
            page.eval(last).await,
            json!(["1 more group: use the search", true])
        );
        assert_eq!(
            page.text("document.querySelector('#group').value").await,
            ""
        );
    }
}
