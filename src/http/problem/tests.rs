use std::sync::Arc;

use axum::http::StatusCode;

use super::*;
use crate::codes::{self, MintError};
use crate::http::extract::query::QrcodeQuery;

#[test]
fn each_errcode_has_its_answer() {
    for (errcode, want) in [
        (-1, "upstream_busy"),
        (40001, "upstream_refused"),
        (40002, "internal"),
        (40013, "upstream_refused"),
        (40033, "scene_refused"),
        (40052, "internal"),
        (40053, "scene_refused"),
        (40125, "upstream_refused"),
        (40164, "upstream_refused"),
        (41001, "internal"),
        (43002, "internal"),
        (44002, "internal"),
        (45009, "upstream_quota"),
        (45011, "upstream_quota"),
        (45029, "permanent_stock_exhausted"),
        (47001, "internal"),
        (48001, "upstream_refused"),
        (89501, "account_blocked"),
        (89503, "account_blocked"),
        (89506, "account_blocked"),
        (89507, "account_blocked"),
        (123_456, "upstream_refused"),
    ] {
        let problem = Problem::from_errcode(Errcode(errcode));
        assert_eq!(problem.code.as_str(), want, "errcode {errcode}");
        assert_eq!(problem.errcode, Some(Errcode(errcode)));
        let retried = problem.code.status() == StatusCode::SERVICE_UNAVAILABLE && errcode < 80_000;
        assert_eq!(problem.retry_after.is_some(), retried, "errcode {errcode}");
    }
}

#[test]
fn both_languages_say_what_is_wrong() {
    let of_query = |raw: &str| {
        let query = QrcodeQuery::parse(raw)?;
        query.style()?;
        query.lang()?;
        query.code_spec("7200".parse().unwrap())
    };
    for (raw, zh, en) in [
        (
            "expire=60",
            "参数 expire 不是本服务的参数，是否想写 expire_seconds？",
            "expire is not a parameter of this service; did you mean expire_seconds?",
        ),
        (
            "scene_id=1&scene_id=2",
            "参数 scene_id 只能出现一次。",
            "scene_id must be given once only.",
        ),
        (
            "",
            "参数 scene_id 缺失：请给出 scene_id（整数）或 scene_str（1 至 64 个字符）。",
            "scene_id is missing: give scene_id (a whole number) or scene_str (1 to 64 characters).",
        ),
        (
            "scene_id=007",
            "参数 scene_id 须为 1 至 4294967295 的整数，不以 0 开头；如需保留前导零，请改用 scene_str。",
            "scene_id must be a whole number from 1 to 4294967295 without leading zeros; use scene_str to keep the zeros.",
        ),
        (
            "scene_id=100001&permanent=true",
            "参数 scene_id 须为 1 至 100000 的整数。",
            "scene_id must be a whole number from 1 to 100000.",
        ),
        (
            "scene_id=1&lang=de",
            "参数 lang 只能是 zh 或 en。",
            "lang must be zh or en.",
        ),
        (
            "scene_id=1&color=fff&bg=000",
            "参数 color 须比背景色深，而 ffffff 比 000000 浅。",
            "color must be darker than the background, but ffffff is lighter than 000000.",
        ),
        (
            "scene_id=1&bg=000",
            "参数 bg 与前景色的对比度须不低于 3:1，000000 与 000000 达不到。",
            "bg must have a contrast of at least 3:1 to the colour, more than 000000 on 000000 has.",
        ),
    ] {
        let problem = of_query(raw).unwrap_err();
        assert_eq!(problem.explanation(Lang::Zh), zh, "query {raw:?}");
        assert_eq!(problem.explanation(Lang::En), en, "query {raw:?}");
    }
    let minute = Some(Duration::from_mins(1));
    for (error, zh, en) in [
        (
            codes::Error::TooMany,
            "本服务正在生成的二维码过多，请稍后再试。",
            "Too many codes are being created at once; try again shortly.",
        ),
        (
            outcome_unknown(minute),
            "此前的请求是否已生成该永久二维码尚不确定，请稍后再试。",
            "It is not known yet whether an earlier try created this permanent code; try again later.",
        ),
        (
            outcome_unknown(None),
            "无法确定此前的请求是否已生成该永久二维码，请用 ticket 和 url 登记，或换一个场景值。",
            "It is not known whether earlier tries created this permanent code; record it with ticket and url, or use another scene.",
        ),
    ] {
        let problem = Problem::from(error);
        assert_eq!(problem.explanation(Lang::Zh), zh);
        assert_eq!(problem.explanation(Lang::En), en);
    }
}

fn outcome_unknown(retry_after: Option<Duration>) -> codes::Error {
    codes::Error::Mint(Arc::new(MintError::OutcomeUnknown { retry_after }))
}

#[test]
fn retry_after_is_rounded_up_to_whole_seconds() {
    for (wait, want) in [
        (Duration::ZERO, 1),
        (Duration::from_millis(1), 1),
        (Duration::from_secs(1), 1),
        (Duration::from_millis(1001), 2),
        (Duration::from_nanos(59_000_000_001), 60),
        (Duration::from_mins(1), 60),
    ] {
        let problem = Problem::from(outcome_unknown(Some(wait)));
        assert_eq!(problem.retry_after_seconds(), Some(want), "{wait:?}");
    }
}

#[test]
fn transient_problems_have_retry_after() {
    for (problem, title) in [
        (Problem::store_unavailable(), "The database cannot be used"),
        (Problem::starting(), "The database cannot be used"),
        (Problem::overloaded(), "The service is overloaded"),
        (
            codes::Error::TooMany.into(),
            "No code can be created right now",
        ),
        (
            Problem::from_errcode(Errcode(-1)),
            "No code can be created right now",
        ),
    ] {
        let document = serde_json::to_value(problem.document("id")).unwrap();
        assert_eq!(document["retry_after"], 5, "{document}");
        assert_eq!(document["status"], 503, "{document}");
        assert_eq!(document["title"], title, "{document}");
    }
}

#[test]
fn a_parameter_name_is_repeated_only_in_part() {
    let problem = Problem::invalid_parameter(&"x\r\n".repeat(100), Message::new("", ""));
    assert_eq!(problem.parameter.unwrap(), "x".repeat(40));
}
