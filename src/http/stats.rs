//! `GET /stats`: the page of the statistics.

use std::iter;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;

use super::AppState;
use super::api::stats::offset_text;
use super::constant::{Constant, PageByLanguage};
use super::definitions::{Definitions, Names};
use super::pages::{self, StatsPage};
use super::problem::Problem;
use super::site::Site;
use super::view::View;

/// Anybody may have the page: it holds no number.
pub(crate) async fn show(
    State(app): State<AppState>,
    Extension(view): Extension<View>,
    Extension(pages): Extension<Arc<PageByLanguage>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
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
    pages::constant_page(&page, Site::stats_page_policy())
}
