//! An action of the person at the phone, such as a scan, and the push that it causes.

use axum::http::StatusCode;

use crate::pages::lang::Lang;
use crate::platform::followers::{FollowerAction, NoEvent};
use crate::push::delivery::Delivery;
use crate::push::event::Event;
use crate::sandbox::Sandbox;

/// The longest openid that is taken.
const MAX_OPENID: usize = 64;

/// An action that was taken, and the outcome of its push.
#[derive(Debug)]
pub(super) struct ActionTaken {
    pub(super) event: Event,
    /// `None` where no callback is configured.
    pub(super) delivery: Option<Delivery>,
}

/// Why no action was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActionError {
    NoEvent(NoEvent),
    UnknownAction,
    InvalidOpenid,
}

impl ActionError {
    /// A scan without following is 409, not 200: a script that awaits an event must see that there
    /// is none. Taking the scan for a follow would push what WeChat pushes only after another
    /// press.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoEvent(NoEvent::NoSuchCode) => StatusCode::NOT_FOUND,
            Self::NoEvent(NoEvent::DoesNotFollow | NoEvent::FollowsAlready) => StatusCode::CONFLICT,
            Self::UnknownAction | Self::InvalidOpenid => StatusCode::BAD_REQUEST,
        }
    }

    pub(super) fn message(self, lang: Lang) -> &'static str {
        match self {
            Self::NoEvent(NoEvent::NoSuchCode) => lang.pick(
                "二维码不存在或已过期，微信不推送任何事件。",
                "There is no such code, or it has expired: WeChat pushes nothing.",
            ),
            Self::NoEvent(NoEvent::DoesNotFollow) => lang.pick(
                "此人尚未关注：扫码后看到的是关注页面，关注之后微信才推送事件（do=follow）。",
                "This person does not follow the account: a scan shows the page to follow, and WeChat pushes nothing until they do (do=follow).",
            ),
            Self::NoEvent(NoEvent::FollowsAlready) => lang.pick(
                "此人已经关注：再次扫码会推送 SCAN 事件（do=scan）。",
                "This person follows already: another scan pushes SCAN (do=scan).",
            ),
            Self::UnknownAction => lang.pick(
                "do 可以是 follow、scan 或 unfollow。",
                "do takes follow, scan or unfollow.",
            ),
            Self::InvalidOpenid => lang.pick(
                "openid 应为 1 至 64 个字符，取自 A-Za-z0-9_-。",
                "openid takes 1 to 64 of A-Za-z0-9_-.",
            ),
        }
    }
}

/// Applies an action and pushes its event. Cancel safe: the push goes on without the caller.
pub(super) async fn take_action(
    sandbox: &Sandbox,
    id: &str,
    act: &str,
    openid: &str,
) -> Result<ActionTaken, ActionError> {
    let act = FollowerAction::from_name(act).ok_or(ActionError::UnknownAction)?;
    if !is_openid(openid) {
        return Err(ActionError::InvalidOpenid);
    }
    let now = sandbox.now();
    let event = sandbox.state().act(id, act, openid, now);
    let event = event.map_err(ActionError::NoEvent)?;
    let delivery = sandbox.push(&event.app_id, &event.event).await.ok();
    Ok(ActionTaken {
        event: event.event,
        delivery,
    })
}

pub(super) fn is_openid(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    (1..=MAX_OPENID).contains(&text.len()) && text.bytes().all(is_plain)
}
