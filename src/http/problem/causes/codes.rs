//! Errors of `codes`.

use std::time::Duration;

use wechat::scene::Scene;

use crate::codes::HIGH_PRIORITY_PROBE_INTERVAL;
use crate::codes::{self, BudgetExhausted, ImportConflict, MintError};
use crate::http::i18n::message::Message;
use crate::http::problem::Problem;
use crate::http::problem::causes::BUSY_RETRY;
use crate::http::problem::error_code::ErrorCode;

impl From<codes::Error> for Problem {
    fn from(error: codes::Error) -> Self {
        match error {
            codes::Error::MintNotAllowed(needed) => needed.into(),
            codes::Error::RateLimited(limit) => Self::new(
                ErrorCode::RateLimited,
                Message::new(
                    "您触发生成的新二维码过多，已有的二维码仍可使用，请稍后再试",
                    "you have created as many new codes as one visitor may; known codes are still served",
                ),
            )
            .after(limit.retry_after),
            codes::Error::BudgetExhausted(budget) => budget.into(),
            codes::Error::Mint(cause) => (&*cause).into(),
            codes::Error::Timeout => Self::new(
                ErrorCode::UpstreamTimeout,
                Message::new(
                    "微信没有及时应答，稍后再试时二维码可能已经生成",
                    "WeChat did not answer in time; the code may be there on the next try",
                ),
            )
            .after(BUSY_RETRY),
            codes::Error::TooMany => Self::crowded(),
            codes::Error::ImportConflict(conflict) => conflict.into(),
            codes::Error::Database(error) => error.into(),
        }
    }
}

impl From<&MintError> for Problem {
    fn from(error: &MintError) -> Self {
        match error {
            MintError::WeChat(error) => error.into(),
            MintError::MinuteLimit(error) => Self::from(error).after(HIGH_PRIORITY_PROBE_INTERVAL),
            MintError::Token(cause) => (&**cause).into(),
            MintError::CircuitOpen(stop) => stop.into(),
            MintError::Budget(budget) => (*budget).into(),
            MintError::LedgerFull => Self::new(
                ErrorCode::PermanentStockExhausted,
                Message::new(
                    "永久二维码台账已满（WXQR_PERMANENT_LIMIT），请改用临时二维码",
                    "the ledger of permanent codes is full (WXQR_PERMANENT_LIMIT); ask for a temporary one",
                ),
            ),
            MintError::OutcomeUnknown { retry_after } => Self::outcome_unknown(*retry_after),
            MintError::Database(_) | MintError::Unwritten => Self::store_unavailable(),
            MintError::NoPermit => Self::crowded(),
            MintError::Paced(exceeded) => Self::paced(exceeded.retry_after),
            MintError::Timeout | MintError::ExpiredOnArrival | MintError::TokenTimeout => {
                Self::upstream_timeout()
            }
            MintError::TaskAborted(_) => Self::internal(),
        }
    }
}

impl From<BudgetExhausted> for Problem {
    fn from(budget: BudgetExhausted) -> Self {
        let message = Message::new(
            "访客今天触发生成的新二维码已达上限，已有的二维码仍可使用，请明天再试",
            "visitors have used up today's budget of new codes; known codes are still served",
        );
        Self::new(ErrorCode::BudgetExhausted, message).after(budget.retry_after)
    }
}

impl Problem {
    /// The problem of too many mints at once here: for the caller the same as when WeChat is busy.
    pub(super) fn crowded() -> Self {
        let message = Message::new(
            "本服务正在生成的二维码过多，请稍后再试",
            "too many codes are being created at once; try again shortly",
        );
        Self::new(ErrorCode::UpstreamBusy, message).after(BUSY_RETRY)
    }

    fn paced(retry_after: Duration) -> Self {
        let message = Message::new(
            "访客触发生成新二维码的速度已达本服务的上限，已有的二维码仍可使用，请稍后再试",
            "visitors ask for new codes faster than the service may create them; known codes are still served; try again shortly",
        );
        Self::new(ErrorCode::UpstreamBusy, message).after(retry_after)
    }

    /// A permanent mint of unknown outcome. `retry_after` is none once its retries are used up.
    fn outcome_unknown(retry_after: Option<Duration>) -> Self {
        let message = match retry_after {
            Some(_) => Message::new(
                "此前的请求是否已生成该永久二维码尚不确定，请稍后再试",
                "it is not known yet whether an earlier try created this permanent code; try again later",
            ),
            None => Message::new(
                "无法确定此前的请求是否已生成该永久二维码，请用 ticket 和 url 登记，或换一个场景值",
                "it is not known whether earlier tries created this permanent code; record it with ticket and url, or use another scene",
            ),
        };
        Self {
            retry_after,
            ..Self::new(ErrorCode::UpstreamTimeout, message)
        }
    }
}

/// Only a key with the scope `admin` can cause one, so the other code may be named.
impl From<ImportConflict> for Problem {
    fn from(conflict: ImportConflict) -> Self {
        match conflict {
            ImportConflict::Ticket(owner) => Self::already_recorded("ticket", owned_by(&owner)),
            ImportConflict::Url(owner) => Self::already_recorded("url", owned_by(&owner)),
            ImportConflict::Scene(known) => {
                let (ticket, url) = (known.ticket.as_str(), known.url.as_str());
                let message = format!(
                    "is not that of the code that the scene has: its ticket is {ticket} and its url {url}"
                );
                Self::already_recorded("ticket", message)
            }
        }
    }
}

fn owned_by(scene: &Scene) -> String {
    let kind = match scene {
        Scene::Permanent(_) => "permanent",
        Scene::Temporary(_) => "temporary",
    };
    let value = scene.value();
    format!(
        "belongs to another {kind} code, of {} {value}",
        value.field()
    )
}
