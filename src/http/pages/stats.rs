//! `GET /stats`: the page of the statistics. It holds no numbers: its script fetches them with the
//! key that is typed in, so the page itself is public.

use std::iter;
use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jiff::tz::Offset;

use crate::http::api::stats::definitions::{Definitions, Names};
use crate::http::api::stats::offset_text;
use crate::http::callback::Callback;
use crate::http::extract::query::refuse_mangled;
use crate::http::html::csp::{STATS_SCRIPT, STATS_STYLE, STYLE};
use crate::http::i18n::lang::Lang;
use crate::http::negotiation::view::View;
use crate::http::pages::by_language::{PageByLanguage, static_page};
use crate::http::problem::Problem;
use crate::http::site::Site;

/// The parameters of the page. All but `lang` are for its script, which keeps in them what is
/// shown.
const PARAMETERS: &[&str] = &["lang", "days", "from", "to", "channel", "q", "sort"];

#[derive(Debug, Template)]
#[template(path = "stats.html")]
struct StatsPage<'a> {
    site: &'a Site,
    lang: Lang,
    names: Names,
    definitions: Definitions,
    /// Minutes between UTC and local time.
    offset: i32,
    time_zone: String,
    has_callback: bool,
    home: String,
    openapi: String,
    other_language: String,
}

pub(crate) async fn show(
    State(site): State<Arc<Site>>,
    State(time_zone): State<Offset>,
    State(callback): State<Option<Arc<Callback>>>,
    Extension(view): Extension<View>,
    Extension(pages): Extension<Arc<PageByLanguage>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    refuse_mangled(raw.as_deref().unwrap_or_default(), PARAMETERS)?;
    let page = pages.get(view, || {
        let page = stats_page(&site, view, time_zone, callback.is_some());
        static_page(&page, Site::stats_page_policy())
    })?;
    Ok(page.respond(&headers))
}

fn stats_page(site: &Site, view: View, time_zone: Offset, has_callback: bool) -> StatsPage<'_> {
    let lang = view.lang;
    let other_lang = iter::once(("lang", lang.pick("en", "zh")));
    StatsPage {
        site,
        lang,
        names: Names::of(lang),
        definitions: Definitions::of(lang),
        offset: time_zone.seconds() / 60,
        time_zone: offset_text(time_zone),
        has_callback,
        home: site.link("/", view.lang_pair()),
        openapi: site.link("/openapi.json", iter::empty()),
        other_language: site.link("/stats", other_lang),
    }
}
