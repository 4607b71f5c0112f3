//! The language of a page, Chinese or English.

use axum::http::{HeaderMap, header};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lang {
    Zh,
    En,
}

impl Lang {
    /// Negotiates the language: `?lang=zh|en` wins over `Accept-Language`; Chinese unless English
    /// is preferred.
    pub(crate) fn negotiate(query: &str, headers: &HeaderMap) -> Self {
        let asked = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("lang="))
            .and_then(Self::from_tag);
        asked.unwrap_or_else(|| {
            let header = headers.get(header::ACCEPT_LANGUAGE);
            Self::accepted(
                header
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default(),
            )
        })
    }

    /// The one with the highest weight; among equals the one named first.
    fn accepted(header: &str) -> Self {
        let mut best = (0.0, Self::Zh);
        for range in header.split(',') {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            let weight = parameters
                .trim()
                .strip_prefix("q=")
                .map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0));
            if let Some(lang) = Self::from_tag(tag.trim())
                && weight > best.0
            {
                best = (weight, lang);
            }
        }
        best.1
    }

    fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        [Self::Zh, Self::En]
            .into_iter()
            .find(|lang| primary.eq_ignore_ascii_case(lang.primary()))
    }

    /// The language as `?lang=` takes it.
    pub(crate) fn primary(self) -> &'static str {
        match self {
            Self::Zh => "zh",
            Self::En => "en",
        }
    }

    pub(crate) fn is_zh(self) -> bool {
        self == Self::Zh
    }

    /// The text in this language.
    pub(crate) fn pick(self, zh: &'static str, en: &'static str) -> &'static str {
        if self.is_zh() { zh } else { en }
    }

    /// The language as `<html lang>` takes it.
    pub(crate) fn html(self) -> &'static str {
        match self {
            Self::Zh => "zh-CN",
            Self::En => "en",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn language_negotiation_prefers_the_query_then_accept_language() {
        for (query, header, want) in [
            ("", "", Lang::Zh),
            ("", "zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
            ("", "en-US,en;q=0.9,zh;q=0.8", Lang::En),
            ("", "fr, EN;q=0.5, zh;q=0.1", Lang::En),
            ("", "en;q=0, fr", Lang::Zh),
            ("", "en;q=nan, *;;;", Lang::Zh),
            ("lang=en", "zh", Lang::En),
            ("x=1&lang=zh", "en", Lang::Zh),
            ("lang=fr", "en", Lang::En),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, header.parse().unwrap());
            assert_eq!(
                Lang::negotiate(query, &headers),
                want,
                "{query:?}, {header:?}"
            );
        }
    }
}
