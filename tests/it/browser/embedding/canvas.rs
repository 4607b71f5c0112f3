//! Posters that are drawn on a canvas: the snippets of the documentation and of the first page.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::{host, until};
use crate::browser::chromium::{Chromium, Screen};
use crate::browser::decoded;
use crate::support::demo::Demo;
use crate::support::files::read;

/// The block of a page that draws a poster, with the address of the demo.
fn documented(file: &str, demo: &Demo) -> String {
    let text = read(file);
    let blocks = text.split("```html\n").skip(1);
    let mut blocks = blocks.map(|rest| rest.split_once("```").unwrap().0);
    let block = blocks.find(|block| block.contains("canvas"));
    let block = block.unwrap_or_else(|| panic!("{file} has no poster"));
    block.replace("https://qr.example.com", &demo.base)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poster_from_a_canvas_can_be_read_out_and_its_code_can_be_scanned() {
    let Some(mut browser) = Chromium::launch().await else {
        return;
    };
    let demo = Demo::start().await;
    let mut page = browser.page(Screen::DESK).await;
    page.open(&demo.url("/?scene_str=poster-7&lang=en")).await;
    let shown = page
        .text("[...document.querySelectorAll('.snippet pre')].map(it => it.textContent).find(it => it.includes('canvas'))")
        .await;
    let code = demo.code("scene_str=poster-7").await;
    for (place, snippet) in [
        ("the first page", shown),
        ("docs/embedding.md", documented("docs/embedding.md", &demo)),
        (
            "docs/zh/embedding.md",
            documented("docs/zh/embedding.md", &demo),
        ),
    ] {
        assert!(snippet.contains("png_url"), "{place}: {snippet}");
        let html =
            format!("<!doctype html><meta charset=utf-8><link rel=icon href=\"data:,\">{snippet}");
        page.open(&host(html).await).await;
        until(&mut page, "document.images[0].naturalWidth > 0").await;
        let poster = page.text("document.images[0].src").await;
        let data = poster.strip_prefix("data:image/png;base64,").unwrap();
        let png = BASE64_STANDARD.decode(data).unwrap();
        assert_eq!(decoded(&png), [code["url"].as_str().unwrap()], "{place}");
        let complaints = page.complaints().await;
        assert!(complaints.is_empty(), "{place}: {complaints:#?}");
    }
}
