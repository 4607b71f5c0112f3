//! `GET /codes`: the list of channels.

use std::sync::Arc;

use askama::Template;
use axum::response::Response;
use wechat::push::{ArticleDescription, ArticleTitle, ReplyText, WebUrl};

use super::frame::{ConsolePage, Frame};
use super::request::PageRequest;
use crate::http::api::codes::MAX_NAME;
use crate::http::api::stats::definitions::NumberNames;
use crate::http::html::csp::{CONSOLE_STYLE, FORMS_STYLE, STYLE};
use crate::http::i18n::lang::Lang;
use crate::http::pages::snippets;
use crate::http::problem::Problem;
use crate::http::site::Site;

/// The parameters of the page. All but `lang` are for its script, which keeps in them what is
/// shown.
const PARAMETERS: &[&str] = &[
    "lang",
    "q",
    "group",
    "permanent",
    "archived",
    "sort",
    "cursor",
    "channel",
    "days",
    "from",
    "to",
];

#[derive(Debug, Template)]
#[template(path = "codes.html")]
struct CodesPage {
    site: Arc<Site>,
    lang: Lang,
    frame: Frame,
    names: NumberNames,
    /// What shows a code elsewhere, with `{link}` for its address.
    element: String,
    iframe: String,
    script: String,
}

pub(crate) async fn show(request: PageRequest) -> Result<Response, Problem> {
    request.respond(PARAMETERS, PAGE, |site, lang, frame| CodesPage {
        site,
        lang,
        frame,
        names: NumberNames::of(lang),
        element: snippets::element("{link}", lang),
        iframe: snippets::iframe("{link}", lang),
        script: snippets::script("{link}", "{attributes}"),
    })
}

const PAGE: ConsolePage = ConsolePage {
    path: "/codes",
    title: ["渠道", "Channels"],
    lead: [
        "每个渠道有一个二维码和一个名称：一张海报、一家门店、一封邮件。",
        "A channel is a code with a name: a poster, a shop, a newsletter.",
    ],
    script: "codes.js",
};
