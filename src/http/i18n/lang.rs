//! The two languages of the pages.

use std::str::FromStr;

/// A language of the pages. Chinese unless the visitor prefers English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Lang {
    #[default]
    Zh,
    En,
}

impl Lang {
    /// Picks the text in this language. Templates hold both, side by side.
    pub(crate) fn pick<'a>(self, zh: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Zh => zh,
            Self::En => en,
        }
    }

    /// The tag for `<html lang>`.
    pub(crate) fn tag(self) -> &'static str {
        self.pick("zh-CN", "en")
    }
}

/// The text is neither `zh` nor `en`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be zh or en")]
pub(crate) struct LangError;

impl FromStr for Lang {
    type Err = LangError;

    fn from_str(text: &str) -> Result<Self, LangError> {
        match text {
            "zh" => Ok(Self::Zh),
            "en" => Ok(Self::En),
            _ => Err(LangError),
        }
    }
}
