//! `GET /codes/new`: makes one channel.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use wechat::push::{ArticleDescription, ArticleTitle, ReplyText, WebUrl};
use wechat::scene::SceneText;

use super::frame::{ConsolePage, Frame};
use super::request::PageRequest;
use crate::http::api::codes::MAX_NAME;
use crate::http::html::csp::{CONSOLE_STYLE, FORMS_STYLE, STYLE};
use crate::http::i18n::lang::Lang;
use crate::http::problem::Problem;
use crate::http::site::Site;

/// The parameters of the page. The scenes are what their fields are filled in with.
const PARAMETERS: &[&str] = &["lang", "scene_id", "scene_str"];

const PAGE: ConsolePage = ConsolePage {
    path: "/codes/new",
    title: ["新建渠道", "New channel"],
    lead: [
        "起一个名称，就得到它的二维码。",
        "Give it a name, and its code is made.",
    ],
    script: "make_one.js",
};

#[derive(Debug, Template)]
#[template(path = "new.html")]
struct NewPage {
    site: Arc<Site>,
    lang: Lang,
    frame: Frame,
}

pub(crate) async fn show(request: PageRequest) -> Result<Response, Problem> {
    request.respond(PARAMETERS, PAGE, |site, lang, frame| NewPage {
        site,
        lang,
        frame,
    })
}
