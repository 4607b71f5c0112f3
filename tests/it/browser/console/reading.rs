//! Every page of the console can be read: by its look, by its words, and by a screen reader, as far
//! as axe-core can tell.

use super::{app_and_browser, make_codes, numbered};
use crate::browser::chromium::{Page, keep};
use crate::browser::{LANGS, SCREENS, check_reading};
use crate::support::keys;

async fn check(page: &mut Page, name: &str) {
    check_reading(page, name).await;
    for dark in [true, false] {
        page.prefer_dark(dark).await;
        let picture = page.full_screenshot().await;
        keep(
            &format!("{name}{}", if dark { "-dark" } else { "" }),
            &picture,
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_is_readable_in_every_state() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &numbered("门店", 26), "上海").await;
    for screen in SCREENS {
        for lang in LANGS {
            let mut page = browser.page(screen).await;
            let name = |state: &str| format!("console-{state}-{lang}-{}", screen.name);
            page.open(&app.url(&format!("/codes?lang={lang}"))).await;
            check(&mut page, &name("entry")).await;
            page.enter(keys::ADMIN).await;
            page.until(
                "!board.hidden && document.querySelectorAll('#list tbody tr').length === 25",
            )
            .await;
            check(&mut page, &name("list")).await;
            page.click("#list [data-part=name]").await;
            page.click("#list [data-part=pick]").await;
            check(&mut page, &name("panel")).await;
            page.open_console(&app, &format!("/codes/new?lang={lang}"), keys::ADMIN)
                .await;
            check(&mut page, &name("new")).await;
            page.open_console(&app, &format!("/codes/import?lang={lang}"), keys::ADMIN)
                .await;
            check(&mut page, &name("import")).await;
            let [group, scene] = ["华东".repeat(20), "s".repeat(64)];
            let wrong = "长".repeat(101);
            let lines = format!("名称\t分组\t场景值\n一号店\t{group}\t{scene}\n{wrong}\t\t");
            page.fill("#lines", &lines).await;
            page.click("#check").await;
            page.until("!plan.hidden").await;
            page.click("#shown_rows [value='']").await;
            page.until("document.querySelectorAll('#rows tbody tr').length === 2")
                .await;
            check(&mut page, &name("plan")).await;
            page.open_console(&app, &format!("/codes/print?lang={lang}"), keys::ADMIN)
                .await;
            page.until("document.querySelector('.paper')").await;
            check(&mut page, &name("print")).await;
            page.open_console(&app, &format!("/stats?lang={lang}"), keys::ADMIN)
                .await;
            check(&mut page, &name("stats")).await;
        }
    }
}
