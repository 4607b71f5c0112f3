//! What can go wrong, as callers see it: names, statuses and titles in one table.

use axum::http::StatusCode;

use crate::http::i18n::lang::Lang;

/// The kind of an error. Callers test its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorCode {
    InvalidParameter,
    InvalidBody,
    SceneRefused,
    Unauthorized,
    MintNotAllowed,
    NotMintedForPrefetch,
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

/// A short text in English and, where a page can show it, in Chinese.
type Title = (&'static str, Option<&'static str>);

const fn both(english: &'static str, chinese: &'static str) -> Title {
    (english, Some(chinese))
}

/// A title in English only, of an error that no page shows: below `/api` and at `/callback`, the
/// answer is JSON whatever the caller accepts.
const fn only(english: &'static str) -> Title {
    (english, None)
}

impl ErrorCode {
    /// A row of the table: name, status, title.
    #[rustfmt::skip]
    const fn row(self) -> (&'static str, StatusCode, Title) {
        use StatusCode as S;
        match self {
            Self::InvalidParameter => ("invalid_parameter", S::BAD_REQUEST, both("A parameter is not valid", "参数有误")),
            Self::InvalidBody => ("invalid_body", S::BAD_REQUEST, only("The body is not valid")),
            Self::SceneRefused => ("scene_refused", S::BAD_REQUEST, both("WeChat refuses this scene", "微信不接受该场景值")),
            Self::Unauthorized => ("unauthorized", S::UNAUTHORIZED, both("A valid key is needed", "需要有效的密钥")),
            Self::MintNotAllowed => ("mint_not_allowed", S::FORBIDDEN, both("You may not create this code", "无权生成该二维码")),
            Self::NotMintedForPrefetch => ("not_minted_for_prefetch", S::SERVICE_UNAVAILABLE, both("No code is created ahead of a visit", "预取时不生成二维码")),
            Self::BadSignature => ("bad_signature", S::FORBIDDEN, both("The link's signature is not valid", "链接签名无效")),
            Self::LinkExpired => ("link_expired", S::FORBIDDEN, both("The link has expired", "链接已过期")),
            Self::NotFromWeChat => ("not_from_wechat", S::FORBIDDEN, only("The push is refused")),
            Self::ForeignRequest => ("foreign_request", S::FORBIDDEN, both("The request is refused", "请求被拒绝")),
            Self::ScopeMissing => ("scope_missing", S::FORBIDDEN, only("The key lacks a scope")),
            Self::NotFound => ("not_found", S::NOT_FOUND, both("There is nothing here", "页面不存在")),
            Self::MethodNotAllowed => ("method_not_allowed", S::METHOD_NOT_ALLOWED, both("The method is not allowed here", "不支持该请求方法")),
            Self::PermanentStockExhausted => ("permanent_stock_exhausted", S::CONFLICT, both("The permanent codes are used up", "永久二维码数量已用完")),
            Self::AlreadyRecorded => ("already_recorded", S::CONFLICT, only("Something else is recorded")),
            Self::BindingsNeedSafeMode => ("bindings_need_safe_mode", S::CONFLICT, only("Bindings need the safe mode")),
            Self::BindingNotScanned => ("binding_not_scanned", S::CONFLICT, only("The code has not been scanned yet")),
            Self::BindingClaimed => ("binding_claimed", S::CONFLICT, only("The binding was claimed before")),
            Self::BindingExpired => ("binding_expired", S::GONE, only("The binding has expired")),
            Self::FollowerLeft => ("follower_left", S::GONE, only("The follower has left the account")),
            Self::TooLarge => ("too_large", S::PAYLOAD_TOO_LARGE, only("The body is too large")),
            Self::UriTooLong => ("uri_too_long", S::URI_TOO_LONG, both("The address is too long", "链接过长")),
            Self::HeadersTooLarge => ("headers_too_large", S::REQUEST_HEADER_FIELDS_TOO_LARGE, both("The headers are too large", "请求头过大")),
            Self::Internal => ("internal", S::INTERNAL_SERVER_ERROR, both("The service failed", "服务内部错误")),
            Self::UpstreamRefused => ("upstream_refused", S::BAD_GATEWAY, both("WeChat refused", "微信拒绝了请求")),
            Self::UpstreamUnreachable => ("upstream_unreachable", S::BAD_GATEWAY, both("WeChat cannot be reached", "无法连接微信")),
            Self::UpstreamInvalid => ("upstream_invalid", S::BAD_GATEWAY, both("WeChat's answer cannot be understood", "微信的应答无法识别")),
            Self::UpstreamBusy => ("upstream_busy", S::SERVICE_UNAVAILABLE, both("No code can be created right now", "暂时无法生成二维码")),
            Self::UpstreamQuota => ("upstream_quota", S::SERVICE_UNAVAILABLE, both("WeChat's quota is used up", "微信接口调用次数已用完")),
            Self::AccountBlocked => ("account_blocked", S::SERVICE_UNAVAILABLE, both("WeChat blocks the account", "公众号调用受限")),
            Self::RateLimited => ("rate_limited", S::TOO_MANY_REQUESTS, both("Too many new codes for one visitor", "请求过于频繁")),
            Self::BudgetExhausted => ("budget_exhausted", S::TOO_MANY_REQUESTS, both("The day's codes are used up", "今日的生成次数已用完")),
            Self::StoreUnavailable => ("store_unavailable", S::SERVICE_UNAVAILABLE, both("The database cannot be used", "存储暂不可用")),
            Self::Overloaded => ("overloaded", S::SERVICE_UNAVAILABLE, only("The service is overloaded")),
            Self::UpstreamTimeout => ("upstream_timeout", S::GATEWAY_TIMEOUT, both("WeChat does not answer in time", "微信应答超时")),
        }
    }

    /// The name in the document's `code` and `type`.
    pub(crate) fn as_str(self) -> &'static str {
        self.row().0
    }

    pub(crate) fn status(self) -> StatusCode {
        self.row().1
    }

    /// Whether the same request may succeed later by itself.
    pub(crate) fn is_transient(self) -> bool {
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
            | Self::NotMintedForPrefetch
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
        let (english, chinese) = self.row().2;
        lang.pick(chinese.unwrap_or(english), english)
    }
}
