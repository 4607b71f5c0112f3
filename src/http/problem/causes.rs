//! What the errors of the rooms below become: the status of every failure, and what strangers may know of it.

use std::time::Duration;

use super::{Code, Problem};
use crate::access::{Needed, Scope};
use crate::account::{KEY_PROBE_EVERY, Stopped};
use crate::bindings;
use crate::codes::{self, BudgetExhausted, MintError};
use crate::http::i18n::message::Message;
use crate::scene::{Scene, SceneValue};
use crate::store::{self, ImportConflict};
use crate::token;
use crate::wechat::{self, Class, Errcode};

/// How long a caller should wait after WeChat or this service was too busy. Chosen: WeChat's document says only "later".
const BUSY_RETRY: Duration = Duration::from_secs(5);

/// How far apart WeChat lets tokens be renewed by force.
const FORCED_RETRY: Duration = Duration::from_secs(30);

/// How long a caller should wait after a quota ended: until the next probe is due.
const QUOTA_RETRY: Duration = Duration::from_mins(1);

impl From<codes::Error> for Problem {
    fn from(error: codes::Error) -> Self {
        match error {
            codes::Error::MintNotAllowed(needed) => needed.into(),
            codes::Error::RateLimited(limit) => Self::new(
                Code::RateLimited,
                Message::new(
                    "您触发生成的新二维码过多，已有的二维码仍可使用，请稍后再试",
                    "you have caused as many new codes as one visitor may; known codes are still served",
                ),
            )
            .after(limit.retry_after),
            codes::Error::BudgetExhausted(budget) => budget.into(),
            codes::Error::Mint(cause) => (&*cause).into(),
            codes::Error::Timeout => Self::new(
                Code::UpstreamTimeout,
                Message::new(
                    "微信没有及时应答，稍后再试时二维码可能已经生成",
                    "WeChat did not answer in time; the code may be there on the next try",
                ),
            )
            .after(BUSY_RETRY),
            codes::Error::TooMany => Self::crowded(),
            codes::Error::ImportConflict(conflict) => conflict.into(),
            codes::Error::Store(error) => error.into(),
            codes::Error::Lost(_) => Self::internal(),
        }
    }
}

impl From<bindings::Error> for Problem {
    fn from(error: bindings::Error) -> Self {
        let (code, zh, en) = match error {
            bindings::Error::Code(error) => return error.into(),
            bindings::Error::Store(error) => return error.into(),
            bindings::Error::Unknown => (
                Code::NotFound,
                "没有这个绑定，或它早已过期",
                "there is no such binding, or it ended long ago",
            ),
            bindings::Error::NotScanned => (
                Code::BindingNotScanned,
                "请等到状态变为 scanned 再领取",
                "claim it once its status is \"scanned\"",
            ),
            bindings::Error::AlreadyClaimed => (
                Code::BindingClaimed,
                "每个绑定只能领取一次，请新建一个",
                "a binding can be claimed once; make a new one",
            ),
            bindings::Error::Expired => {
                (Code::BindingExpired, "请新建一个绑定", "make a new binding")
            }
            bindings::Error::FollowerLeft => (
                Code::FollowerLeft,
                "其身份已按规定删除，请新建一个绑定",
                "who it was is not known any more; make a new binding",
            ),
        };
        Self::new(code, Message::new(zh, en))
    }
}

impl From<BudgetExhausted> for Problem {
    fn from(budget: BudgetExhausted) -> Self {
        let message = Message::new(
            "访客今天触发生成的新二维码已达上限，已有的二维码仍可使用，请明天再试",
            "visitors have caused as many new codes today as they may; known codes are still served",
        );
        Self::new(Code::BudgetExhausted, message).after(budget.retry_after)
    }
}

impl From<Needed> for Problem {
    fn from(needed: Needed) -> Self {
        let message = match needed {
            Needed::Key(Scope::Permanent) => Message::new(
                "该永久二维码尚未生成，生成它需要具有 permanent 权限的密钥",
                "this permanent code does not exist yet; a key with the scope \"permanent\" can make it",
            ),
            Needed::Key(scope) => Message::new(
                format!("该二维码尚未生成，生成它需要具有 {scope} 权限的密钥"),
                format!(
                    "this code does not exist yet; a key with the scope \"{scope}\" can make it"
                ),
            ),
            Needed::SignedLink => Message::new(
                "该二维码尚未生成，生成它需要已签名的链接",
                "this code does not exist yet; it takes a signed link (sig) to make it",
            ),
        };
        Self::new(Code::MintNotAllowed, message)
    }
}

