//! The demo's first page: a newcomer presses "scan", and the numbers of the code move.

use super::check_page;
use super::chromium::{Chromium, Screen, keep};
use super::login::until;
use crate::support::demo::Demo;

const NUMBERS: &str =
    "[...document.querySelectorAll('.numbers dd')].map(it => it.textContent).join()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_scans_and_the_numbers_move() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let demo = Demo::start().await;
    let mut page = browser.page(Screen::PHONE).await;
    page.open(&demo.url("/?lang=en")).await;
    until(&mut page, &format!("{NUMBERS} === '0,0,0,0'")).await;
    let link = "[...document.querySelectorAll('.actions a')].at(-1).href";
    let phone = page.text(link).await;
    let mut telephone = browser.page(Screen::PHONE).await;
    for (press, numbers) in [
        ("follow", "1,1,1,0"),
        ("scan", "2,1,1,0"),
        ("unfollow", "2,1,1,1"),
    ] {
        if press == "follow" {
            telephone.open(&phone).await;
        }
        telephone.click(&format!("[value={press}]")).await;
        telephone.loaded().await;
        until(&mut page, &format!("{NUMBERS} === '{numbers}'")).await;
    }
    keep("home-numbers", &page.full_screenshot().await);
    check_page(&mut page, "the first page with numbers").await;
}
