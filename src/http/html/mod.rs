//! HTML from `templates/`, with the content security policy of each page.

pub(crate) mod csp;
pub(crate) mod problem_page;

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};

use crate::http::problem::Problem;
use crate::telemetry::Causes;

/// Bytes that hold the page of a code, which has some 4.5 KB. The template's own estimate leaves
/// out its styles, and a string that grows to a page is copied several times.
const PAGE_CAPACITY: usize = 6 * 1024;

/// Renders a template.
///
/// # Errors
/// `internal`, with the cause in the log.
pub(crate) fn render<T: Template>(template: &T) -> Result<String, Problem> {
    render_into(String::with_capacity(T::SIZE_HINT), template)
}

fn render_into(mut html: String, template: &impl Template) -> Result<String, Problem> {
    template.render_into(&mut html).map_err(|error| {
        tracing::error!(error = %Causes(&error), "a template failed");
        Problem::internal()
    })?;
    Ok(html)
}

/// Renders a page with its content security policy.
pub(crate) fn page(template: &impl Template, policy: HeaderValue) -> Result<Response, Problem> {
    let html = render_into(String::with_capacity(PAGE_CAPACITY), template)?;
    Ok(([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response())
}