/// Only a key with the scope `admin` gets here, so the other code may be named.
impl From<ImportConflict> for Problem {
    fn from(conflict: ImportConflict) -> Self {
        match conflict {
            ImportConflict::Ticket(owner) => Self::already_recorded("ticket", owned_by(&owner)),
            ImportConflict::Url(owner) => Self::already_recorded("url", owned_by(&owner)),
            ImportConflict::Scene(known) => {
                let (ticket, url) = (known.ticket.as_str(), known.url.as_str());
                let message = Message::new(
                    format!(
                        "与该场景已登记的二维码不同，已登记的 ticket 为 {ticket}，url 为 {url}"
                    ),
                    format!(
                        "is not that of the code that the scene has: its ticket is {ticket} and its url {url}"
                    ),
                );
                Self::already_recorded("ticket", message)
            }
        }
    }
}

fn owned_by(scene: &Scene) -> Message {
    let (zh, en) = match scene {
        Scene::Permanent(_) => ("永久", "permanent"),
        Scene::Temporary(_) => ("临时", "temporary"),
    };
    let (name, value) = match scene.value() {
        SceneValue::Id(_) => ("scene_id", scene.value()),
        SceneValue::Text(_) => ("scene_str", scene.value()),
    };
    Message::new(
        format!("已属于另一个{zh}二维码（{name} {value}）"),
        format!("belongs to another {en} code, of {name} {value}"),
    )
}

impl From<store::Error> for Problem {
    fn from(_: store::Error) -> Self {
        Self::store_unavailable()
    }
}

impl From<&MintError> for Problem {
    fn from(error: &MintError) -> Self {
        match error {
            MintError::WeChat(error) => error.into(),
            MintError::MinuteLimit(error) => Self::from(error).after(KEY_PROBE_EVERY),
            MintError::Token(cause) => (&**cause).into(),
            MintError::Stopped(stop) => stop.into(),
            MintError::Budget(budget) => (*budget).into(),
            MintError::LedgerFull => Self::new(
                Code::PermanentStockExhausted,
                Message::new(
                    "永久二维码台账已满（WXQR_PERMANENT_LIMIT），请改用临时二维码",
                    "the ledger of permanent codes is full (WXQR_PERMANENT_LIMIT); ask for a temporary one",
                ),
            ),
            MintError::OutcomeUnknown { retry_after } => Self::outcome_unknown(*retry_after),
            MintError::Store(_) | MintError::Unwritten => Self::store_unavailable(),
            MintError::Crowded => Self::crowded(),
            MintError::Paced(exceeded) => Self::paced(exceeded.retry_after),
            MintError::Timeout | MintError::DeadOnArrival | MintError::TokenTimeout => {
                Self::upstream_timeout()
            }
            MintError::Lost(_) => Self::internal(),
        }
    }
}

impl From<&token::Error> for Problem {
    fn from(error: &token::Error) -> Self {
        match error {
            token::Error::WeChat(error) => Self::from_token_call(error),
            token::Error::Stopped(stop) => stop.into(),
            token::Error::Store(_) => Self::store_unavailable(),
            token::Error::ForcedTooOften => Self::new(
                Code::UpstreamBusy,
                Message::new(
                    "微信不接受它自己给出的 access_token，半分钟内可以强制更新",
                    "WeChat refuses the access token that it gives; it can be renewed within half a minute",
                ),
            )
            .after(FORCED_RETRY),
        }
    }
}

impl From<&Stopped> for Problem {
    fn from(stop: &Stopped) -> Self {
        Self::quota(stop.retry_after).caused_by(stop.errcode)
    }
}

impl From<&wechat::Error> for Problem {
    fn from(error: &wechat::Error) -> Self {
        use wechat::Error as E;
        match error {
            E::Refused(refusal) => Self::from_errcode(refusal.errcode),
            E::Unreachable(_) => Self::new(
                Code::UpstreamUnreachable,
                Message::new("连接微信失败", "the connection to WeChat failed"),
            ),
            E::Timeout(_) => Self::upstream_timeout(),
            E::Status(_) | E::Body(_) | E::Invalid(_) => Self::new(
                Code::UpstreamInvalid,
                Message::new(
                    "微信的应答无法识别",
                    "WeChat's answer could not be understood",
                ),
            ),
        }
    }
}

