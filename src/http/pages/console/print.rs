//! `GET /codes/print`: the sheet to print.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;

use super::frame::{ConsolePage, Frame};
use super::request::PageRequest;
use crate::http::html::csp::{CONSOLE_STYLE, FORMS_STYLE, PRINT_STYLE, STYLE};
use crate::http::i18n::lang::Lang;
use crate::http::problem::Problem;
use crate::http::site::Site;

/// The parameters of the page. All but `lang` are for its script.
const PARAMETERS: &[&str] = &[
    "lang",
    "picked",
    "channel",
    "q",
    "group",
    "permanent",
    "archived",
    "sort",
    "per",
    "mm",
    "show_group",
    "show_scene",
    "marks",
];

const PAGE: ConsolePage = ConsolePage {
    path: "/codes/print",
    title: ["打印二维码", "Print codes"],
    lead: [
        "选择每页的个数或尺寸，用浏览器打印。",
        "Choose how many go on a page, or their size, and print from the browser.",
    ],
    script: "print.js",
};

#[derive(Debug, Template)]
#[template(path = "print.html")]
struct PrintPage {
    site: Arc<Site>,
    lang: Lang,
    frame: Frame,
}

pub(crate) async fn show(request: PageRequest) -> Result<Response, Problem> {
    request.respond(PARAMETERS, PAGE, |site, lang, frame| PrintPage {
        site,
        lang,
        frame,
    })
}
