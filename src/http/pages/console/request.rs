//! A request for a page of the console, and its answer.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::Response;
use jiff::tz::Offset;

use super::frame::{ConsolePage, Frame};
use crate::http::extract::query::refuse_mangled;
use crate::http::i18n::lang::Lang;
use crate::http::negotiation::view::View;
use crate::http::pages::by_language::{PageByLanguage, static_page};
use crate::http::problem::Problem;
use crate::http::site::Site;
use crate::http::state::AppState;

/// All that a page of the console depends on.
pub(crate) struct PageRequest {
    site: Arc<Site>,
    time_zone: Offset,
    view: View,
    pages: Arc<PageByLanguage>,
    query: String,
    headers: HeaderMap,
}

impl FromRequestParts<AppState> for PageRequest {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppState,
    ) -> Result<Self, Self::Rejection> {
        let set_by_the_router = "the router sets both";
        Ok(Self {
            site: Arc::clone(&state.site),
            time_zone: state.time_zone,
            view: *parts.extensions.get().expect(set_by_the_router),
            pages: Arc::clone(parts.extensions.get().expect(set_by_the_router)),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            headers: parts.headers.clone(),
        })
    }
}

impl PageRequest {
    /// Answers the page, which is rendered once for each language. It may have these `parameters`,
    /// and ignores others.
    pub(in crate::http::pages) fn respond<T: Template>(
        self,
        parameters: &[&str],
        page: ConsolePage,
        template: impl FnOnce(Arc<Site>, Lang, Frame) -> T,
    ) -> Result<Response, Problem> {
        refuse_mangled(&self.query, parameters)?;
        let rendered = self.pages.get(self.view, || {
            let site = &self.site;
            let frame = Frame::new(Arc::clone(site), self.view, self.time_zone, page);
            let page = template(Arc::clone(site), self.view.lang, frame);
            static_page(&page, site.console_page_policy())
        })?;
        Ok(rendered.respond(&self.headers))
    }
}