impl Problem {
    /// WeChat has nothing to do with it, but for the caller it is the same.
    pub(in crate::http) fn crowded() -> Self {
        let message = Message::new(
            "本服务正在生成的二维码过多，请稍后再试",
            "this service is making as many codes at once as it can; try again shortly",
        );
        Self::new(Code::UpstreamBusy, message).after(BUSY_RETRY)
    }

    fn paced(retry_after: Duration) -> Self {
        let message = Message::new(
            "访客触发生成新二维码的速度已达本服务的上限，已有的二维码仍可使用，请稍后再试",
            "visitors ask for new codes faster than this service makes them; known codes are still served; try again shortly",
        );
        Self::new(Code::UpstreamBusy, message).after(retry_after)
    }

    fn upstream_timeout() -> Self {
        let message = Message::new("微信没有及时应答", "WeChat did not answer in time");
        Self::new(Code::UpstreamTimeout, message).after(BUSY_RETRY)
    }

    fn quota(retry_after: Duration) -> Self {
        let message = Message::new(
            "微信接口的调用额度已用完，恢复之前暂停调用",
            "calls are stopped until WeChat's quota clears",
        );
        Self::new(Code::UpstreamQuota, message).after(retry_after)
    }

    /// A permanent mint that nobody knows the end of. `retry_after` is none once it was repeated as often as it may be.
    fn outcome_unknown(retry_after: Option<Duration>) -> Self {
        let message = match retry_after {
            Some(_) => Message::new(
                "此前的请求是否已生成该永久二维码尚不确定，请稍后再试",
                "nobody knows yet whether an earlier try made this permanent code; ask again later",
            ),
            None => Message::new(
                "无法确定此前的请求是否已生成该永久二维码，请用 ticket 和 url 登记，或换一个场景值",
                "nobody knows whether earlier tries made this permanent code; record it with ticket and url, or use another scene",
            ),
        };
        Self {
            retry_after,
            ..Self::new(Code::UpstreamTimeout, message)
        }
    }

    pub(super) fn from_errcode(errcode: Errcode) -> Self {
        let problem = match errcode.class() {
            Class::Busy => {
                let message = Message::new("微信系统繁忙，请稍后再试", "WeChat is busy");
                Self::new(Code::UpstreamBusy, message).after(BUSY_RETRY)
            }
            Class::Quota => Self::quota(QUOTA_RETRY),
            Class::StockExhausted => Self::new(
                Code::PermanentStockExhausted,
                Message::new(
                    "该公众号的永久二维码已用完，请改用临时二维码",
                    "the account's permanent codes are used up; ask for a temporary one",
                ),
            ),
            Class::SceneRefused => Self::new(
                Code::SceneRefused,
                Message::new(
                    "请换一个更短或更简单的 scene_str",
                    "WeChat does not take this scene; try a shorter or plainer scene_str",
                ),
            ),
            Class::OurFault => Self::new(
                Code::Internal,
                Message::new(
                    "微信表示本服务的调用有误",
                    "WeChat says that the service called it wrongly",
                ),
            ),
            Class::AccountBlocked => Self::new(
                Code::AccountBlocked,
                Message::new(
                    "微信限制了本服务的调用，须由公众号管理员处理",
                    "WeChat holds this service back; the account's administrator has to act",
                ),
            ),
            Class::TokenDead | Class::Refused => Self::new(
                Code::UpstreamRefused,
                Message::new(
                    "微信拒绝生成二维码，须由公众号管理员处理",
                    "WeChat refused to make the code; the account's administrator has to act",
                ),
            ),
        };
        problem.caused_by(errcode)
    }

    /// On a token call, a refusal of the scene or of the stock is no such thing. Every token call has high priority, so that
    /// the minute limit is probed soon.
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
                    "WeChat refused to give a token",
                );
                Self::new(Code::UpstreamRefused, message).caused_by(refusal.errcode)
            }
            wechat::Error::Refused(refusal) if refusal.errcode == Errcode::MINUTE_LIMIT => {
                Self::from(error).after(KEY_PROBE_EVERY)
            }
            other => other.into(),
        }
    }
}
