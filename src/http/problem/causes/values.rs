//! Why a parameter's value is refused: the rooms' errors know English only.

use qr_image::{
    Colors, ColorsError, Margin, MarginError, PixelSize, PixelSizeError, RenderError, RgbError,
};
use wechat::push::ReplyError;
use wechat::scene::{Lifetime, LifetimeError, SceneError, SceneText};
use wechat::ticket::TicketError;

use crate::access::LinkExpiryError;
use crate::http::i18n::lang::LangError;
use crate::http::i18n::message::Message;
use crate::http::negotiation::format::FormatError;
use crate::http::problem::Problem;
use crate::http::scene_params::SceneParamsError;

impl From<LinkExpiryError> for Message {
    fn from(error: LinkExpiryError) -> Self {
        Self::new("须为 Unix 时间戳（秒），只写数字", error.to_string())
    }
}

impl From<SceneParamsError> for Problem {
    fn from(error: SceneParamsError) -> Self {
        Self::invalid_parameter(error.parameter(), error)
    }
}

impl From<SceneParamsError> for Message {
    fn from(error: SceneParamsError) -> Self {
        let zh = match &error {
            SceneParamsError::SceneId(cause) | SceneParamsError::SceneStr(cause) => {
                return cause.clone().into();
            }
            SceneParamsError::ExpireSeconds(cause) => return (*cause).into(),
            SceneParamsError::TwoScenes => "不能与 scene_id 同时使用",
            SceneParamsError::NoScene => {
                let zh = format!(
                    "缺失：请给出 scene_id（整数）或 scene_str（1 至 {} 个字符）",
                    SceneText::MAX_CHARS
                );
                return Self::new(zh, error.to_string());
            }
            SceneParamsError::Permanent => "只能是 true 或 false",
            SceneParamsError::PermanentExpires => "仅用于临时二维码，永久二维码不会过期",
        };
        Self::new(zh, error.to_string())
    }
}

impl From<SceneError> for Message {
    fn from(error: SceneError) -> Self {
        let zh = match &error {
            SceneError::NotANumber { max } => {
                format!("须为 1 至 {max} 的整数，只写数字；文本场景值请改用 scene_str")
            }
            SceneError::LeadingZero { max } => {
                format!("须为 1 至 {max} 的整数，不以 0 开头；如需保留前导零，请改用 scene_str")
            }
            SceneError::OutOfRange { max } => format!("须为 1 至 {max} 的整数"),
            SceneError::Length { got } => {
                format!("须为 1 至 {} 个字符，现有 {got} 个", SceneText::MAX_CHARS)
            }
            SceneError::ControlCharacter => "不能含有换行、制表符等控制字符".to_owned(),
            // No parameter is a kind.
            SceneError::UnknownKind => return error.to_string().into(),
            SceneError::Reserved => format!(
                "不能以“{}”开头，这样的场景值由本服务自用",
                SceneText::RESERVED_PREFIX
            ),
        };
        Self::new(zh, error.to_string())
    }
}

impl From<LifetimeError> for Message {
    fn from(error: LifetimeError) -> Self {
        let zh = format!(
            "须为 1 至 {} 的整数，单位为秒（最长 30 天）",
            Lifetime::MAX_SECONDS
        );
        Self::new(zh, error.to_string())
    }
}

impl From<PixelSizeError> for Message {
    fn from(error: PixelSizeError) -> Self {
        let (least, most) = (PixelSize::MIN, PixelSize::MAX);
        let zh = format!("须为 {least} 至 {most} 的整数，单位为像素");
        Self::new(zh, error.to_string())
    }
}

impl From<MarginError> for Message {
    fn from(error: MarginError) -> Self {
        let zh = format!("须为 0 至 {} 的整数，单位为模块", Margin::MAX);
        Self::new(zh, error.to_string())
    }
}

impl From<RgbError> for Message {
    fn from(error: RgbError) -> Self {
        let zh = "须为 3 或 6 位十六进制颜色值，不带 #，例如 07c160";
        Self::new(zh, error.to_string())
    }
}

impl From<ColorsError> for Message {
    fn from(error: ColorsError) -> Self {
        let zh = match error {
            ColorsError::Inverted { color, background } => {
                format!("须比背景色深，而 {color} 比 {background} 浅")
            }
            ColorsError::TooClose { color, background } => format!(
                "与背景色的对比度须不低于 {}:1，{color} 与 {background} 达不到",
                Colors::MIN_CONTRAST
            ),
        };
        Self::new(zh, error.to_string())
    }
}

impl From<RenderError> for Message {
    fn from(error: RenderError) -> Self {
        match error {
            // Only a picture is too long to draw, and errors of pictures are JSON.
            RenderError::TooLong => error.to_string().into(),
            RenderError::TooSmall { size, min_size } => {
                let zh =
                    format!("须不小于 {min_size} 像素，才容得下二维码和这样的留白，现为 {size}");
                Self::new(zh, error.to_string())
            }
        }
    }
}

impl From<LangError> for Message {
    fn from(error: LangError) -> Self {
        Self::new("只能是 zh 或 en", error.to_string())
    }
}

impl From<FormatError> for Message {
    fn from(error: FormatError) -> Self {
        Self::new("只能是 html、json、png、svg 或 jpg", error.to_string())
    }
}

impl From<ReplyError> for Message {
    fn from(error: ReplyError) -> Self {
        let zh = match error {
            ReplyError::Empty => "不能为空".to_owned(),
            ReplyError::TooManyCharacters { most } => format!("不得超过 {most} 个字符"),
            ReplyError::TooManyBytes { most } => {
                format!("不得超过 {most} 个字节（UTF-8，一个汉字占 3 个，一个表情占 4 个以上）")
            }
            ReplyError::ControlCharacter => "含有控制字符".to_owned(),
            ReplyError::NotAWebUrl => "须为以 https:// 或 http:// 开头的完整网址".to_owned(),
        };
        Self::new(zh, error.to_string())
    }
}

/// Only `/api` reads tickets.
impl From<TicketError> for Message {
    fn from(error: TicketError) -> Self {
        error.to_string().into()
    }
}

impl Message {
    /// Blames the background instead of the colour, for a query that gives no colour.
    pub(crate) fn of_background(error: ColorsError) -> Self {
        match error {
            ColorsError::Inverted { color, background } => Self::new(
                format!("须比前景色浅，而 {background} 比 {color} 深"),
                format!("must be lighter than the colour, but {background} is darker than {color}"),
            ),
            ColorsError::TooClose { color, background } => Self::new(
                format!(
                    "与前景色的对比度须不低于 {}:1，{background} 与 {color} 达不到",
                    Colors::MIN_CONTRAST
                ),
                format!(
                    "must have a contrast of at least {}:1 to the colour, more than {color} on {background} has",
                    Colors::MIN_CONTRAST
                ),
            ),
        }
    }
}
