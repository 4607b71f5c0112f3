//! Every error that leaves the service, in one table (RFC 9457). Handlers return a [`Problem`]; the layer around the
//! routes writes it out, as JSON, as a page or as one line, whichever the caller asked for.

use std::fmt;
use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::lang::Lang;
use crate::account::Stopped;
use crate::codes::{self, MintError};
use crate::token;
use crate::wechat::{self, Class, Errcode};

/// How long a caller should wait after WeChat was busy. Chosen: its document says only "later".
const BUSY_RETRY: Duration = Duration::from_secs(5);

/// How long a caller should wait after a quota ended: until the next probe is due.
const QUOTA_RETRY: Duration = Duration::from_mins(1);

/// What went wrong, as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidParameter,
    InvalidBody,
    SceneRefused,
    Unauthorized,
    MintNotAllowed,
    ScopeMissing,
    NotFound,
    MethodNotAllowed,
    PermanentStockExhausted,
    TooLarge,
    UriTooLong,
    HeadersTooLarge,
    Internal,
    UpstreamRefused,
    UpstreamUnreachable,
    UpstreamInvalid,
    UpstreamBusy,
    UpstreamQuota,
    AccountBlocked,
    BudgetExhausted,
    StoreUnavailable,
    UpstreamTimeout,
}

/// A row of the table: name, status, title in both languages.
type Row = (&'static str, StatusCode, &'static str, &'static str);

impl Code {
    #[rustfmt::skip]
    fn row(self) -> Row {
        use StatusCode as S;
        match self {
            Self::InvalidParameter => ("invalid_parameter", S::BAD_REQUEST, "参数有误", "A parameter is not valid"),
            Self::InvalidBody => ("invalid_body", S::BAD_REQUEST, "请求内容有误", "The body is not valid"),
            Self::SceneRefused => ("scene_refused", S::BAD_REQUEST, "微信不接受该场景值", "WeChat does not take this scene"),
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "密钥无效", "The key is not known"),
            Self::MintNotAllowed => ("mint_not_allowed", S::FORBIDDEN, "无权生成该二维码", "This code may not be made"),
            Self::ScopeMissing => ("scope_missing", S::FORBIDDEN, "密钥权限不足", "The key lacks a scope"),
            Self::NotFound => ("not_found", S::NOT_FOUND, "页面不存在", "There is nothing here"),
            Self::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED, "不支持该请求方法", "The method is not allowed here"),
            Self::PermanentStockExhausted => ("permanent_stock_exhausted", S::CONFLICT, "永久二维码数量已用完", "The permanent codes are used up"),
            Self::TooLarge => ("too_large", S::PAYLOAD_TOO_LARGE, "请求内容过大", "The body is too large"),
            Self::UriTooLong => ("uri_too_long", S::URI_TOO_LONG, "链接过长", "The address is too long"),
            Self::HeadersTooLarge => ("headers_too_large", S::REQUEST_HEADER_FIELDS_TOO_LARGE, "请求头过大", "The headers are too large"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "服务内部错误", "The service failed"),
            Self::UpstreamRefused => ("upstream_refused", S::BAD_GATEWAY, "微信拒绝了请求", "WeChat refused"),
            Self::UpstreamUnreachable => ("upstream_unreachable", S::BAD_GATEWAY, "无法连接微信", "WeChat cannot be reached"),
            Self::UpstreamInvalid => ("upstream_invalid", S::BAD_GATEWAY, "微信的应答无法识别", "WeChat's answer cannot be understood"),
            Self::UpstreamBusy => ("upstream_busy", S::SERVICE_UNAVAILABLE, "微信系统繁忙", "WeChat is busy"),
            Self::UpstreamQuota => ("upstream_quota", S::SERVICE_UNAVAILABLE, "微信接口调用次数已用完", "WeChat's quota is used up"),
            Self::AccountBlocked => ("account_blocked", S::SERVICE_UNAVAILABLE, "公众号调用受限", "The account is held back by WeChat"),
            Self::BudgetExhausted => ("budget_exhausted", S::TOO_MANY_REQUESTS, "今日的生成次数已用完", "The day's codes are used up"),
            Self::StoreUnavailable => ("store_unavailable", S::SERVICE_UNAVAILABLE, "存储暂不可用", "The store cannot be used"),
            Self::UpstreamTimeout => ("upstream_timeout", S::GATEWAY_TIMEOUT, "微信应答超时", "WeChat does not answer in time"),
        }
    }

    /// The name that callers can test.
    pub(crate) fn as_str(self) -> &'static str {
        self.row().0
    }

    pub(crate) fn status(self) -> StatusCode {
        self.row().1
    }

    /// Whether the same request may succeed after a while, with nobody's help.
    pub(crate) fn may_pass(self) -> bool {
        match self {
            Self::UpstreamUnreachable
            | Self::UpstreamInvalid
            | Self::UpstreamBusy
            | Self::UpstreamQuota
            | Self::UpstreamTimeout
            | Self::StoreUnavailable => true,
            Self::InvalidParameter
            | Self::SceneRefused
            | Self::Unauthorized
            | Self::MintNotAllowed
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::PermanentStockExhausted
            | Self::Internal
            | Self::UpstreamRefused
            | Self::InvalidBody
            | Self::ScopeMissing
            | Self::TooLarge
            | Self::UriTooLong
            | Self::HeadersTooLarge
            | Self::BudgetExhausted
            | Self::AccountBlocked => false,
        }
    }

    pub(crate) fn title(self, lang: Lang) -> &'static str {
        let (_, _, zh, en) = self.row();
        lang.pick(zh, en)
    }
}

