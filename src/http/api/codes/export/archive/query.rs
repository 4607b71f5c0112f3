//! The query of `/api/codes.zip`.

use qr_image::Style;

use crate::http::api::codes::selection::Selection;
use crate::http::api::query::known_pairs_with_lists;
use crate::http::extract::query::QrcodeQuery;
use crate::http::problem::{ErrorCode, Problem};
use crate::pictures::ImageFormat;

/// The most codes of an archive, as many as an account may have permanent ones. Its directory, the
/// names that are taken and the compressed rows are in memory until its end: some 600 bytes a code.
pub(super) const MAX_CODES: u64 = 100_000;

/// The parameters besides those of the list.
const OF_PICTURES: [&str; 5] = ["format", "size", "margin", "color", "bg"];

#[derive(Debug)]
pub(super) struct ArchiveQuery {
    pub(super) selection: Selection,
    pub(super) format: ImageFormat,
    pub(super) style: Style,
}

impl ArchiveQuery {
    pub(super) fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let known = [&Selection::NAMES[..], &OF_PICTURES].concat();
        let mut selection = Selection::default();
        let (mut format, mut of_style) = (ImageFormat::Png, Vec::new());
        for (name, value) in known_pairs_with_lists(raw, &known, &Selection::LISTS)? {
            if selection.read(&name, &value)? {
                continue;
            }
            if name == "format" {
                format = image_format(&value)?;
            } else {
                of_style.push((name, value));
            }
        }
        Ok(Self {
            selection,
            format,
            style: QrcodeQuery::of(of_style).style()?,
        })
    }
}

fn image_format(value: &str) -> Result<ImageFormat, Problem> {
    match value {
        "png" => Ok(ImageFormat::Png),
        "svg" => Ok(ImageFormat::Svg),
        _ => {
            let message = "must be png or svg";
            Err(Problem::invalid_parameter("format", message))
        }
    }
}

// The message says so.
const _: () = assert!(MAX_CODES == 100_000);

/// The problem of a selection that is too large.
pub(super) fn too_many_pictures() -> Problem {
    let message =
        "that would be more than 100,000 pictures; select fewer codes, such as those of a group";
    Problem::new(ErrorCode::InvalidParameter, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::i18n::lang::Lang;

    fn parse(raw: &str) -> Result<ArchiveQuery, String> {
        let query = ArchiveQuery::parse(Some(raw));
        query.map_err(|problem| problem.explanation(Lang::En))
    }

    #[test]
    fn pictures_are_those_of_qrcode() {
        let query = parse("").unwrap();
        assert_eq!(query.format, ImageFormat::Png);
        assert_eq!(query.style, Style::default());
        let query = parse("format=svg&size=300&margin=1&color=07603b&bg=fff&group=a").unwrap();
        assert_eq!(query.format, ImageFormat::Svg);
        assert_eq!(query.style.size.get(), 300);
        assert_eq!(query.style.margin.get(), 1);
        assert_eq!(query.selection.filter.group.as_deref(), Some("a"));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        for (raw, want) in [
            ("format=jpg", "format must be png or svg."),
            (
                "size=64",
                "size must be at least 82 pixels for this code with this margin, but is 64.",
            ),
            (
                "size=9999",
                "size must be a whole number of pixels from 64 to 2048.",
            ),
            (
                "limit=7",
                "limit is not a parameter here; accepted: q, label, group, permanent, scene, archived, sort, format, size, margin, color, bg.",
            ),
        ] {
            assert_eq!(parse(raw).map(drop), Err(want.to_owned()), "{raw}");
        }
    }
}
