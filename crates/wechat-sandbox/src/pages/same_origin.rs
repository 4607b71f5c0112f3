//! Middleware that refuses cross-site requests, with a page for browsers and JSON for scripts.

use askama::Template;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use local_guard::{ForeignRequest, OriginGuard};
use serde_json::json;

use crate::pages::lang::Lang;
use crate::pages::{self as page, STYLE};

#[derive(Template)]
#[template(path = "refused.html")]
struct Page {
    lang: Lang,
    reason: String,
}

/// Guards pages and controls.
pub(crate) async fn refuse(
    State(guard): State<OriginGuard>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(foreign) => refusal(foreign, &request),
    }
}

/// Guards WeChat's calls, which programs make by any host name.
pub(crate) async fn refuse_call(
    State(guard): State<OriginGuard>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check_call(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(foreign) => refusal(foreign, &request),
    }
}

fn refusal(foreign: ForeignRequest, request: &Request) -> Response {
    let headers: &HeaderMap = request.headers();
    if page::accepts_html(headers) {
        let lang = Lang::negotiate(request.uri().query().unwrap_or_default(), headers);
        let reason = if lang.is_zh() {
            format!("{}。", foreign.zh())
        } else {
            format!("{foreign}.")
        };
        return page::response(StatusCode::FORBIDDEN, &Page { lang, reason });
    }
    let error = Json(json!({ "error": foreign.to_string() }));
    let never_stored = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::FORBIDDEN, never_stored, error).into_response()
}
