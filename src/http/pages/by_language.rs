//! Pages that differ by language only, rendered once for each.

use std::sync::OnceLock;

use askama::Template;
use axum::http::{HeaderValue, header};

use crate::http::html::render;
use crate::http::i18n::lang::Lang;
use crate::http::negotiation::view::View;
use crate::http::problem::Problem;
use crate::http::static_response::{REVALIDATE, StaticResponse};

/// One [`StaticResponse`] for each language, rendered when it is first asked for.
#[derive(Debug, Default)]
pub(crate) struct PageByLanguage {
    /// By language, and by whether the URL asks for it: links to other pages repeat it then.
    rendered: [[OnceLock<StaticResponse>; 2]; 2],
}

impl PageByLanguage {
    /// Returns the page in the request's language, rendered once.
    ///
    /// # Errors
    /// When the page cannot be rendered. The next request tries again.
    pub(crate) fn get(
        &self,
        view: View,
        render: impl FnOnce() -> Result<StaticResponse, Problem>,
    ) -> Result<&StaticResponse, Problem> {
        let vary = view.vary_of_a_page();
        let of_lang = &self.rendered[usize::from(view.lang == Lang::Zh)];
        let slot = &of_lang[usize::from(vary.is_some())];
        if let Some(page) = slot.get() {
            return Ok(page);
        }
        let mut page = render()?;
        if let Some(vary) = vary {
            page = page.with(header::VARY, vary);
        }
        Ok(slot.get_or_init(|| page))
    }
}

/// Renders a page that is the same for every request in its language.
pub(crate) fn static_page(
    template: &impl Template,
    policy: HeaderValue,
) -> Result<StaticResponse, Problem> {
    let html = render(template)?;
    let page = StaticResponse::new("text/html; charset=utf-8", REVALIDATE, html);
    Ok(page.with(header::CONTENT_SECURITY_POLICY, policy))
}
