//! The two languages of the pages.

use std::str::FromStr;

use crate::http::i18n::message::Message;
use crate::http::negotiation::format::weighted;

/// A language that the pages are written in. Chinese unless the visitor prefers English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Lang {
    #[default]
    Zh,
    En,
}

impl Lang {
    /// The first of the two in an `Accept-Language` header, by weight.
    pub(crate) fn from_header(accept_language: &str) -> Self {
        let mut best = (Self::Zh, 0.0);
        for (range, weight) in weighted(accept_language) {
            let primary = range.split('-').next().unwrap_or_default();
            let lang = match primary.to_ascii_lowercase().as_str() {
                "zh" => Self::Zh,
                "en" => Self::En,
                _ => continue,
            };
            if weight > best.1 {
                best = (lang, weight);
            }
        }
        best.0
    }

    /// The text in this language. Templates carry both, side by side.
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

impl FromStr for Lang {
    type Err = Message;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "zh" => Ok(Self::Zh),
            "en" => Ok(Self::En),
            _ => Err(Message::new("只能是 zh 或 en", "must be zh or en")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heavier_of_the_two_wins() {
        for (header, want) in [
            ("", Lang::Zh),
            ("en", Lang::En),
            ("en-US,en;q=0.9,zh-CN;q=0.8", Lang::En),
            ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("de,en;q=0.5", Lang::En),
            ("fr", Lang::Zh),
            ("en;q=0", Lang::Zh),
            ("en;q=0.2, zh-Hant;q=0.3", Lang::Zh),
        ] {
            assert_eq!(Lang::from_header(header), want, "header {header:?}");
        }
    }
}
