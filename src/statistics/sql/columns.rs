//! The columns of attributions, events and openids: encoding and decoding.

use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::event::EventKind;
use wechat::openid::OpenId;

use crate::codes::columns::{scene_of, scene_text};
use crate::db::Error;
use crate::statistics::tally::Attribution;

/// Encodes a counted code for the columns `kind` and `scene`. The kind of an unknown code is empty.
pub(crate) fn code_columns(code: &Attribution) -> (&'static str, String) {
    match code {
        Attribution::Code(scene) => (scene.kind().action_name(), scene_text(scene)),
        Attribution::Unknown(text) => ("", text.clone()),
    }
}

/// Decodes the counted code of a row.
pub(crate) fn attribution(row: &AnyRow) -> Result<Attribution, Error> {
    let kind: String = row.try_get("kind")?;
    let text: String = row.try_get("scene")?;
    Ok(if kind.is_empty() {
        Attribution::Unknown(text)
    } else {
        Attribution::Code(scene_of(&kind, &text)?)
    })
}

/// Reads a count.
pub(super) fn number(found: &AnyRow, column: &str) -> Result<u64, Error> {
    let number: i64 = found.try_get(column)?;
    u64::try_from(number).map_err(|_| Error::BadRow("a negative number"))
}

/// Encodes a kind of event.
pub(crate) fn event_column(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Subscribe => "subscribe",
        EventKind::Scan => "scan",
        EventKind::Unsubscribe => "unsubscribe",
    }
}

/// Decodes a kind of event.
pub(crate) fn event_kind(column: &str) -> Result<EventKind, Error> {
    let mut kinds = EventKind::ALL.into_iter();
    kinds
        .find(|kind| event_column(*kind) == column)
        .ok_or(Error::BadRow("an event"))
}

/// Encodes an openid, always equally long: dots after it, or instead of it where it is not to be
/// known.
pub(crate) fn openid_column(openid: Option<&OpenId>) -> String {
    let text = openid.map_or("", OpenId::as_str);
    format!("{text:.<width$}", width = OpenId::MAX_LEN)
}

/// Decodes an openid.
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
