//! HTML from `templates/`, with the content security policy of each page.

pub(crate) mod csp;
pub(crate) mod problem_page;

use askama::Template;
use axum::http::{HeaderValue, header};
use axum::response::{Html, IntoResponse, Response};

use crate::http::problem::Problem;
use crate::telemetry::Causes;

/// Renders a template.
///
/// # Errors
/// `internal`, with the cause in the log.
pub(crate) fn render(template: &impl Template) -> Result<String, Problem> {
    template.render().map_err(|error| {
        tracing::error!(error = %Causes(&error), "a template failed");
        Problem::internal()
    })
}

/// Renders a page with its content security policy.
pub(crate) fn page(template: &impl Template, policy: HeaderValue) -> Result<Response, Problem> {
    let html = render(template)?;
    Ok(([(header::CONTENT_SECURITY_POLICY, policy)], Html(html)).into_response())
}
