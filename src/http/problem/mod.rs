//! Every error that leaves the service (RFC 9457).
//!
//! Handlers return a [`Problem`]; `middleware::render_problems` renders it as JSON, as a page or as
//! one line of HTML. `error_code` has the table of names and statuses, `causes` has one `match` for
//! each room's error.

mod causes;
mod document;
mod error_code;

use std::time::Duration;

use axum::http::header;
use axum::response::{IntoResponse, Response};

pub(crate) use self::document::Document;
pub(crate) use self::error_code::ErrorCode;
use wechat::Errcode;

use crate::http::i18n::lang::Lang;
use crate::http::i18n::message::Message;

/// `Retry-After` while the database is down: the service checks it every second. Chosen.
const STORE_RETRY: Duration = Duration::from_secs(5);

/// `Retry-After` while bodies use up their byte budget: each arrives or ends within seconds.
/// Chosen.
const BODIES_RETRY: Duration = Duration::from_secs(5);

/// An error for the caller. It holds no secret and no internal cause.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) code: ErrorCode,
    message: Message,
    pub(crate) parameter: Option<String>,
    pub(crate) errcode: Option<Errcode>,
    pub(crate) retry_after: Option<Duration>,
}

impl Problem {
    pub(crate) fn new(code: ErrorCode, message: impl Into<Message>) -> Self {
        Self {
            code,
            message: message.into(),
            parameter: None,
            errcode: None,
            retry_after: None,
        }
    }

    /// A defect of this service. The code that returns it has logged the cause.
    pub(crate) fn internal() -> Self {
        let message = Message::new(
            "服务出错，原因已记入日志",
            "the service failed; the log has the cause",
        );
        Self::new(ErrorCode::Internal, message)
    }

    pub(crate) fn store_unavailable() -> Self {
        let message = Message::new(
            "存储暂时无法使用，请稍后再试",
            "the database cannot be used at the moment",
        );
        Self::new(ErrorCode::StoreUnavailable, message).after(STORE_RETRY)
    }

    /// The problem of a body that was evicted to make room for others.
    pub(crate) fn overloaded() -> Self {
        let message = "too many bodies are being received at the same time";
        Self::new(ErrorCode::Overloaded, message).after(BODIES_RETRY)
    }

    /// The problem of a job for which no permit was free in time.
    pub(crate) fn busy() -> Self {
        let message = "too many files are being read or written at the same time";
        Self::new(ErrorCode::Overloaded, message).after(BODIES_RETRY)
    }

    /// The answer to every request before the database is open.
    pub(crate) fn starting() -> Self {
        let message = Message::new("服务正在启动，请稍后再试", "the service is starting");
        Self::new(ErrorCode::StoreUnavailable, message).after(STORE_RETRY)
    }

    pub(crate) fn not_found() -> Self {
        let message = Message::new(
            "该网址下没有内容，请检查链接是否完整",
            "there is nothing at this path",
        );
        Self::new(ErrorCode::NotFound, message)
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = Message::new(
            "响应头 Allow 列出了该网址支持的方法",
            "the Allow header names the methods of this path",
        );
        Self::new(ErrorCode::MethodNotAllowed, message)
    }

    /// `message` continues the parameter's name: "must be ...".
    pub(crate) fn invalid_parameter(parameter: &str, message: impl Into<Message>) -> Self {
        Self::about(ErrorCode::InvalidParameter, parameter, message.into())
    }

    /// Like [`Self::invalid_parameter`], for a body of the wrong shape.
    pub(crate) fn invalid_body(parameter: &str, message: impl Into<Message>) -> Self {
        Self::about(ErrorCode::InvalidBody, parameter, message.into())
    }

    /// Like [`Self::invalid_parameter`], for a value that contradicts what is recorded.
    fn already_recorded(parameter: &str, message: impl Into<Message>) -> Self {
        Self::about(ErrorCode::AlreadyRecorded, parameter, message.into())
    }

    fn about(code: ErrorCode, parameter: &str, message: Message) -> Self {
        /// A name can be any text that a client chose; the answer repeats no more of it. Chosen.
        const MAX_CHARS: usize = 40;
        let parameter: String = parameter
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_CHARS)
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

    /// `Retry-After` in whole seconds, rounded up so that a client that waits is not too early, and
    /// never zero.
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        let rounded_up = |wait: Duration| wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.retry_after.map(|wait| rounded_up(wait).max(1))
    }

    /// The `detail` of the document, in English.
    fn detail(&self) -> String {
        let message = self.message.text(Lang::En);
        match &self.parameter {
            Some(parameter) => format!("{parameter} {message}"),
            None => message.to_owned(),
        }
    }

    /// The detail as a sentence.
    pub(crate) fn explanation(&self, lang: Lang) -> String {
        match lang {
            Lang::Zh if self.message.has_chinese() => self.chinese_sentence(),
            Lang::Zh | Lang::En => self.english_sentence(),
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

    /// Capitalises the first letter, except of a parameter's name.
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

/// Hands the problem to the layer that writes it out.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.retry_after_seconds() {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if self.code == ErrorCode::Unauthorized {
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
