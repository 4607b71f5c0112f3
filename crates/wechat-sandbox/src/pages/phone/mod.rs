//! `/q/ID`: the page that a phone opens when it scans a code of the sandbox. It shows what the code
//! carries, and plays the phone: people press its buttons, scripts send its form.

mod action;
mod page;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use self::action::{ActionError, ActionTaken, is_openid, take_action};
use self::page::{ActionResult, CodeDetails, Page};
use crate::body::BoundedBody;
use crate::form::Form;
use crate::pages as html;
use crate::pages::lang::Lang;
use crate::push::delivery::{Delivery, NoCallback};
use crate::push::reply::Reply;
use crate::push::response::CallbackResponse;
use crate::random;
use crate::sandbox::Sandbox;

/// How many characters WeChat's openids have.
const OPENID_LENGTH: usize = 28;

/// `GET /q/{id}`. `?lang=zh|en` wins over `Accept-Language`; `?openid=` names the person who holds
/// the phone.
pub(crate) async fn page(
    State(sandbox): State<Sandbox>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let lang = Lang::negotiate(query.as_deref().unwrap_or_default(), &headers);
    let openid = Form::of_query(query).value("openid");
    let openid = Some(openid).filter(|openid| is_openid(openid));
    let page = page_of(&sandbox, &id_of(id), openid, lang);
    let status = if page.shown.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    page.into_response(status)
}

/// `POST /q/{id}` with the form `do=follow|scan|unfollow` and `openid=`; without the latter it is a
/// new person.
///
/// Answers the page to browsers, else JSON: what was pushed, and the callback's status and body. It
/// is 200 whatever the callback made of it, because the person did what they did.
pub(crate) async fn act(
    State(sandbox): State<Sandbox>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    BoundedBody(body): BoundedBody,
) -> Response {
    let id = id_of(id);
    let form = Form::of_body(body);
    let openid = match form.value("openid") {
        openid if openid.is_empty() => random_openid(),
        openid => openid,
    };
    let outcome = take_action(&sandbox, &id, &form.value("do"), &openid).await;
    let status = outcome
        .as_ref()
        .map_or_else(|refused| refused.status(), |_| StatusCode::OK);
    if !html::accepts_html(&headers) {
        return (status, json_of(&outcome)).into_response();
    }
    let lang = Lang::negotiate(query.as_deref().unwrap_or_default(), &headers);
    let openid = Some(openid).filter(|openid| is_openid(openid));
    let mut page = page_of(&sandbox, &id, openid, lang);
    page.result = Some(ActionResult::of(&outcome, lang));
    page.into_response(status)
}

fn page_of(sandbox: &Sandbox, id: &str, openid: Option<String>, lang: Lang) -> Page {
    let openid = openid.unwrap_or_else(random_openid);
    let now = sandbox.now();
    let state = sandbox.state();
    let code = state.code(id, now);
    Page {
        lang,
        follows: code.is_some_and(|code| state.follows(&code.app_id, &openid)),
        shown: code.map(|code| CodeDetails::new(code, now, lang)),
        result: None,
        openid,
    }
}

/// An id that is not UTF-8 is as unknown as any other.
fn id_of(id: Result<Path<String>, PathRejection>) -> String {
    id.map(|Path(id)| id).unwrap_or_default()
}

fn random_openid() -> String {
    format!("o{}", random::url_safe(OPENID_LENGTH - 1))
}

/// The JSON answer for scripts.
#[derive(Debug, Serialize)]
struct Report<'a> {
    openid: &'a str,
    event: &'a str,
    event_key: String,
    create_time: i64,
    delivered: bool,
    attempts: usize,
    /// The callback's last status, if it responded.
    status: Option<u16>,
    body: Option<String>,
    /// Why there is no response.
    error: Option<String>,
    /// The message that the follower gets, decrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<ReplyReport<'a>>,
    /// Why the answer is no message; the follower reads that the service has a fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_fault: Option<String>,
}

fn json_of(outcome: &Result<ActionTaken, ActionError>) -> Response {
    match outcome {
        Ok(taken) => Json(Report::new(taken)).into_response(),
        Err(refused) => Json(json!({"error": refused.message(Lang::En)})).into_response(),
    }
}

impl<'a> Report<'a> {
    fn new(taken: &'a ActionTaken) -> Self {
        let event = &taken.event;
        let attempts = taken.delivery.as_ref().map(|delivery| &delivery.attempts);
        let last = attempts.and_then(|attempts| attempts.last());
        let answer = last.and_then(|attempt| attempt.as_ref().ok());
        let reply = taken.delivery.as_ref().map(|delivery| &delivery.reply);
        Self {
            openid: &event.openid,
            event: event.kind.name(),
            event_key: event.kind.key(),
            create_time: event.created_at.as_second(),
            delivered: taken
                .delivery
                .as_ref()
                .is_some_and(Delivery::is_acknowledged),
            attempts: attempts.map_or(0, Vec::len),
            status: answer.map(|answer| answer.status),
            body: answer.map(CallbackResponse::text),
            error: match last {
                None => Some(NoCallback.to_string()),
                Some(Err(failure)) => Some(failure.to_string()),
                Some(Ok(_)) => None,
            },
            reply: reply.and_then(|reply| reply.as_ref().ok()?.as_ref().map(ReplyReport::of)),
            reply_fault: reply.and_then(|reply| reply.as_ref().err().map(ToString::to_string)),
        }
    }
}

/// A message to the follower.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum ReplyReport<'a> {
    Text(&'a str),
    News {
        title: &'a str,
        description: &'a str,
        image_url: &'a str,
        url: &'a str,
    },
}

impl<'a> ReplyReport<'a> {
    fn of(reply: &'a Reply) -> Self {
        match reply {
            Reply::Text(text) => Self::Text(text),
            Reply::News(article) => Self::News {
                title: &article.title,
                description: &article.description,
                image_url: &article.picture,
                url: &article.url,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_openid_is_of_plain_characters() {
        for (text, want) in [
            ("o6_bmjrPTlm6_2sgVt7hMZOPfL2-", true),
            ("o", true),
            (&"o".repeat(64), true),
            (&"o".repeat(65), false),
            ("", false),
            ("o6 b", false),
            ("o6&lang=en", false),
            ("<b>", false),
            ("关注者", false),
        ] {
            assert_eq!(is_openid(text), want, "{text:?}");
        }
        let random = random_openid();
        assert!(is_openid(&random) && random.len() == 28, "{random}");
        assert_ne!(random, random_openid());
    }
}
