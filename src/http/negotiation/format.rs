//! The representations of a code, and the one that `Accept` prefers.

use std::str::FromStr;

use crate::http::negotiation::weighted::weighted;

/// A representation of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Format {
    Html,
    Json,
    Png,
    Svg,
    /// WeChat's own picture, by redirect.
    Jpg,
}

impl Format {
    /// The representations that `Accept` can choose; the first wins a draw.
    const NEGOTIABLE: [Self; 4] = [Self::Html, Self::Json, Self::Png, Self::Svg];

    fn media_type(self) -> (&'static str, &'static str) {
        match self {
            Self::Html => ("text", "html"),
            Self::Json => ("application", "json"),
            Self::Png => ("image", "png"),
            Self::Svg => ("image", "svg+xml"),
            Self::Jpg => ("image", "jpeg"),
        }
    }

    /// The file name extension.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Json => "json",
            Self::Png => "png",
            Self::Svg => "svg",
            Self::Jpg => "jpg",
        }
    }

    /// The representation with the highest weight in an `Accept` header (RFC 9110, 12.5.1).
    ///
    /// Where only `*/*` or nothing matches, it is a picture if the header names picture types and
    /// no page, as browsers do for an `<img>` (`image/avif,image/webp,*/*`); else HTML.
    pub(crate) fn from_accept(accept: &str) -> Self {
        let ranges: Vec<(&str, f32)> = weighted(accept).collect();
        let mut best = (Self::Html, Match::default());
        for format in Self::NEGOTIABLE {
            let matched = format.matched(&ranges);
            if matched.weight > best.1.weight {
                best = (format, matched);
            }
        }
        let (format, matched) = best;
        if matched.specificity <= Match::ANY && names_pictures_only(&ranges) {
            let is_allowed = |format: &Self| !format.matched(&ranges).is_refused();
            let picture = [Self::Png, Self::Svg].into_iter().find(is_allowed);
            return picture.unwrap_or(format);
        }
        format
    }

    /// The most specific range that covers this type.
    fn matched(self, ranges: &[(&str, f32)]) -> Match {
        let (kind, subtype) = self.media_type();
        let specificity = |range: &str| match range.split_once('/') {
            Some((k, s)) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 3,
            Some((k, "*")) if k.eq_ignore_ascii_case(kind) => 2,
            Some(("*", "*")) => Match::ANY,
            _ => 0,
        };
        let rated = ranges.iter().map(|&(range, weight)| Match {
            specificity: specificity(range),
            weight,
        });
        rated
            .filter(|matched| matched.specificity > 0)
            .max_by_key(|matched| matched.specificity)
            .unwrap_or_default()
    }
}

/// How an `Accept` header covers a type. By default it does not.
#[derive(Debug, Clone, Copy, Default)]
struct Match {
    /// 3 for the type itself, 2 for `type/*`, [`Self::ANY`] for `*/*`, 0 where no range covers it.
    specificity: u8,
    weight: f32,
}

impl Match {
    const ANY: u8 = 1;

    fn is_refused(self) -> bool {
        self.specificity > 0 && self.weight <= 0.0
    }
}

/// Whether the ranges name a picture type and no type of a page. Weight 0 does not count.
fn names_pictures_only(ranges: &[(&str, f32)]) -> bool {
    const PAGES: [&str; 3] = ["text/html", "text/*", "application/xhtml+xml"];
    let named = |(range, weight): &(&str, f32)| (*weight > 0.0).then(|| range.to_ascii_lowercase());
    let named: Vec<String> = ranges.iter().filter_map(named).collect();
    named.iter().any(|range| range.starts_with("image/"))
        && !named.iter().any(|range| PAGES.contains(&range.as_str()))
}

/// The text names no representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be html, json, png, svg or jpg")]
pub(crate) struct FormatError;

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "html" => Ok(Self::Html),
            "json" => Ok(Self::Json),
            "png" => Ok(Self::Png),
            "svg" => Ok(Self::Svg),
            "jpg" => Ok(Self::Jpg),
            _ => Err(FormatError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_weight_wins_and_the_order_settles_a_draw() {
        for (accept, want) in [
            ("", Format::Html),
            ("*/*", Format::Html),
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
                Format::Html,
            ),
            ("application/json", Format::Json),
            ("application/json, text/html", Format::Html),
            ("application/json, text/html;q=0.9", Format::Json),
            (
                "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
                Format::Png,
            ),
            ("image/svg+xml", Format::Svg),
            ("image/svg+xml,image/png;q=0.5", Format::Svg),
            ("image/*", Format::Png),
            ("image/*,image/png;q=0", Format::Svg),
            ("IMAGE/PNG", Format::Png),
            ("text/html;q=0, */*;q=0.1", Format::Json),
            ("text/plain", Format::Html),
            ("application/pdf;q=x", Format::Html),
            ("application/json;q=0", Format::Html),
            (
                "application/json;charset=utf-8;q=0.9, text/html;q=0.8",
                Format::Json,
            ),
        ] {
            assert_eq!(Format::from_accept(accept), want, "Accept: {accept}");
        }
    }

    #[test]
    fn a_header_that_names_pictures_and_no_page_gets_a_picture() {
        for (accept, want) in [
            // Firefox 92 to 127, 65 to 91, and 47 to 64 for an <img>.
            ("image/avif,image/webp,*/*", Format::Png),
            ("image/webp,*/*", Format::Png),
            ("*/*", Format::Html),
            // Firefox from 128 on, Chromium from 85 on and 49 to 84, Safari, and WeChat's browser.
            (
                "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
                Format::Png,
            ),
            ("image/webp,image/apng,image/*,*/*;q=0.8", Format::Png),
            ("image/webp,*/*;q=0.8", Format::Png),
            (
                "image/webp,image/avif,image/jxl,image/heic,image/heic-sequence,video/*;q=0.8,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
                Format::Png,
            ),
            (
                "image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
                Format::Png,
            ),
            (
                "image/wxpic,image/tpg,image/webp,image/apng,*/*;q=0.8",
                Format::Png,
            ),
            // The ranking stays where a type of ours is named.
            ("image/svg+xml,image/*;q=0.8,*/*;q=0.5", Format::Svg),
            ("image/webp,image/svg+xml;q=0.1,*/*", Format::Png),
            ("application/json,image/webp;q=0.5,*/*;q=0.1", Format::Json),
            ("image/webp,text/html,*/*", Format::Html),
            ("image/webp,text/*,*/*", Format::Html),
            ("image/webp,application/xhtml+xml,*/*", Format::Html),
            ("IMAGE/AVIF,*/*;Q=0.8", Format::Png),
            // No type of ours is accepted: a picture is nearer than a page.
            ("image/webp", Format::Png),
            ("image/jpeg,image/gif;q=0.5", Format::Png),
            ("image/webp,text/html;q=0,*/*;q=0.1", Format::Png),
            ("image/webp,image/png;q=0,*/*", Format::Svg),
            (
                "image/webp,image/png;q=0,image/svg+xml;q=0,*/*",
                Format::Html,
            ),
            ("image/webp,*/*;q=0", Format::Html),
            ("image/webp;q=0,*/*", Format::Html),
            ("video/mp4,*/*", Format::Html),
        ] {
            assert_eq!(Format::from_accept(accept), want, "Accept: {accept}");
        }
    }
}
