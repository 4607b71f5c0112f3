//! How scenes and codes are written in rows, and read back.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::Error;
use crate::scene::{Kind, Lifetime, PermanentScene, Scene, SceneValue, TemporaryScene};
use crate::ticket::{IssuedCode, Life};

/// A scene as the two columns that name it.
pub(super) fn scene_text(scene: &Scene) -> String {
    match scene.value() {
        SceneValue::Id(id) => id.to_string(),
        SceneValue::Text(text) => text.to_owned(),
    }
}

/// The scene of a row.
pub(super) fn scene(row: &AnyRow) -> Result<Scene, Error> {
    let kind: String = row.try_get("kind")?;
    let text: String = row.try_get("scene")?;
    let bad = |_| Error::BadRow("a scene");
    Ok(match kind.parse().map_err(|_| Error::BadRow("a kind"))? {
        Kind::QrScene => Scene::Temporary(TemporaryScene::Id(text.parse().map_err(bad)?)),
        Kind::QrStrScene => Scene::Temporary(TemporaryScene::Text(text.parse().map_err(bad)?)),
        Kind::QrLimitScene => Scene::Permanent(PermanentScene::Id(text.parse().map_err(bad)?)),
        Kind::QrLimitStrScene => Scene::Permanent(PermanentScene::Text(text.parse().map_err(bad)?)),
    })
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
