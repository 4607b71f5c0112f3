//! The page of a code, in the reader's words.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use super::{Pressed, Refused};
use crate::sandbox::code::{Action, Code};
use crate::sandbox::delivery::{Delivery, Failure};
use crate::sandbox::event::EventKind;
use crate::sandbox::lang::Lang;
use crate::sandbox::page::{self, STYLE, china_time};

/// How much of a callback's answer is shown, in bytes.
const SHOWN_ANSWER: usize = 2048;

#[derive(Template)]
#[template(path = "sandbox_phone.html")]
pub(super) struct Page {
    pub(super) lang: Lang,
    /// Who is pretended to hold the phone; only of what [`super::is_openid`] takes.
    pub(super) openid: String,
    pub(super) follows: bool,
    /// None for a code that is unknown or dead.
    pub(super) shown: Option<Shown>,
    /// None before a button is pressed.
    pub(super) told: Option<Told>,
}

impl Page {
    pub(super) fn into_response(self, status: StatusCode) -> Response {
        page::response(status, &self)
    }
}

/// A code.
pub(super) struct Shown {
    kind: &'static str,
    action_name: &'static str,
    parameter: &'static str,
    scene: String,
    app_id: String,
    /// None for a permanent code.
    life: Option<Life>,
}

struct Life {
    /// By China's clocks.
    until: String,
    left: String,
}

impl Shown {
    pub(super) fn new(code: &Code, now: Timestamp, lang: Lang) -> Self {
        let action = code.order.action;
        Self {
            kind: kind_in_words(action, lang),
            action_name: action.name(),
            parameter: match action {
                Action::Scene | Action::LimitScene => "scene_id",
                Action::StrScene | Action::LimitStrScene => "scene_str",
            },
            scene: code.order.scene.to_string(),
            app_id: code.app_id.clone(),
            life: code.expires_at.map(|at| Life {
                until: china_time(at),
                left: seconds_in_words(at.duration_since(now).as_secs(), lang),
            }),
        }
    }
}

/// What happened when a button was pressed.
pub(super) struct Told {
    heading: &'static str,
    /// None where something happened.
    explanation: Option<&'static str>,
    event: Option<ToldEvent>,
}

struct ToldEvent {
    name: String,
    key: String,
    callback: ToldCallback,
}

enum ToldCallback {
    NotConfigured,
    Answered {
        status: u16,
        body: String,
        attempts: usize,
        is_taken: bool,
    },
    Silent {
        why: &'static str,
        attempts: usize,
    },
}

impl Told {
    pub(super) fn of(outcome: &Result<Pressed, Refused>, lang: Lang) -> Self {
        match outcome {
            Ok(pressed) => Self {
                heading: heading(&pressed.event.kind, lang),
                explanation: None,
                event: Some(ToldEvent {
                    name: pressed.event.kind.name().to_owned(),
                    key: pressed.event.kind.key(),
                    callback: told_callback(pressed.delivery.as_ref(), lang),
                }),
            },
            Err(refused) => Self {
                heading: lang.pick("什么也没有发生", "Nothing happened"),
                explanation: Some(refused.in_words(lang)),
                event: None,
            },
        }
    }

    /// Whether all went as it should; that there is no callback is nobody's fault.
    fn is_good(&self) -> bool {
        match self.event.as_ref().map(|event| &event.callback) {
            Some(ToldCallback::NotConfigured) => true,
            Some(ToldCallback::Answered { is_taken, .. }) => *is_taken,
            Some(ToldCallback::Silent { .. }) | None => false,
        }
    }
}

fn heading(kind: &EventKind, lang: Lang) -> &'static str {
    match kind {
        EventKind::Subscribe(_) => lang.pick("已关注公众号", "Followed the account"),
        EventKind::Unsubscribe => lang.pick("已取消关注", "Unfollowed the account"),
        EventKind::Scan(_) | EventKind::Other { .. } => lang.pick("已扫码", "Scanned again"),
    }
}

fn told_callback(delivery: Option<&Delivery>, lang: Lang) -> ToldCallback {
    let Some(delivery) = delivery else {
        return ToldCallback::NotConfigured;
    };
    let attempts = delivery.attempts.len();
    match delivery.attempts.last() {
        None => ToldCallback::NotConfigured,
        Some(Ok(answer)) => ToldCallback::Answered {
            status: answer.status,
            body: shortened(answer.text()),
            attempts,
            is_taken: delivery.is_acknowledged(),
        },
        Some(Err(failure)) => ToldCallback::Silent {
            why: failure_in_words(*failure, lang),
            attempts,
        },
    }
}

fn shortened(mut text: String) -> String {
    let end = text.floor_char_boundary(SHOWN_ANSWER);
    if end < text.len() {
        text.truncate(end);
        text.push('…');
    }
    text
}

fn failure_in_words(failure: Failure, lang: Lang) -> &'static str {
    match failure {
        Failure::NoConnection => lang.pick("连接不上回调地址", "no connection to the callback"),
        Failure::Late => lang.pick("回调未在时限内应答", "no answer in time"),
        Failure::BrokenOff => lang.pick(
            "连接中断，或应答不是 HTTP",
            "the connection broke off, or what came is no HTTP",
        ),
        Failure::TooLong => lang.pick("应答超过 64 KiB", "an answer of more than 64 KiB"),
    }
}

fn kind_in_words(action: Action, lang: Lang) -> &'static str {
    match (action, lang) {
        (Action::Scene, Lang::Zh) => "临时二维码，参数为数字",
        (Action::StrScene, Lang::Zh) => "临时二维码，参数为文本",
        (Action::LimitScene, Lang::Zh) => "永久二维码，参数为数字",
        (Action::LimitStrScene, Lang::Zh) => "永久二维码，参数为文本",
        (Action::Scene, Lang::En) => "Temporary code that carries a number",
        (Action::StrScene, Lang::En) => "Temporary code that carries a text",
        (Action::LimitScene, Lang::En) => "Permanent code that carries a number",
        (Action::LimitStrScene, Lang::En) => "Permanent code that carries a text",
    }
}

/// In the largest unit that fits and the one below it.
fn seconds_in_words(seconds: i64, lang: Lang) -> String {
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
    fn a_life_is_told_in_two_units() {
        for (seconds, zh, en) in [
            (0, "0 秒", "0 s"),
            (59, "59 秒", "59 s"),
            (61, "1 分钟 1 秒", "1 min 1 s"),
            (7_199, "1 小时 59 分钟", "1 h 59 min"),
            (2_592_000, "30 天 0 小时", "30 d 0 h"),
        ] {
            assert_eq!(seconds_in_words(seconds, Lang::Zh), zh);
            assert_eq!(seconds_in_words(seconds, Lang::En), en);
        }
    }
}
