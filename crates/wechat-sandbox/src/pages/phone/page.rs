//! The page of a code, rendered in the reader's language.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use super::action::{ActionError, ActionTaken};
use crate::pages::lang::Lang;
use crate::pages::{self as page, STYLE, china_time};
use crate::platform::code::{ActionName, Code};
use crate::push::delivery::Delivery;
use crate::push::event::EventKind;
use crate::push::reply::{Article, FAULT_SHOWN, Reply, ReplyFault};
use crate::push::response::DeliveryError;

/// How much of a callback's answer is shown, in bytes.
const SHOWN_ANSWER: usize = 2048;

#[derive(Template)]
#[template(path = "phone.html")]
pub(super) struct Page {
    pub(super) lang: Lang,
    /// The person who holds the phone; one that [`super::action::is_openid`] accepts.
    pub(super) openid: String,
    pub(super) follows: bool,
    /// `None` for a code that is unknown or expired.
    pub(super) shown: Option<CodeDetails>,
    /// `None` before a button is pressed.
    pub(super) result: Option<ActionResult>,
}

impl Page {
    pub(super) fn into_response(self, status: StatusCode) -> Response {
        page::response(status, &self)
    }
}

/// The facts about a code.
pub(super) struct CodeDetails {
    kind: &'static str,
    action_name: &'static str,
    parameter: &'static str,
    scene: String,
    app_id: String,
    /// `None` for a permanent code.
    life: Option<Life>,
}

struct Life {
    until: String,
    left: String,
}

impl CodeDetails {
    pub(super) fn new(code: &Code, now: Timestamp, lang: Lang) -> Self {
        let action = code.request.action;
        Self {
            kind: kind_label(action, lang),
            action_name: action.name(),
            parameter: match action {
                ActionName::Scene | ActionName::LimitScene => "scene_id",
                ActionName::StrScene | ActionName::LimitStrScene => "scene_str",
            },
            scene: code.request.scene.to_string(),
            app_id: code.app_id.clone(),
            life: code.expires_at.map(|at| Life {
                until: china_time(at),
                left: format_duration(at.duration_since(now).as_secs(), lang),
            }),
        }
    }
}

/// What happened when a button was pressed.
pub(super) struct ActionResult {
    heading: &'static str,
    /// `None` where something happened.
    explanation: Option<&'static str>,
    event: Option<PushedEvent>,
}

struct PushedEvent {
    name: String,
    key: String,
    chat: ShownReply,
    callback: CallbackResult,
}

enum CallbackResult {
    NotConfigured,
    Answered {
        status: u16,
        body: String,
        attempts: usize,
        is_accepted: bool,
    },
    Silent {
        why: &'static str,
        attempts: usize,
    },
}

/// What appears in the follower's chat.
enum ShownReply {
    Nothing,
    Text(String),
    Card(Article),
    /// WeChat's own words, and what is wrong.
    Fault(&'static str, String),
}

impl ActionResult {
    pub(super) fn of(outcome: &Result<ActionTaken, ActionError>, lang: Lang) -> Self {
        match outcome {
            Ok(taken) => Self {
                heading: heading(&taken.event.kind, lang),
                explanation: None,
                event: Some(PushedEvent {
                    name: taken.event.kind.name().to_owned(),
                    key: taken.event.kind.key(),
                    chat: chat(&taken.event.kind, taken.delivery.as_ref(), lang),
                    callback: callback_result(taken.delivery.as_ref(), lang),
                }),
            },
            Err(refused) => Self {
                heading: lang.pick("什么也没有发生", "Nothing happened"),
                explanation: Some(refused.message(lang)),
                event: None,
            },
        }
    }

    /// Whether all went as it should. A missing callback is no fault.
    fn is_good(&self) -> bool {
        let Some(event) = &self.event else {
            return false;
        };
        let is_delivered = match event.callback {
            CallbackResult::NotConfigured => true,
            CallbackResult::Answered { is_accepted, .. } => is_accepted,
            CallbackResult::Silent { .. } => false,
        };
        is_delivered && !matches!(event.chat, ShownReply::Fault(..))
    }
}

fn heading(kind: &EventKind, lang: Lang) -> &'static str {
    match kind {
        EventKind::Subscribe(_) => lang.pick("已关注公众号", "Followed the account"),
        EventKind::Unsubscribe => lang.pick("已取消关注", "Unfollowed the account"),
        EventKind::Scan(_) | EventKind::Other { .. } => lang.pick("已扫码", "Scanned again"),
    }
}

