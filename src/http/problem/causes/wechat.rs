//! Errors of calls to WeChat: of the client, the access token and the circuit breaker.

use std::time::Duration;

use wechat::{Class, Errcode};

use crate::codes::{
    BreakerOpen, FORCED_APART, HIGH_PRIORITY_PROBE_INTERVAL, PROBE_INTERVAL, TokenError,
};
use crate::http::i18n::message::Message;
use crate::http::problem::Problem;
use crate::http::problem::causes::BUSY_RETRY;
use crate::http::problem::error_code::ErrorCode;

impl From<&TokenError> for Problem {
    fn from(error: &TokenError) -> Self {
        match error {
            TokenError::WeChat(error) => Self::from_token_call(error),
            TokenError::CircuitOpen(stop) => stop.into(),
            TokenError::Database(_) => Self::store_unavailable(),
            TokenError::ForcedTooOften => Self::new(
                ErrorCode::UpstreamBusy,
                Message::new(
                    "微信不接受它自己给出的 access_token，半分钟内可以强制更新",
                    "WeChat refuses the access token that it has just issued; it can be renewed within half a minute",
                ),
            )
            .after(FORCED_APART),
            TokenError::TaskAborted(_) => Self::internal(),
        }
    }
}

impl From<&BreakerOpen> for Problem {
    fn from(stop: &BreakerOpen) -> Self {
        Self::quota(stop.retry_after).caused_by(stop.errcode)
    }
}

impl From<&wechat::Error> for Problem {
    fn from(error: &wechat::Error) -> Self {
        use wechat::Error as E;
        match error {
            E::Refused(refusal) => Self::from_errcode(refusal.errcode),
            E::Unreachable(_) => Self::new(
                ErrorCode::UpstreamUnreachable,
                Message::new("连接微信失败", "the connection to WeChat failed"),
            ),
            E::Timeout(_) => Self::upstream_timeout(),
            E::Status(_) | E::Body(_) | E::TooLong | E::Invalid(_) => Self::new(
                ErrorCode::UpstreamInvalid,
                Message::new(
                    "微信的应答无法识别",
                    "WeChat's answer could not be understood",
                ),
            ),
        }
    }
}

impl Problem {
    pub(super) fn upstream_timeout() -> Self {
        let message = Message::new("微信没有及时应答", "WeChat did not answer in time");
        Self::new(ErrorCode::UpstreamTimeout, message).after(BUSY_RETRY)
    }

    fn quota(retry_after: Duration) -> Self {
        let message = Message::new(
            "微信接口的调用额度已用完，恢复之前暂停调用",
            "calls are stopped until WeChat's quota clears",
        );
        Self::new(ErrorCode::UpstreamQuota, message).after(retry_after)
    }

    pub(in crate::http::problem) fn from_errcode(errcode: Errcode) -> Self {
        let problem = match errcode.class() {
            Class::Busy => {
                let message = Message::new("微信系统繁忙，请稍后再试", "WeChat is busy");
                Self::new(ErrorCode::UpstreamBusy, message).after(BUSY_RETRY)
            }
            Class::Quota => Self::quota(PROBE_INTERVAL),
            Class::StockExhausted => Self::new(
                ErrorCode::PermanentStockExhausted,
                Message::new(
                    "该公众号的永久二维码已用完，请改用临时二维码",
                    "the account's permanent codes are used up; ask for a temporary one",
                ),
            ),
            Class::SceneRefused => Self::new(
                ErrorCode::SceneRefused,
                Message::new(
                    "请换一个更短或更简单的 scene_str",
                    "WeChat refuses this scene; try a shorter or plainer scene_str",
                ),
            ),
            Class::OurFault => Self::new(
                ErrorCode::Internal,
                Message::new(
                    "微信表示本服务的调用有误",
                    "WeChat rejects the request of this service as malformed",
                ),
            ),
            Class::AccountBlocked => Self::new(
                ErrorCode::AccountBlocked,
                Message::new(
                    "微信限制了本服务的调用，须由公众号管理员处理",
                    "WeChat blocks this service; the account's administrator has to act",
                ),
            ),
            Class::TokenInvalid | Class::Refused => Self::new(
                ErrorCode::UpstreamRefused,
                Message::new(
                    "微信拒绝生成二维码，须由公众号管理员处理",
                    "WeChat refused to create the code; the account's administrator has to act",
                ),
            ),
        };
        problem.caused_by(errcode)
    }

    /// Converts an error of a token call. It carries no scene, so errcodes about scenes and the
    /// stock mean a refusal of the token too. It has high priority, so that the minute limit is
    /// probed soon.
    fn from_token_call(error: &wechat::Error) -> Self {
        match error {
            wechat::Error::Refused(refusal)
                if matches!(
                    refusal.errcode.class(),
                    Class::SceneRefused | Class::StockExhausted
                ) =>
            {
                let message = Message::new(
                    "微信拒绝提供 access_token",
                    "WeChat refused to issue a token",
                );
                Self::new(ErrorCode::UpstreamRefused, message).caused_by(refusal.errcode)
            }
            wechat::Error::Refused(refusal) if refusal.errcode == Errcode::MINUTE_LIMIT => {
                Self::from(error).after(HIGH_PRIORITY_PROBE_INTERVAL)
            }
            other => other.into(),
        }
    }
}
