//! `GET /stats`: the page of the statistics.

use std::iter;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use crate::http::AppState;
use crate::http::api::stats::definitions::{Definitions, Names};
use crate::http::api::stats::offset_text;
use crate::http::extract::query::refuse_disguises;
use crate::http::html::constant::{Constant, PageByLanguage};
use crate::http::html::site::Site;
use crate::http::html::{self, StatsPage};
use crate::http::negotiation::view::View;
use crate::http::problem::Problem;

/// The parameters of the page. All but `lang` are for its script, which keeps in them what is shown.
const PARAMETERS: &[&str] = &["lang", "days", "from", "to", "channel", "q", "sort"];

/// Anybody may have the page: it holds no number.
pub(crate) async fn show(
    State(app): State<AppState>,
    Extension(view): Extension<View>,
    Extension(pages): Extension<Arc<PageByLanguage>>,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    refuse_disguises(raw.as_deref().unwrap_or_default(), PARAMETERS)?;
    let page = pages.get(view, || written(&app, view))?;
    Ok(page.answer(&headers))
}

fn written(app: &AppState, view: View) -> Result<Constant, Problem> {
    let lang = view.lang;
    let page = StatsPage {
        site: &app.site,
        lang,
        names: Names::of(lang),
        definitions: Definitions::of(lang),
        offset: app.time_zone.seconds() / 60,
        time_zone: offset_text(app.time_zone),
        has_callback: app.callback.is_some(),
        home: app.site.link("/", view.lang_pair()),
        openapi: app.site.link("/openapi.json", iter::empty()),
        other_language: app
            .site
            .link("/stats", iter::once(("lang", lang.pick("en", "zh")))),
    };
    html::constant_page(&page, Site::stats_page_policy())
}
