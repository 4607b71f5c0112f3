//! Layers that refuse what another web site makes a developer's browser send: a page for browsers,
//! JSON for scripts.

use askama::Template;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::lang::Lang;
use super::page::{self, STYLE};
use crate::origin::{Foreign, OriginGuard};

#[derive(Template)]
#[template(path = "sandbox_refused.html")]
struct Page {
    lang: Lang,
    reason: String,
}

/// Layer before pages and controls.
pub(super) async fn refuse(
    State(guard): State<OriginGuard>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(request.method(), request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(foreign) => refusal(foreign, &request),
    }
}

/// Layer before WeChat's calls, which programs make by any host name.
pub(super) async fn refuse_call(
    State(guard): State<OriginGuard>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check_call(request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(foreign) => refusal(foreign, &request),
    }
}

fn refusal(foreign: Foreign, request: &Request) -> Response {
    let headers: &HeaderMap = request.headers();
    if page::is_wanted(headers) {
        let lang = Lang::wanted(request.uri().query().unwrap_or_default(), headers);
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