/// An error on its way to the caller. It holds nothing that a stranger may not read.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: Code,
    pub(crate) detail: String,
    pub(crate) parameter: Option<String>,
    pub(crate) errcode: Option<Errcode>,
    pub(crate) retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            parameter: None,
            errcode: None,
            retry_after: None,
        }
    }

    /// `message` goes on from the parameter's name: "must be ...".
    pub(crate) fn invalid_parameter(parameter: &str, message: impl fmt::Display) -> Self {
        Self::about(Code::InvalidParameter, parameter, message)
    }

    /// The same for a body that is not of the right shape there.
    pub(crate) fn invalid_body(parameter: &str, message: impl fmt::Display) -> Self {
        Self::about(Code::InvalidBody, parameter, message)
    }

    fn about(code: Code, parameter: &str, message: impl fmt::Display) -> Self {
        /// A name can be any stranger's text; the answer repeats no more than this of it.
        const MOST_CHARS: usize = 40;
        let parameter: String = parameter
            .chars()
            .filter(|c| !c.is_control())
            .take(MOST_CHARS)
            .collect();
        let detail = format!("{parameter} {message}");
        Self {
            parameter: Some(parameter),
            ..Self::new(code, detail)
        }
    }

    fn after(self, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..self
        }
    }

    fn caused_by(self, errcode: Errcode) -> Self {
        Self {
            errcode: Some(errcode),
            ..self
        }
    }

    /// In whole seconds, at least one, as `Retry-After` has it.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.map(|wait| wait.as_secs().max(1))
    }

    /// What it says in `lang`. Chinese has a sentence for each code and parameter; the English detail is the exact one.
    pub(crate) fn explanation(&self, lang: Lang) -> String {
        match (lang, &self.parameter) {
            (Lang::En, _) => self.english_sentence(),
            (Lang::Zh, Some(parameter)) => {
                format!("参数 {parameter} {}", accepted_in_chinese(parameter))
            }
            (Lang::Zh, None) => chinese_advice(self.code).to_owned(),
        }
    }

    /// The detail as people write. A parameter's name at its beginning stays as it is.
    fn english_sentence(&self) -> String {
        let mut letters = self.detail.chars();
        let first = letters.next().into_iter();
        let mut sentence: String = if self.parameter.is_some() {
            first.collect()
        } else {
            first.flat_map(char::to_uppercase).collect()
        };
        sentence.push_str(letters.as_str());
        if !sentence.ends_with(['.', '?']) {
            sentence.push('.');
        }
        sentence
    }

    /// The document of RFC 9457.
    pub(crate) fn document(&self, request_id: &str) -> Document {
        Document {
            kind: format!("urn:wxqr:problem:{}", self.code.as_str()),
            title: self.code.title(Lang::En),
            status: self.code.status().as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str(),
            request_id: request_id.to_owned(),
            parameter: self.parameter.clone(),
            errcode: self.errcode.map(|errcode| errcode.0),
            retry_after: self.retry_after_seconds(),
        }
    }
}

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document {
    /// `urn:wxqr:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The code in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What happened; for a 4xx also what would be accepted.
    detail: String,
    /// A name to test.
    code: &'static str,
    /// To find the log line.
    request_id: String,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<String>,
    /// WeChat's return code, where it named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    errcode: Option<i64>,
    /// Seconds to wait before another try.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
}

