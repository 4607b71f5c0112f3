//! What an error says, in both languages of the pages: the words of the edge, and those of the errors from the rooms below,
//! which know one language only.

use std::borrow::Cow;

use qr_image::{
    Colors, ColorsError, Margin, MarginError, PixelSize, PixelSizeError, RenderError, RgbError,
};

use crate::access::ExpiryError;
use crate::http::i18n::lang::Lang;
use crate::scene::{Lifetime, LifetimeError, SceneError, SceneText};
use crate::ticket::TicketError;

/// One sentence in both languages, without its full stop. About a parameter, it goes on from the parameter's name: "must
/// be ...".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    zh: Cow<'static, str>,
    en: Cow<'static, str>,
}

impl Message {
    pub(crate) fn new(zh: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self {
            zh: zh.into(),
            en: en.into(),
        }
    }

    /// The sentence in this language.
    pub(crate) fn text(&self, lang: Lang) -> &str {
        lang.pick(&self.zh, &self.en)
    }

    /// What is wrong with the background, where no other colour is given: the errors speak of the colour.
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

impl From<ExpiryError> for Message {
    fn from(error: ExpiryError) -> Self {
        Self::new("须为 Unix 时间戳（秒），只写数字", error.to_string())
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
            SceneError::UnknownKind => {
                "只能是 QR_SCENE、QR_STR_SCENE、QR_LIMIT_SCENE 或 QR_LIMIT_STR_SCENE".to_owned()
            }
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
        let zh = match error {
            RenderError::TooLong => "的二维码内容超过 2331 字节，无法绘制".to_owned(),
            RenderError::TooSmall { size, min_size } => {
                format!("须不小于 {min_size} 像素，才容得下二维码和这样的留白，现为 {size}")
            }
        };
        Self::new(zh, error.to_string())
    }
}

impl From<TicketError> for Message {
    fn from(error: TicketError) -> Self {
        let zh = format!("须为 1 至 {} 个可见的 ASCII 字符", error.max);
        Self::new(zh, error.to_string())
    }
}
