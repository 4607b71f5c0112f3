//! Renders the [`Problem`] that a handler returned, in the representation that the client asked
//! for.

use axum::Json;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::http::html::problem_page::{problem_fragment, problem_page};
use crate::http::middleware::request_id::RequestId;
use crate::http::negotiation::format::Format;
use crate::http::negotiation::view::View;
use crate::http::problem::Problem;
use crate::http::site::Site;

/// Gives a response that carries a problem its body: JSON, a page, or one line of HTML.
pub(super) fn render(
    site: &Site,
    response: Response,
    problem: &Problem,
    view: View,
    id: &RequestId,
    of_code: bool,
) -> Response {
    let body = match view.format {
        Format::Html if view.fragment && of_code => problem_fragment(site, problem, view.lang),
        Format::Html => problem_page(site, problem, view.lang, of_code, id.as_str()),
        _ => Ok(json(problem, id)),
    };
    with_body(response, body.unwrap_or_else(|_| json(problem, id)), view)
}

/// The bare response with a body. Its status and headers stay.
fn with_body(bare: Response, body: Response, view: View) -> Response {
    let (mut parts, _) = bare.into_parts();
    let (body_parts, body) = body.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.extend(body_parts.headers);
    if let Some(vary) = view.vary() {
        parts.headers.append(header::VARY, vary);
    }
    Response::from_parts(parts, body)
}

fn json(problem: &Problem, id: &RequestId) -> Response {
    let media_type = [(header::CONTENT_TYPE, "application/problem+json")];
    (media_type, Json(problem.document(id.as_str()))).into_response()
}
