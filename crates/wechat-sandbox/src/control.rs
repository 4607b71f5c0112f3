//! `/sandbox/*`: the controls, which are no part of WeChat's API.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api::fault::{Fault, MAX_FAULTS};
use crate::api::log;
use crate::body::BoundedBody;
use crate::pages as page;
use crate::sandbox::Sandbox;

/// `GET /sandbox/faults`: what is still set, with the `times` that are left.
pub(crate) async fn faults(State(sandbox): State<Sandbox>) -> Json<Vec<Fault>> {
    Json(sandbox.faults())
}

/// `PUT /sandbox/faults`: replaces all of them or, on a mistake, none. Answers what is set.
pub(crate) async fn set_faults(
    State(sandbox): State<Sandbox>,
    BoundedBody(body): BoundedBody,
) -> Response {
    let json = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body);
    match serde_json::from_slice::<Vec<Fault>>(json) {
        Ok(faults) if faults.len() > MAX_FAULTS => {
            bad_request(&format!("at most {MAX_FAULTS} faults may be set at once"))
        }
        Ok(faults) => {
            sandbox.set_faults(faults);
            Json(sandbox.faults()).into_response()
        }
        Err(error) => bad_request(&format!(
            "{error}; expected an array of {{\"api\": token|create|show|other|any, \"kind\": \
             errcode|status|slow|hang|reset|garbage|half|huge, \"value\": number, \"times\": number, \
             \"percent\": number}}, [] to clear"
        )),
    }
}

/// `POST /sandbox/expire-token`.
pub(crate) async fn expire_tokens(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    sandbox.expire_tokens();
    done(&headers)
}

/// `POST /sandbox/rotate-token`.
pub(crate) async fn rotate_tokens(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    sandbox.rotate_tokens();
    done(&headers)
}

/// `POST /sandbox/kill-token`.
pub(crate) async fn kill_tokens(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    sandbox.kill_tokens();
    done(&headers)
}

/// `GET /sandbox/calls`: `{"counts": {"token", "create", "show", "other"}, "calls": [...]}`, oldest
/// first.
pub(crate) async fn calls(State(sandbox): State<Sandbox>) -> Json<log::Report> {
    let report = sandbox.log().report();
    Json(report)
}

/// `DELETE /sandbox/calls`: begins the record and the counts anew.
pub(crate) async fn forget_calls(State(sandbox): State<Sandbox>) -> StatusCode {
    sandbox.forget_calls();
    StatusCode::NO_CONTENT
}

/// `POST /sandbox/verify-callback`: asks every callback as WeChat's console does, and answers
/// `[{"appid", "verified", "error"}]`.
pub(crate) async fn verify_callbacks(State(sandbox): State<Sandbox>) -> Json<Value> {
    let accounts = sandbox.state().accounts_with_callback();
    let mut verdicts = Vec::new();
    for app_id in accounts {
        let error = sandbox.verify_callback(&app_id).await.err();
        verdicts.push(json!({
            "appid": app_id,
            "verified": error.is_none(),
            "error": error.map(|error| error.to_string()),
        }));
    }
    Json(verdicts.into())
}

/// A path below `/sandbox` that is none of these.
pub(crate) async fn unknown() -> Response {
    let error = "there is no such control; the front page has a list";
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

/// 204 for a script; a browser is led back to the page with the buttons.
pub(crate) fn done(headers: &HeaderMap) -> Response {
    if page::accepts_html(headers) {
        (StatusCode::SEE_OTHER, [(header::LOCATION, "../sandbox")]).into_response()
    } else {
        StatusCode::NO_CONTENT.into_response()
    }
}

pub(crate) fn bad_request(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
}
