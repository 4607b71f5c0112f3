//! The language that `Accept-Language` prefers.

use crate::http::i18n::lang::Lang;
use crate::http::negotiation::weighted::weighted;

/// The language with the higher weight in an `Accept-Language` header.
pub(super) fn preferred(accept_language: &str) -> Lang {
    let mut best = (Lang::Zh, 0.0);
    for (range, weight) in weighted(accept_language) {
        let primary = range.split('-').next().unwrap_or_default();
        let lang = match primary.to_ascii_lowercase().as_str() {
            "zh" => Lang::Zh,
            "en" => Lang::En,
            _ => continue,
        };
        if weight > best.1 {
            best = (lang, weight);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_weight_in_accept_language_wins() {
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
            assert_eq!(preferred(header), want, "header {header:?}");
        }
    }
}
