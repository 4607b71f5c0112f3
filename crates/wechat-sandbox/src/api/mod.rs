//! The imitated calls: how requests are read and answers written.

pub(crate) mod fault;
pub(crate) mod intercept;
pub(crate) mod log;
mod picture;

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::Value;

use crate::errcode::Errcode;
use crate::form::Form;
use crate::platform::TokenRequest;
use crate::platform::code::Code;
use crate::platform::token::{IssuedToken, Refresh};
use crate::random;
use crate::sandbox::Sandbox;

/// The Content-Type of every JSON answer. Clients may not depend on it: WeChat has answered
/// `text/plain` as well.
pub(crate) const JSON: [(HeaderName, &str); 1] =
    [(header::CONTENT_TYPE, "application/json; encoding=utf-8")];

/// `GET /cgi-bin/token`.
pub(crate) async fn token(
    State(sandbox): State<Sandbox>,
    method: Method,
    RawQuery(query): RawQuery,
) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return refusal(Errcode::REQUIRES_GET);
    }
    let query = Form::of_query(query);
    let request = TokenRequest {
        grant_type: &query.value("grant_type"),
        app_id: &query.value("appid"),
        app_secret: &query.value("secret"),
    };
    let issued = sandbox.state().classic_token(request, sandbox.now());
    issued.map_or_else(refusal, |token| success(&TokenAnswer::from(token)))
}

/// `POST /cgi-bin/stable_token`.
pub(crate) async fn stable_token(
    State(sandbox): State<Sandbox>,
    method: Method,
    body: Bytes,
) -> Response {
    if method != Method::POST {
        return refusal(Errcode::REQUIRES_POST);
    }
    if body.trim_ascii().is_empty() {
        return refusal(Errcode::EMPTY_BODY);
    }
    let Ok(body @ Value::Object(_)) = serde_json::from_slice::<Value>(&body) else {
        return refusal(Errcode::BAD_JSON);
    };
    let text = |name| body[name].as_str().unwrap_or_default();
    let request = TokenRequest {
        grant_type: text("grant_type"),
        app_id: text("appid"),
        app_secret: text("secret"),
    };
    let refresh = if body["force_refresh"] == Value::Bool(true) {
        Refresh::Forced
    } else {
        Refresh::Normal
    };
    let issued = sandbox
        .state()
        .stable_token(request, refresh, sandbox.now());
    issued.map_or_else(refusal, |token| success(&TokenAnswer::from(token)))
}

/// `POST /cgi-bin/qrcode/create?access_token=TOKEN`.
pub(crate) async fn create(
    State(sandbox): State<Sandbox>,
    method: Method,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    if method != Method::POST {
        return refusal(Errcode::REQUIRES_POST);
    }
    let access_token = Form::of_query(query).value("access_token");
    let made = sandbox.state().create(&access_token, &body, sandbox.now());
    made.map_or_else(refusal, |code| success(&CodeAnswer::from(code)))
}

/// `GET /cgi-bin/showqrcode?ticket=TICKET`. What happens to an expired ticket is not known: it is
/// 404 here.
///
/// The headers are WeChat's: a picture may be kept for 7 days, even that of a code that expires in
/// a minute.
pub(crate) async fn show(
    State(sandbox): State<Sandbox>,
    method: Method,
    RawQuery(query): RawQuery,
) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return refusal(Errcode::REQUIRES_GET);
    }
    let Some(ticket) = ticket_of(query.as_deref().unwrap_or_default()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(url) = url_of(&sandbox, &ticket) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, "image/jpg"),
        (header::CACHE_CONTROL, "max-age=604800"),
    ];
    match tokio::task::spawn_blocking(move || picture::jpeg(&url)).await {
        Ok(Ok(jpeg)) => (headers, jpeg).into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Refuses a call that is not imitated.
pub(crate) async fn unknown() -> Response {
    refusal(Errcode::INVALID_URL)
}

fn url_of(sandbox: &Sandbox, ticket: &str) -> Option<String> {
    let now = sandbox.now();
    Some(sandbox.state().code_of_ticket(ticket, now)?.url.clone())
}

/// Answers an error as WeChat does: HTTP 200, with an id (`rid`) for its support. The log finds the
/// errcode in the response's extensions.
pub(crate) fn refusal(refusal: Errcode) -> Response {
    let [a, b, c] = [random::bytes(), random::bytes(), random::bytes()].map(u32::from_be_bytes);
    let errmsg = format!("{} rid: {a:08x}-{b:08x}-{c:08x}", refusal.errmsg());
    let mut answer = success(&ErrorAnswer {
        errcode: refusal.0,
        errmsg,
    });
    answer.extensions_mut().insert(refusal);
    answer
}

/// Writes an answer as JSON. WeChat writes `/` as `\/`. A slash in JSON is always inside a text, so
/// all may be replaced.
fn success<T: Serialize>(answer: &T) -> Response {
    let json = serde_json::to_string(answer).expect("texts and numbers are always JSON");
    (JSON, json.replace('/', "\\/")).into_response()
}

#[derive(Debug, Serialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: i64,
}

impl From<IssuedToken> for TokenAnswer {
    fn from(token: IssuedToken) -> Self {
        Self {
            access_token: token.text,
            expires_in: token.expires_in,
        }
    }
}

#[derive(Debug, Serialize)]
struct CodeAnswer {
    ticket: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expire_seconds: Option<i64>,
    url: String,
}

impl From<Code> for CodeAnswer {
    fn from(code: Code) -> Self {
        Self {
            ticket: code.ticket,
            expire_seconds: code.request.life,
            url: code.url,
        }
    }
}

#[derive(Debug, Serialize)]
struct ErrorAnswer {
    errcode: i64,
    errmsg: String,
}

/// The ticket, percent-decoded exactly once. Not read as forms are: a `+` is a `+`.
fn ticket_of(query: &str) -> Option<String> {
    let value = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("ticket="))?;
    Some(percent_decode_str(value).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_percent_decoded_exactly_once_and_a_plus_stays() {
        for (query, want) in [
            ("ticket=gQ%2Ba%3D%3D", Some("gQ+a==")),
            ("ticket=gQ+a==", Some("gQ+a==")),
            ("x=1&ticket=a&ticket=b", Some("a")),
            ("ticket=gQ%253D", Some("gQ%3D")),
            ("ticket=", Some("")),
            ("ticket=%ff", None),
            ("ticket=%zz", Some("%zz")),
            ("tickets=a", None),
            ("", None),
        ] {
            assert_eq!(ticket_of(query).as_deref(), want, "query {query:?}");
        }
    }
}