/// Hands the problem to the layer that writes it out.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.retry_after_seconds() {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthorized {
            let scheme = header::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<codes::Error> for Problem {
    fn from(error: codes::Error) -> Self {
        match error {
            codes::Error::MintNotAllowed => Self::new(
                Code::MintNotAllowed,
                "this permanent code does not exist yet; a key with the scope \"permanent\" can make it",
            ),
            codes::Error::Mint(cause) => (&*cause).into(),
            codes::Error::Timeout => Self::new(
                Code::UpstreamTimeout,
                "WeChat did not answer in time; the code may be there on the next try",
            ),
            codes::Error::TooMany => {
                Self::new(Code::UpstreamBusy, "too many codes are being made at once")
                    .after(BUSY_RETRY)
            }
            codes::Error::Store(_) => Self::new(
                Code::StoreUnavailable,
                "the store cannot be used at the moment",
            ),
            codes::Error::Lost(_) => {
                Self::new(Code::Internal, "the service failed; the log has the cause")
            }
        }
    }
}

impl From<&MintError> for Problem {
    fn from(error: &MintError) -> Self {
        match error {
            MintError::WeChat(error) => error.into(),
            MintError::Token(cause) => match &**cause {
                token::Error::WeChat(error) => Self::from_token_call(error),
                token::Error::Stopped(stop) => stop.into(),
                token::Error::Store(_) => Self::new(
                    Code::StoreUnavailable,
                    "the store cannot be used at the moment",
                ),
                token::Error::ForcedTooOften => Self::new(
                    Code::UpstreamRefused,
                    "WeChat refuses the access token that it gives; it is renewed within half a minute",
                ),
            },
            MintError::Stopped(stop) => stop.into(),
            MintError::Budget(budget) => {
                let detail = "visitors have caused as many new codes today as they may; known codes are still served";
                Self::new(Code::BudgetExhausted, detail).after(budget.retry_after)
            }
            MintError::LedgerFull => Self::new(
                Code::PermanentStockExhausted,
                "the ledger of permanent codes is full (WXQR_PERMANENT_LIMIT); ask for a temporary one",
            ),
            MintError::OutcomeUnknown {
                retry_after: Some(wait),
            } => Self::new(
                Code::UpstreamTimeout,
                "nobody knows yet whether an earlier try made this permanent code; ask again later",
            )
            .after(*wait),
            MintError::OutcomeUnknown { retry_after: None } => Self::new(
                Code::UpstreamTimeout,
                "nobody knows whether earlier tries made this permanent code; record it with ticket and url, or use another scene",
            ),
            MintError::Store(_) => Self::new(
                Code::StoreUnavailable,
                "the store cannot be used at the moment",
            ),
            MintError::Timeout => Self::new(Code::UpstreamTimeout, "WeChat did not answer in time"),
            MintError::Lost(_) => {
                Self::new(Code::Internal, "the service failed; the log has the cause")
            }
        }
    }
}

impl From<&Stopped> for Problem {
    fn from(stop: &Stopped) -> Self {
        let detail = "calls are stopped until WeChat's quota clears";
        Self::new(Code::UpstreamQuota, detail)
            .caused_by(stop.errcode)
            .after(stop.retry_after)
    }
}

impl From<&wechat::Error> for Problem {
    fn from(error: &wechat::Error) -> Self {
        use wechat::Error as E;
        match error {
            E::Refused(refusal) => Self::from_errcode(refusal.errcode),
            E::Unreachable(_) => {
                Self::new(Code::UpstreamUnreachable, "the connection to WeChat failed")
            }
            E::Timeout(_) => Self::new(Code::UpstreamTimeout, "WeChat did not answer in time"),
            E::Status(_) | E::Body(_) | E::Invalid(_) => Self::new(
                Code::UpstreamInvalid,
                "WeChat's answer could not be understood",
            ),
        }
    }
}

impl Problem {
    fn from_errcode(errcode: Errcode) -> Self {
        let problem = match errcode.class() {
            Class::Busy => Self::new(Code::UpstreamBusy, "WeChat is busy").after(BUSY_RETRY),
            Class::Quota => Self::new(
                Code::UpstreamQuota,
                "calls are stopped until WeChat's quota clears",
            )
            .after(QUOTA_RETRY),
            Class::StockExhausted => Self::new(
                Code::PermanentStockExhausted,
                "the account's permanent codes are used up; ask for a temporary one",
            ),
            Class::SceneRefused => Self::new(
                Code::SceneRefused,
                "WeChat does not take this scene; try a shorter or plainer scene_str",
            ),
            Class::OurFault => Self::new(
                Code::Internal,
                "WeChat says that the service called it wrongly",
            ),
            Class::AccountBlocked => Self::new(
                Code::AccountBlocked,
                "WeChat holds this service back; its administrator has to act",
            ),
            Class::TokenDead | Class::Refused => Self::new(
                Code::UpstreamRefused,
                "WeChat refused to make the code; its administrator has to act",
            ),
        };
        problem.caused_by(errcode)
    }

