//! Replies: written with their length shown, as a text or a card, where a channel is listed and
//! where it is made.

use serde_json::{Value, json};

use super::{app_and_browser, listed, make_codes, numbered};
use crate::browser::check_reading;
use crate::browser::chromium::{Page, Screen, keep};
use crate::support::app::TestApp;
use crate::support::keys;

const COUNT: &str = "document.querySelector('.panel [data-part=reply_count]').textContent";

async fn save(page: &mut Page) {
    page.eval("document.querySelector('.panel [data-part=note]').textContent = ''")
        .await;
    page.click(".panel .reply > button").await;
    page.until("document.querySelector('.panel [data-part=note]').textContent === '已保存'")
        .await;
}

async fn reply_of_the_shop(app: &TestApp) -> Value {
    listed(app, "scene=str:Shanghai-0").await[0]["reply"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_is_written_in_place() {
    let (app, mut browser) = app_and_browser!();
    make_codes(&app, &numbered("Shop", 1), "Shanghai").await;
    for (screen, name) in [(Screen::PHONE, "390"), (Screen::DESK, "1280")] {
        let mut page = browser.page(screen).await;
        page.open_console(&app, "/codes?lang=zh", keys::ADMIN).await;
        page.until_listed(&["Shop 01"]).await;
        page.click("#list [data-part=name]").await;
        page.click(".panel summary").await;
        page.click(".panel [name=reply_kind][value=text]").await;
        page.fill(".panel [data-part=reply_text]", "欢迎 🎪\n第二行")
            .await;
        page.until(&format!("{COUNT} === '8 / 600 字'")).await;
        save(&mut page).await;
        let text = json!({"text": "欢迎 🎪\n第二行"});
        assert_eq!(reply_of_the_shop(&app).await, text);
        keep(&format!("reply-text-{name}"), &page.screenshot().await);
        check_reading(&mut page, "a reply that is a text").await;

        // A text that is too long stays here.
        page.fill(".panel [data-part=reply_text]", &"展".repeat(601))
            .await;
        page.until(&format!("{COUNT} === '601 / 600 字'")).await;
        page.click(".panel .reply > button").await;
        page.until("!document.querySelector('.panel .reply').checkValidity()")
            .await;
        assert_eq!(reply_of_the_shop(&app).await, text);

        page.click(".panel [name=reply_kind][value=news]").await;
        page.fill(".panel [data-part=reply_title]", "周年庆").await;
        page.fill(".panel [data-part=reply_url]", "http://example.com/")
            .await;
        page.until("document.querySelector('.panel [data-part=reply_warning]').textContent.includes('https')")
            .await;
        keep(&format!("reply-card-{name}"), &page.screenshot().await);
        check_reading(&mut page, "a reply that is a card").await;
        page.fill(".panel [data-part=reply_url]", "https://example.com/")
            .await;
        save(&mut page).await;
        let card = json!({"news": {"title": "周年庆", "url": "https://example.com/"}});
        assert_eq!(reply_of_the_shop(&app).await, card);

        page.click(".panel [name=reply_kind][value=none]").await;
        save(&mut page).await;
        assert_eq!(reply_of_the_shop(&app).await, Value::Null);
    }
    assert_eq!(app.creates(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_channel_may_have_a_reply() {
    let (app, mut browser) = app_and_browser!();
    let mut page = browser.page(Screen::PHONE).await;
    page.open_console(&app, "/codes/new?lang=en", keys::ADMIN)
        .await;
    page.fill("#label", "Shop").await;
    page.click("#reply summary").await;
    page.click("#reply [value=text]").await;
    page.fill("#reply textarea", "Welcome").await;
    keep("reply-new", &page.screenshot().await);
    check_reading(&mut page, "a new channel with a reply").await;
    page.click("#submit").await;
    page.until("!shown.hidden && !submit.disabled").await;
    let code = &listed(&app, "").await[0];
    assert_eq!(code["reply"], json!({"text": "Welcome"}));
    // The next one has none.
    page.fill("#label", "Other").await;
    page.click("#submit").await;
    page.until("made_title.textContent === 'Other' && !submit.disabled")
        .await;
    assert_eq!(listed(&app, "q=Other").await[0].get("reply"), None);
}
