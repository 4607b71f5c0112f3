//! Which representation of a code a caller gets: path extension over `format` over `Accept` over HTML.

use std::str::FromStr;

use super::message::Message;

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
    /// Those that `Accept` can choose, in the order that settles a draw.
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

    /// The representation with the highest weight in an `Accept` header; HTML if it names none of ours.
    pub(crate) fn from_accept(accept: &str) -> Self {
        let ranges: Vec<(&str, f32)> = weighted(accept).collect();
        let mut best = (Self::Html, 0.0);
        for format in Self::NEGOTIABLE {
            let weight = format.weight(&ranges);
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    /// The weight of the most specific range that covers this type (RFC 9110, 12.5.1).
    fn weight(self, ranges: &[(&str, f32)]) -> f32 {
        let (kind, subtype) = self.media_type();
        let specificity = |range: &str| match range.split_once('/') {
            Some((k, s)) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 3,
            Some((k, "*")) if k.eq_ignore_ascii_case(kind) => 2,
            Some(("*", "*")) => 1,
            _ => 0,
        };
        let rated = ranges
            .iter()
            .map(|&(range, weight)| (specificity(range), weight));
        rated
            .filter(|&(rank, _)| rank > 0)
            .max_by_key(|&(rank, _)| rank)
            .map_or(0.0, |(_, weight)| weight)
    }
}

impl FromStr for Format {
    type Err = Message;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "html" => Ok(Self::Html),
            "json" => Ok(Self::Json),
            "png" => Ok(Self::Png),
            "svg" => Ok(Self::Svg),
            "jpg" => Ok(Self::Jpg),
            _ => Err(Message::new(
                "只能是 html、json、png、svg 或 jpg",
                "must be html, json, png, svg or jpg",
            )),
        }
    }
}

/// The items of an `Accept` or `Accept-Language` header with their weights. An item with a weight that cannot be read
/// counts as 0.
pub(crate) fn weighted(header: &str) -> impl Iterator<Item = (&str, f32)> {
    header.split(',').map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default();
        let weight =
            parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        (
            range,
            weight.map_or(1.0, |text| text.parse::<f32>().unwrap_or(0.0).min(1.0)),
        )
    })
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
}
