//! Every error that leaves the service, in one table (RFC 9457). Handlers return a [`Problem`]; the layer around the
//! routes writes it out, as JSON, as a page or as one line, whichever the caller asked for.

mod causes;

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::i18n::lang::Lang;
use crate::http::i18n::message::Message;
use crate::wechat::Errcode;

/// How long a caller should wait while the store is away: it is asked every second whether it is back. Chosen.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// The same while bodies take as much memory as they may: each of them comes or ends within seconds. Chosen.
const BODIES_RETRY: Duration = Duration::from_secs(5);

/// What went wrong, as callers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidParameter,
    InvalidBody,
    SceneRefused,
    Unauthorized,
    MintNotAllowed,
    BadSignature,
    LinkExpired,
    NotFromWeChat,
    ForeignRequest,
    ScopeMissing,
    NotFound,
    MethodNotAllowed,
    PermanentStockExhausted,
    AlreadyRecorded,
    BindingsNeedSafeMode,
    BindingNotScanned,
    BindingClaimed,
    BindingExpired,
    FollowerLeft,
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
    RateLimited,
    BudgetExhausted,
    StoreUnavailable,
    Overloaded,
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
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, "需要有效的密钥", "A known key is needed"),
            Self::MintNotAllowed => ("mint_not_allowed", S::FORBIDDEN, "无权生成该二维码", "This code may not be made"),
            Self::BadSignature => ("bad_signature", S::FORBIDDEN, "链接签名无效", "The link's signature is not good"),
            Self::LinkExpired => ("link_expired", S::FORBIDDEN, "链接已过期", "The link has expired"),
            Self::NotFromWeChat => ("not_from_wechat", S::FORBIDDEN, "拒绝该推送", "The push is refused"),
            Self::ForeignRequest => ("foreign_request", S::FORBIDDEN, "请求被拒绝", "The request is refused"),
            Self::ScopeMissing => ("scope_missing", S::FORBIDDEN, "密钥权限不足", "The key lacks a scope"),
            Self::NotFound => ("not_found", S::NOT_FOUND, "页面不存在", "There is nothing here"),
            Self::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED, "不支持该请求方法", "The method is not allowed here"),
            Self::PermanentStockExhausted => ("permanent_stock_exhausted", S::CONFLICT, "永久二维码数量已用完", "The permanent codes are used up"),
            Self::AlreadyRecorded => ("already_recorded", S::CONFLICT, "已有不同的登记", "Something else is recorded"),
            Self::BindingsNeedSafeMode => ("bindings_need_safe_mode", S::CONFLICT, "扫码绑定需要安全模式", "Bindings need the safe mode"),
            Self::BindingNotScanned => ("binding_not_scanned", S::CONFLICT, "二维码尚未被扫描", "Nobody has scanned the code yet"),
            Self::BindingClaimed => ("binding_claimed", S::CONFLICT, "绑定结果已被领取", "The binding was claimed before"),
            Self::BindingExpired => ("binding_expired", S::GONE, "绑定已过期", "The binding has expired"),
            Self::FollowerLeft => ("follower_left", S::GONE, "扫码者已取消关注", "Whoever scanned has left the account"),
            Self::TooLarge => ("too_large", S::PAYLOAD_TOO_LARGE, "请求内容过大", "The body is too large"),
            Self::UriTooLong => ("uri_too_long", S::URI_TOO_LONG, "链接过长", "The address is too long"),
            Self::HeadersTooLarge => ("headers_too_large", S::REQUEST_HEADER_FIELDS_TOO_LARGE, "请求头过大", "The headers are too large"),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, "服务内部错误", "The service failed"),
            Self::UpstreamRefused => ("upstream_refused", S::BAD_GATEWAY, "微信拒绝了请求", "WeChat refused"),
            Self::UpstreamUnreachable => ("upstream_unreachable", S::BAD_GATEWAY, "无法连接微信", "WeChat cannot be reached"),
            Self::UpstreamInvalid => ("upstream_invalid", S::BAD_GATEWAY, "微信的应答无法识别", "WeChat's answer cannot be understood"),
            Self::UpstreamBusy => ("upstream_busy", S::SERVICE_UNAVAILABLE, "暂时无法生成二维码", "No code can be made right now"),
            Self::UpstreamQuota => ("upstream_quota", S::SERVICE_UNAVAILABLE, "微信接口调用次数已用完", "WeChat's quota is used up"),
            Self::AccountBlocked => ("account_blocked", S::SERVICE_UNAVAILABLE, "公众号调用受限", "The account is held back by WeChat"),
            Self::RateLimited => ("rate_limited", S::TOO_MANY_REQUESTS, "请求过于频繁", "Too many new codes for one visitor"),
            Self::BudgetExhausted => ("budget_exhausted", S::TOO_MANY_REQUESTS, "今日的生成次数已用完", "The day's codes are used up"),
            Self::StoreUnavailable => ("store_unavailable", S::SERVICE_UNAVAILABLE, "存储暂不可用", "The store cannot be used"),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, "服务繁忙", "The service has too much to do"),
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
            | Self::RateLimited
            | Self::BudgetExhausted
            | Self::StoreUnavailable
            | Self::Overloaded => true,
            Self::InvalidParameter
            | Self::SceneRefused
            | Self::Unauthorized
            | Self::MintNotAllowed
            | Self::BadSignature
            | Self::LinkExpired
            | Self::NotFromWeChat
            | Self::ForeignRequest
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::PermanentStockExhausted
            | Self::AlreadyRecorded
            | Self::BindingsNeedSafeMode
            | Self::BindingNotScanned
            | Self::BindingClaimed
            | Self::BindingExpired
            | Self::FollowerLeft
            | Self::Internal
            | Self::UpstreamRefused
            | Self::InvalidBody
            | Self::ScopeMissing
            | Self::TooLarge
            | Self::UriTooLong
            | Self::HeadersTooLarge
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
    message: Message,
    pub(crate) parameter: Option<String>,
    pub(crate) errcode: Option<Errcode>,
    pub(crate) retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(code: Code, message: Message) -> Self {
        Self {
            code,
            message,
            parameter: None,
            errcode: None,
            retry_after: None,
        }
    }

    /// A defect of ours. Whoever returns it has logged the cause.
    pub(crate) fn internal() -> Self {
        let message = Message::new(
            "服务出错，原因已记入日志",
            "the service failed; the log has the cause",
        );
        Self::new(Code::Internal, message)
    }

    pub(crate) fn store_unavailable() -> Self {
        let message = Message::new(
            "存储暂时无法使用，请稍后再试",
            "the store cannot be used at the moment",
        );
        Self::new(Code::StoreUnavailable, message).after(STORE_RETRY)
    }

    /// Of a body that had to make room for others.
    pub(crate) fn overloaded() -> Self {
        let message = Message::new(
            "同时收到的请求内容过多，请稍后再试",
            "too many bodies are being received at the same time",
        );
        Self::new(Code::Overloaded, message).after(BODIES_RETRY)
    }

    /// What everybody is told before the store is open.
    pub(crate) fn starting() -> Self {
        let message = Message::new("服务正在启动，请稍后再试", "the service is starting");
        Self::new(Code::StoreUnavailable, message).after(STORE_RETRY)
    }

    /// `message` goes on from the parameter's name: "must be ...".
    pub(crate) fn invalid_parameter(parameter: &str, message: impl Into<Message>) -> Self {
        Self::about(Code::InvalidParameter, parameter, message.into())
    }

    /// The same for a body that is not of the right shape there.
    pub(crate) fn invalid_body(parameter: &str, message: impl Into<Message>) -> Self {
        Self::about(Code::InvalidBody, parameter, message.into())
    }

    /// The same for a value that contradicts what is recorded.
    fn already_recorded(parameter: &str, message: Message) -> Self {
        Self::about(Code::AlreadyRecorded, parameter, message)
    }

    fn about(code: Code, parameter: &str, message: Message) -> Self {
        /// A name can be any stranger's text; the answer repeats no more than this of it.
        const MOST_CHARS: usize = 40;
        let parameter: String = parameter
            .chars()
            .filter(|c| !c.is_control())
            .take(MOST_CHARS)
            .collect();
        Self {
            parameter: Some(parameter),
            ..Self::new(code, message)
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

    /// In whole seconds as `Retry-After` has it: who waits so long is not too early, so it is rounded up, and never zero.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        let rounded_up = |wait: Duration| wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after.map(|wait| rounded_up(wait).max(1))
    }

    /// What happened, for programs.
    fn detail(&self) -> String {
        let message = self.message.text(Lang::En);
        match &self.parameter {
            Some(parameter) => format!("{parameter} {message}"),
            None => message.to_owned(),
        }
    }

    /// The same as people write it.
    pub(crate) fn explanation(&self, lang: Lang) -> String {
        match lang {
            Lang::Zh => self.chinese_sentence(),
            Lang::En => self.english_sentence(),
        }
    }

    fn chinese_sentence(&self) -> String {
        let message = self.message.text(Lang::Zh);
        let stop = if message.ends_with('？') { "" } else { "。" };
        match &self.parameter {
            Some(parameter) => format!("参数 {parameter} {message}{stop}"),
            None => format!("{message}{stop}"),
        }
    }

    /// A parameter's name at its beginning stays as it is.
    fn english_sentence(&self) -> String {
        let detail = self.detail();
        let mut letters = detail.chars();
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
            detail: self.detail(),
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

#[cfg(test)]
mod tests;
