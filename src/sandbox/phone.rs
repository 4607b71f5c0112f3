//! `/q/ID`: what a phone opens that scans a code of the sandbox. It tells what the code carries.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use sha2::{Digest as _, Sha256};

use super::Sandbox;
use super::code::{Action, Code};

/// The page's only style, allowed by its hash. Nothing else is.
const STYLE: &str = include_str!("../../templates/sandbox_phone.css");

static CONTENT_SECURITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// `GET /q/{id}`. `?lang=zh|en` wins over `Accept-Language`; Chinese unless English is preferred.
pub(super) async fn page(
    State(sandbox): State<Sandbox>,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let lang = Lang::wanted(query.as_deref().unwrap_or_default(), &headers);
    let now = sandbox.now();
    // An id that is no text is as unknown as any other.
    let shown = id.ok().and_then(|Path(id)| {
        let state = sandbox.state();
        Some(Shown::new(state.code(&id, now)?, now, lang))
    });
    let status = if shown.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NOT_FOUND
    };
    let page = Page {
        lang,
        style: STYLE,
        shown,
    };
    match page.render() {
        Ok(html) => (status, page_headers(), Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn page_headers() -> [(HeaderName, &'static str); 5] {
    [
        (
            header::CONTENT_SECURITY_POLICY,
            CONTENT_SECURITY_POLICY.as_str(),
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "Accept-Language"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lang {
    Zh,
    En,
}

impl Lang {
    fn wanted(query: &str, headers: &HeaderMap) -> Self {
        let asked = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("lang="))
            .and_then(Self::from_tag);
        asked.unwrap_or_else(|| {
            let header = headers.get(header::ACCEPT_LANGUAGE);
            Self::accepted(
                header
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default(),
            )
        })
    }

    /// The one with the highest weight; among equals the one named first.
    fn accepted(header: &str) -> Self {
        let mut best = (0.0, Self::Zh);
        for range in header.split(',') {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = parameters
                .trim()
                .strip_prefix("q=")
                .map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
            if let Some(lang) = Self::from_tag(tag.trim())
                && weight > best.0
            {
                best = (weight, lang);
            }
        }
        best.1
    }

    fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        [Self::Zh, Self::En]
            .into_iter()
            .find(|lang| primary.eq_ignore_ascii_case(lang.primary()))
    }

    fn primary(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    fn is_zh(self) -> bool {
        self == Self::Zh
    }

    /// As `<html lang>` takes it.
    fn html(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }
}

#[derive(Template)]
#[template(path = "sandbox_phone.html")]
struct Page {
    lang: Lang,
    style: &'static str,
    /// None for a code that is unknown or dead.
    shown: Option<Shown>,
}

/// A code in the reader's words.
struct Shown {
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
    fn new(code: &Code, now: Timestamp, lang: Lang) -> Self {
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

fn china_time(at: Timestamp) -> String {
    let china = TimeZone::fixed(Offset::constant(8));
    at.to_zoned(china).strftime("%Y-%m-%d %H:%M:%S").to_string()
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
        .map(|(number, zh, en)| format!("{number}{}", if lang.is_zh() { zh } else { en }))
        .collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_one_that_is_preferred() {
        for (query, header, want) in [
            ("", "", Lang::Zh),
            ("", "zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("", "en-US,en;q=0.9,zh;q=0.8", Lang::En),
            ("", "fr, EN;q=0.5, zh;q=0.1", Lang::En),
            ("", "en;q=0, fr", Lang::Zh),
            ("", "en;q=nan, *;;;", Lang::Zh),
            ("lang=en", "zh", Lang::En),
            ("x=1&lang=zh", "en", Lang::Zh),
            ("lang=fr", "en", Lang::En),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, header.parse().unwrap());
            assert_eq!(Lang::wanted(query, &headers), want, "{query:?}, {header:?}");
        }
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
        assert_eq!(
            china_time("2026-11-22T16:00:05Z".parse().unwrap()),
            "2026-11-23 00:00:05"
        );
    }
}
