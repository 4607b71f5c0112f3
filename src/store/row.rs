//! How scenes, codes and people are written in rows, and read back.

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::{Channel, Error};
use crate::openid::OpenId;
use crate::scene::{Kind, Lifetime, Scene, SceneText, TemporaryScene};
use crate::tally::Attribution;
use crate::ticket::{IssuedCode, Life};

/// A scene's value as its column has it.
pub(super) fn scene_text(scene: &Scene) -> String {
    scene.value().to_string()
}

/// The scene of a row.
pub(super) fn scene(row: &AnyRow) -> Result<Scene, Error> {
    let kind: String = row.try_get("kind")?;
    let text: String = row.try_get("scene")?;
    scene_of(&kind, &text)
}

fn scene_of(kind: &str, text: &str) -> Result<Scene, Error> {
    let kind = kind.parse().map_err(|_| Error::BadRow("a kind"))?;
    // Nobody may ask for such a text, so the parser refuses it.
    if let (Kind::QrStrScene, Some(name)) = (kind, text.strip_prefix(SceneText::RESERVED_PREFIX)) {
        return Ok(Scene::Temporary(TemporaryScene::Text(SceneText::reserved(
            name,
        ))));
    }
    Scene::new(kind, text).map_err(|_| Error::BadRow("a scene"))
}

/// What the columns `kind` and `scene` say of a counted code. The kind of one that is not known is empty.
pub(super) fn code_columns(code: &Attribution) -> (&'static str, String) {
    match code {
        Attribution::Code(scene) => (scene.kind().action_name(), scene_text(scene)),
        Attribution::Unknown(text) => ("", text.clone()),
    }
}

/// The counted code of a row.
pub(super) fn attribution(row: &AnyRow) -> Result<Attribution, Error> {
    let kind: String = row.try_get("kind")?;
    let text: String = row.try_get("scene")?;
    Ok(if kind.is_empty() {
        Attribution::Unknown(text)
    } else {
        Attribution::Code(scene_of(&kind, &text)?)
    })
}

/// The kinds of codes that carry a number, or a text, as SQL lists them.
pub(super) fn kinds(is_number: bool) -> &'static str {
    if is_number {
        "'QR_SCENE', 'QR_LIMIT_SCENE'"
    } else {
        "'QR_STR_SCENE', 'QR_LIMIT_STR_SCENE'"
    }
}

/// The names of a row.
pub(super) fn channel(row: &AnyRow) -> Result<Channel, Error> {
    Ok(Channel {
        label: row.try_get("label")?,
        group: row.try_get("group_name")?,
    })
}

/// An openid as its column has it, always equally long: dots after it, or instead of it where it is not to be known.
pub(super) fn openid_column(openid: Option<&OpenId>) -> String {
    let text = openid.map_or("", OpenId::as_str);
    format!("{text:.<width$}", width = OpenId::MAX_LEN)
}

/// The openid of such a column.
pub(super) fn openid(column: &str) -> Result<Option<OpenId>, Error> {
    match column.trim_end_matches('.') {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| Error::BadRow("an openid")),
    }
}

/// A day, such as `2026-11-22`.
pub(super) fn day(text: &str) -> Result<Date, Error> {
    text.parse().map_err(|_| Error::BadRow("a day"))
}

/// The code of a row; none for an intent.
pub(super) fn code(row: &AnyRow) -> Result<Option<IssuedCode>, Error> {
    let ticket: Option<String> = row.try_get("ticket")?;
    let url: Option<String> = row.try_get("url")?;
    let (Some(ticket), Some(url)) = (ticket, url) else {
        return Ok(None);
    };
    Ok(Some(IssuedCode {
        ticket: ticket.parse().map_err(|_| Error::BadRow("a ticket"))?,
        url: url.parse().map_err(|_| Error::BadRow("a url"))?,
        life: life(row)?,
    }))
}

fn life(row: &AnyRow) -> Result<Life, Error> {
    let asked: Option<i64> = row.try_get("asked")?;
    let granted: Option<i64> = row.try_get("granted")?;
    let (Some(asked), Some(granted)) = (asked, granted) else {
        return Ok(Life::Permanent);
    };
    let lifetime = |seconds: i64| {
        let seconds = u64::try_from(seconds).map_err(|_| Error::BadRow("a life"))?;
        Lifetime::try_from(seconds).map_err(|_| Error::BadRow("a life"))
    };
    let minted_at = instant(row.try_get("minted_at")?)?;
    Ok(Life::Temporary {
        minted_at,
        asked: lifetime(asked)?,
        granted: lifetime(granted)?,
    })
}

/// An instant of a row.
pub(super) fn instant(milliseconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| Error::BadRow("an instant"))
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
