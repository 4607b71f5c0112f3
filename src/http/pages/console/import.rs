//! `GET /codes/import`: makes many channels.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use channel_files::MAX_ROWS;

use super::frame::{ConsolePage, Frame};
use super::request::PageRequest;
use crate::http::api::codes::{MAX_FILE, MAX_NAME};
use crate::http::html::csp::{CONSOLE_STYLE, FORMS_STYLE, STYLE};
use crate::http::i18n::lang::Lang;
use crate::http::problem::Problem;
use crate::http::site::Site;

// `templates/import.html` says so.
const _: () = assert!(MAX_ROWS == 10_000 && MAX_FILE == 4 * 1024 * 1024);

const PARAMETERS: &[&str] = &["lang"];

const PAGE: ConsolePage = ConsolePage {
    path: "/codes/import",
    title: ["批量新建", "Many channels at once"],
    lead: [
        "粘贴名称或选择文件，先检查，再生成。",
        "Paste names or choose a file. It is checked first, and made after your yes.",
    ],
    script: "make_many.js",
};

#[derive(Debug, Template)]
#[template(path = "import.html")]
struct ImportPage {
    site: Arc<Site>,
    lang: Lang,
    frame: Frame,
}

pub(crate) async fn show(request: PageRequest) -> Result<Response, Problem> {
    request.respond(PARAMETERS, PAGE, |site, lang, frame| ImportPage {
        site,
        lang,
        frame,
    })
}