fn callback_result(delivery: Option<&Delivery>, lang: Lang) -> CallbackResult {
    let Some(delivery) = delivery else {
        return CallbackResult::NotConfigured;
    };
    let attempts = delivery.attempts.len();
    match delivery.attempts.last() {
        None => CallbackResult::NotConfigured,
        Some(Ok(answer)) => CallbackResult::Answered {
            status: answer.status,
            body: shortened(answer.text()),
            attempts,
            is_accepted: delivery.is_acknowledged(),
        },
        Some(Err(failure)) => CallbackResult::Silent {
            why: error_message(*failure, lang),
            attempts,
        },
    }
}

/// Builds what the chat shows. WeChat also shows an apology for a callback that did not answer, but
/// not to a person who unfollowed.
fn chat(kind: &EventKind, delivery: Option<&Delivery>, lang: Lang) -> ShownReply {
    let Some(delivery) = delivery else {
        return ShownReply::Nothing;
    };
    match &delivery.reply {
        Err(fault) => ShownReply::Fault(FAULT_SHOWN, fault_message(*fault, lang)),
        Ok(Some(Reply::Text(text))) => ShownReply::Text(text.clone()),
        Ok(Some(Reply::News(article))) => ShownReply::Card(article.clone()),
        Ok(None) if delivery.is_acknowledged() || *kind == EventKind::Unsubscribe => {
            ShownReply::Nothing
        }
        Ok(None) => ShownReply::Fault(FAULT_SHOWN, no_answer_message(lang)),
    }
}

fn no_answer_message(lang: Lang) -> String {
    let message = lang.pick(
        "每次推送都没有得到可用的应答",
        "No attempt had an answer that WeChat takes",
    );
    message.to_owned()
}

fn fault_message(fault: ReplyFault, lang: Lang) -> String {
    lang.pick("回复有误：", "The reply is faulty: ").to_owned() + &fault.to_string()
}

fn shortened(mut text: String) -> String {
    let end = text.floor_char_boundary(SHOWN_ANSWER);
    if end < text.len() {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn error_message(failure: DeliveryError, lang: Lang) -> &'static str {
    match failure {
        DeliveryError::NoConnection => {
            lang.pick("连接不上回调地址", "no connection to the callback")
        }
        DeliveryError::Late => lang.pick("回调未在时限内应答", "no answer in time"),
        DeliveryError::BrokenOff => lang.pick(
            "连接中断，或应答不是 HTTP",
            "the connection broke, or the answer is not HTTP",
        ),
        DeliveryError::TooLong => lang.pick("应答超过 64 KiB", "an answer of more than 64 KiB"),
    }
}

fn kind_label(action: ActionName, lang: Lang) -> &'static str {
    match (action, lang) {
        (ActionName::Scene, Lang::Zh) => "临时二维码，参数为数字",
        (ActionName::StrScene, Lang::Zh) => "临时二维码，参数为文本",
        (ActionName::LimitScene, Lang::Zh) => "永久二维码，参数为数字",
        (ActionName::LimitStrScene, Lang::Zh) => "永久二维码，参数为文本",
        (ActionName::Scene, Lang::En) => "Temporary code that carries a number",
        (ActionName::StrScene, Lang::En) => "Temporary code that carries a text",
        (ActionName::LimitScene, Lang::En) => "Permanent code that carries a number",
        (ActionName::LimitStrScene, Lang::En) => "Permanent code that carries a text",
    }
}

/// Formats a duration in the largest unit that fits and the one below it.
fn format_duration(seconds: i64, lang: Lang) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let seconds = seconds % 60;
    let parts = match (days, hours, minutes) {
        (0, 0, 0) => [None, Some((seconds, " 秒", " s"))],
        (0, 0, _) => [
            Some((minutes, " 分钟", " min")),
            Some((seconds, " 秒", " s")),
        ],
        (0, _, _) => [
            Some((hours, " 小时", " h")),
            Some((minutes, " 分钟", " min")),
        ],
        _ => [Some((days, " 天", " d")), Some((hours, " 小时", " h"))],
    };
    let words: Vec<_> = parts
        .into_iter()
        .flatten()
        .map(|(number, zh, en)| format!("{number}{}", lang.pick(zh, en)))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_answer_is_cut_between_characters() {
        let long = "展".repeat(1000);
        let got = shortened(long.clone());
        assert_eq!(got, format!("{}…", &long[..2046]));
        assert_eq!(shortened("展".repeat(600)), "展".repeat(600));
    }

    #[test]
    fn a_duration_is_formatted_in_two_units() {
        for (seconds, zh, en) in [
            (0, "0 秒", "0 s"),
            (59, "59 秒", "59 s"),
            (61, "1 分钟 1 秒", "1 min 1 s"),
            (7_199, "1 小时 59 分钟", "1 h 59 min"),
            (2_592_000, "30 天 0 小时", "30 d 0 h"),
        ] {
            assert_eq!(format_duration(seconds, Lang::Zh), zh);
            assert_eq!(format_duration(seconds, Lang::En), en);
        }
    }
}
