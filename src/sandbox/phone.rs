//! `/q/ID`: what a phone opens that scans a code of the sandbox. It tells what the code carries,
//! and plays the phone: people press its buttons, scripts send its form.

mod page;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use self::page::{Page, Shown, Told};
use super::Sandbox;
use super::body::SentBody;
use super::delivery::{Answer, Delivery, NoCallback};
use super::event::Event;
use super::form::Form;
use super::lang::Lang;
use super::people::{Act, Idle};
use super::{page as html, random};

/// How many characters WeChat's openids have.
const OPENID_LENGTH: usize = 28;

/// The longest openid that is taken.
const MAX_OPENID: usize = 64;

/// `GET /q/{id}`. `?lang=zh|en` wins over `Accept-Language`; `?openid=` says who is pretended to
/// hold the phone.
pub(super) async fn page(
    State(sandbox): State<Sandbox>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let lang = Lang::wanted(query.as_deref().unwrap_or_default(), &headers);
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

/// `POST /q/{id}` with the form `do=follow|scan|unfollow` and `openid=`; without the latter it is
/// somebody new.
///
/// Answers the page to browsers, else JSON: what was pushed, and the callback's status and body. It
/// is 200 whatever the callback made of it, because the person did what they did.
pub(super) async fn press(
    State(sandbox): State<Sandbox>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    SentBody(body): SentBody,
) -> Response {
    let id = id_of(id);
    let form = Form::of_body(body);
    let openid = match form.value("openid") {
        openid if openid.is_empty() => made_up_openid(),
        openid => openid,
    };
    let outcome = pressed(&sandbox, &id, &form.value("do"), &openid).await;
    let status = outcome
        .as_ref()
        .map_or_else(|refused| refused.status(), |_| StatusCode::OK);
    if !html::is_wanted(&headers) {
        return (status, json_of(&outcome)).into_response();
    }
    let lang = Lang::wanted(query.as_deref().unwrap_or_default(), &headers);
    let openid = Some(openid).filter(|openid| is_openid(openid));
    let mut page = page_of(&sandbox, &id, openid, lang);
    page.told = Some(Told::of(&outcome, lang));
    page.into_response(status)
}

/// What was done, and what became of the push.
#[derive(Debug)]
struct Pressed {
    event: Event,
    /// None where no callback is configured.
    delivery: Option<Delivery>,
}

/// Why nothing was done, and nothing pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Idle(Idle),
    Act,
    Openid,
}

impl Refused {
    /// That somebody cannot scan or leave who does not follow is no mistake of the form, but a
    /// script that awaits an event must learn that there is none. Taking the scan for a follow
    /// would push what WeChat pushes only after another press.
    fn status(self) -> StatusCode {
        match self {
            Self::Idle(Idle::NoSuchCode) => StatusCode::NOT_FOUND,
            Self::Idle(Idle::DoesNotFollow | Idle::FollowsAlready) => StatusCode::CONFLICT,
            Self::Act | Self::Openid => StatusCode::BAD_REQUEST,
        }
    }

    fn in_words(self, lang: Lang) -> &'static str {
        match self {
            Self::Idle(Idle::NoSuchCode) => lang.pick(
                "二维码不存在或已过期，微信不推送任何事件。",
                "There is no such code, or it has expired: WeChat pushes nothing.",
            ),
            Self::Idle(Idle::DoesNotFollow) => lang.pick(
                "此人尚未关注：扫码后看到的是关注页面，关注之后微信才推送事件（do=follow）。",
                "This person does not follow the account: a scan shows the page to follow, and WeChat pushes nothing until they do (do=follow).",
            ),
            Self::Idle(Idle::FollowsAlready) => lang.pick(
                "此人已经关注：再次扫码会推送 SCAN 事件（do=scan）。",
                "This person follows already: another scan pushes SCAN (do=scan).",
            ),
            Self::Act => lang.pick(
                "do 可以是 follow、scan 或 unfollow。",
                "do takes follow, scan or unfollow.",
            ),
            Self::Openid => lang.pick(
                "openid 应为 1 至 64 个字符，取自 A-Za-z0-9_-。",
                "openid takes 1 to 64 of A-Za-z0-9_-.",
            ),
        }
    }
}

/// Cancel safe: the push goes on without the caller.
async fn pressed(sandbox: &Sandbox, id: &str, act: &str, openid: &str) -> Result<Pressed, Refused> {
    let act = Act::from_name(act).ok_or(Refused::Act)?;
    if !is_openid(openid) {
        return Err(Refused::Openid);
    }
    let now = sandbox.now();
    let acted = sandbox.state().act(id, act, openid, now);
    let acted = acted.map_err(Refused::Idle)?;
    let delivery = sandbox.push(&acted.app_id, &acted.event).await.ok();
    Ok(Pressed {
        event: acted.event,
        delivery,
    })
}

fn page_of(sandbox: &Sandbox, id: &str, openid: Option<String>, lang: Lang) -> Page {
    let openid = openid.unwrap_or_else(made_up_openid);
    let now = sandbox.now();
    let state = sandbox.state();
    let code = state.code(id, now);
    Page {
        lang,
        follows: code.is_some_and(|code| state.follows(&code.app_id, &openid)),
        shown: code.map(|code| Shown::new(code, now, lang)),
        told: None,
        openid,
    }
}

/// An id that is no text is as unknown as any other.
fn id_of(id: Result<Path<String>, PathRejection>) -> String {
    id.map(|Path(id)| id).unwrap_or_default()
}

fn made_up_openid() -> String {
    format!("o{}", random::text(OPENID_LENGTH - 1))
}

fn is_openid(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=MAX_OPENID).contains(&text.len()) && text.bytes().all(is_plain)
}

/// What a script learns.
#[derive(Debug, Serialize)]
struct Report<'a> {
    openid: &'a str,
    event: &'a str,
    event_key: String,
    create_time: i64,
    delivered: bool,
    attempts: usize,
    /// The callback's last, if it answered.
    status: Option<u16>,
    body: Option<String>,
    /// Why there is no answer.
    error: Option<String>,
}

fn json_of(outcome: &Result<Pressed, Refused>) -> Response {
    match outcome {
        Ok(pressed) => Json(Report::new(pressed)).into_response(),
        Err(refused) => Json(json!({"error": refused.in_words(Lang::En)})).into_response(),
    }
}

impl<'a> Report<'a> {
    fn new(pressed: &'a Pressed) -> Self {
        let event = &pressed.event;
        let attempts = pressed.delivery.as_ref().map(|delivery| &delivery.attempts);
        let last = attempts.and_then(|attempts| attempts.last());
        let answer = last.and_then(|attempt| attempt.as_ref().ok());
        Self {
            openid: &event.openid,
            event: event.kind.name(),
            event_key: event.kind.key(),
            create_time: event.created_at.as_second(),
            delivered: pressed
                .delivery
                .as_ref()
                .is_some_and(Delivery::is_acknowledged),
            attempts: attempts.map_or(0, Vec::len),
            status: answer.map(|answer| answer.status),
            body: answer.map(Answer::text),
            error: match last {
                None => Some(NoCallback.to_string()),
                Some(Err(failure)) => Some(failure.to_string()),
                Some(Ok(_)) => None,
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
        let made_up = made_up_openid();
        assert!(is_openid(&made_up) && made_up.len() == 28, "{made_up}");
        assert_ne!(made_up, made_up_openid());
    }
}
