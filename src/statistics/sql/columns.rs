//! The columns of attributions, events and openids: encoding and decoding.

use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::event::EventKind;
use wechat::openid::OpenId;

use crate::codes::columns::{scene_of, scene_text};
use crate::db::Error;
use crate::statistics::tally::Attribution;

/// What the columns `kind` and `scene` say of a counted code. The kind of one that is not known is
/// empty.
pub(crate) fn code_columns(code: &Attribution) -> (&'static str, String) {
    match code {
        Attribution::Code(scene) => (scene.kind().action_name(), scene_text(scene)),
        Attribution::Unknown(text) => ("", text.clone()),
    }
}

/// The counted code of a row.
pub(crate) fn attribution(row: &AnyRow) -> Result<Attribution, Error> {
    let kind: String = row.try_get("kind")?;
    let text: String = row.try_get("scene")?;
    Ok(if kind.is_empty() {
        Attribution::Unknown(text)
    } else {
        Attribution::Code(scene_of(&kind, &text)?)
    })
}

/// A count in a column.
pub(super) fn number(found: &AnyRow, column: &str) -> Result<u64, Error> {
    let number: i64 = found.try_get(column)?;
    u64::try_from(number).map_err(|_| Error::BadRow("a negative number"))
}

/// A kind of event as its column has it.
pub(crate) fn event_column(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Subscribe => "subscribe",
        EventKind::Scan => "scan",
        EventKind::Unsubscribe => "unsubscribe",
    }
}

/// The kind of event of such a column.
pub(crate) fn event_kind(column: &str) -> Result<EventKind, Error> {
    let mut kinds = EventKind::ALL.into_iter();
    kinds
        .find(|kind| event_column(*kind) == column)
        .ok_or(Error::BadRow("an event"))
}

/// An openid as its column has it, always equally long: dots after it, or instead of it where it is
/// not to be known.
pub(crate) fn openid_column(openid: Option<&OpenId>) -> String {
    let text = openid.map_or("", OpenId::as_str);
    format!("{text:.<width$}", width = OpenId::MAX_LEN)
}

/// The openid of such a column.
pub(crate) fn openid(column: &str) -> Result<Option<OpenId>, Error> {
    match column.trim_end_matches('.') {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| Error::BadRow("an openid")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_openid_is_written_equally_long_and_read_back() {
        let longest = "o".repeat(OpenId::MAX_LEN);
        for text in ["o6_bmjrPTlm6_2sgVt7hMZOPfL2M", "-", &longest] {
            let written: OpenId = text.parse().unwrap();
            let column = openid_column(Some(&written));
            assert_eq!(column.len(), OpenId::MAX_LEN);
            assert_eq!(openid(&column).unwrap(), Some(written));
        }
        let erased = openid_column(None);
        assert_eq!(erased.len(), OpenId::MAX_LEN);
        assert_eq!(openid(&erased).unwrap(), None);
    }
}