    /// On a token call, a refusal of the scene or of the stock is no such thing.
    fn from_token_call(error: &wechat::Error) -> Self {
        match error {
            wechat::Error::Refused(refusal)
                if matches!(
                    refusal.errcode.class(),
                    Class::SceneRefused | Class::StockExhausted
                ) =>
            {
                Self::new(Code::UpstreamRefused, "WeChat refused to give a token")
                    .caused_by(refusal.errcode)
            }
            other => other.into(),
        }
    }
}

fn accepted_in_chinese(parameter: &str) -> &'static str {
    match parameter {
        "scene_id" => {
            "须为整数：临时二维码 1 至 4294967295，永久二维码 1 至 100000，不带正负号，不以 0 开头。文本场景值请改用 scene_str；二者必填其一，且不可同填。"
        }
        "scene_str" => {
            "须为 1 至 64 个字符，不含控制字符，不以“wxqr.”开头，且不能与 scene_id 同时使用。"
        }
        "permanent" => "只能是 true 或 false。",
        "expire_seconds" => "须为 1 至 2592000 的整数，单位为秒（最长 30 天），仅用于临时二维码。",
        "format" => "只能是 html、json、png、svg 或 jpg。",
        "fragment" => "只能是 1，且仅用于 HTML。",
        "size" => "须为 64 至 2048 的整数，单位为像素，且须容纳整个二维码及其留白。",
        "margin" => "须为 0 至 16 的整数，单位为二维码的码元。",
        "color" | "bg" => {
            "须为 3 或 6 位十六进制颜色值，不带 #；前景色须深于背景色，对比度不低于 3:1。"
        }
        "lang" => "只能是 zh 或 en。",
        _ => "无法识别。请检查参数名的拼写；每个参数只能出现一次，并须使用 UTF-8 编码。",
    }
}

fn chinese_advice(code: Code) -> &'static str {
    match code {
        Code::InvalidParameter => "请检查链接中的参数。",
        Code::InvalidBody | Code::TooLarge => "请检查请求的内容。",
        Code::ScopeMissing => "请换用具有相应权限的密钥。",
        Code::SceneRefused => "请换一个更短或更简单的场景值。",
        Code::Unauthorized => "请求所带的密钥无效，请检查 Authorization 请求头。",
        Code::MintNotAllowed => {
            "该永久二维码尚未生成。生成永久二维码需要具有 permanent 权限的密钥。"
        }
        Code::UriTooLong => "请缩短链接，最长 8192 字节。",
        Code::HeadersTooLarge => "请减少请求头（例如 Cookie），合计最多 16384 字节。",
        Code::NotFound => "请检查链接是否完整。",
        Code::MethodNotAllowed => "请使用 GET 访问。",
        Code::PermanentStockExhausted => "该公众号的永久二维码已达上限，请改用临时二维码。",
        Code::Internal => "请稍后再试，原因已记入服务日志。",
        Code::UpstreamRefused | Code::AccountBlocked => "公众号管理员处理后，才能继续生成二维码。",
        Code::UpstreamUnreachable
        | Code::UpstreamInvalid
        | Code::UpstreamBusy
        | Code::UpstreamTimeout
        | Code::StoreUnavailable => "请稍后再试。",
        Code::UpstreamQuota => "调用额度恢复后会自动继续，请稍后再试。",
        Code::BudgetExhausted => "今日新二维码已达上限，已有的二维码仍可使用，请明天再试。",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let retried =
                problem.code.status() == StatusCode::SERVICE_UNAVAILABLE && errcode < 80_000;
            assert_eq!(problem.retry_after.is_some(), retried, "errcode {errcode}");
        }
    }

    #[test]
    fn people_read_sentences() {
        for (problem, want) in [
            (
                Problem::new(Code::NotFound, "there is nothing"),
                "There is nothing.",
            ),
            (
                Problem::invalid_parameter("lang", "must be zh or en"),
                "lang must be zh or en.",
            ),
            (
                Problem::invalid_parameter("ttl", "is unknown; is it x?"),
                "ttl is unknown; is it x?",
            ),
        ] {
            assert_eq!(problem.explanation(Lang::En), want);
        }
    }

    #[test]
    fn a_parameter_name_is_repeated_only_in_part() {
        let problem = Problem::invalid_parameter(&"x\r\n".repeat(100), "is odd");
        assert_eq!(problem.parameter.unwrap(), "x".repeat(40));
    }
}
