//! `GET /stats`: the page of the statistics. It holds no numbers: its script fetches them with the
//! key that is typed in, so the page itself is public.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::tz::Offset;

use crate::http::api::stats::definitions::{Definitions, NumberNames};
use crate::http::api::stats::offset_text;
use crate::http::callback::Callback;
use crate::http::html::csp::{CONSOLE_STYLE, FORMS_STYLE, STATS_STYLE, STYLE};
use crate::http::i18n::lang::Lang;
use crate::http::pages::console::frame::{ConsolePage, Frame};
use crate::http::pages::console::request::PageRequest;
use crate::http::problem::Problem;
use crate::http::site::Site;

/// The parameters of the page. All but `lang` are for its script, which keeps in them what is
/// shown.
const PARAMETERS: &[&str] = &[
    "lang", "days", "from", "to", "group", "channel", "q", "sort",
];

const PAGE: ConsolePage = ConsolePage {
    path: "/stats",
    title: ["扫码统计", "Scan statistics"],
    lead: [
        "每个渠道带来了多少次扫码、多少新关注，又有多少人离开。",
        "How many scans and followers each channel brought, and how many of them left.",
    ],
    script: "stats.js",
};

#[derive(Debug, Template)]
#[template(path = "stats.html")]
struct StatsPage {
    site: Arc<Site>,
    lang: Lang,
    frame: Frame,
    names: NumberNames,
    definitions: Definitions,
    time_zone: String,
    has_callback: bool,
}

pub(crate) async fn show(
    State(time_zone): State<Offset>,
    State(callback): State<Option<Arc<Callback>>>,
    request: PageRequest,
) -> Result<Response, Problem> {
    request.respond(PARAMETERS, PAGE, |site, lang, frame| StatsPage {
        site,
        lang,
        frame,
        names: NumberNames::of(lang),
        definitions: Definitions::of(lang),
        time_zone: offset_text(time_zone),
        has_callback: callback.is_some(),
    })
}
