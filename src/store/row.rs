//! How scenes and codes are written in rows, and read back.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::Error;
use crate::scene::{Lifetime, Scene};
use crate::ticket::{IssuedCode, Life};

/// A scene's value as its column has it.
pub(super) fn scene_text(scene: &Scene) -> String {
    scene.value().to_string()
}

/// The scene of a row.
pub(super) fn scene(row: &AnyRow) -> Result<Scene, Error> {
    let kind: String = row.try_get("kind")?;
    let text: String = row.try_get("scene")?;
    let kind = kind.parse().map_err(|_| Error::BadRow("a kind"))?;
    Scene::new(kind, &text).map_err(|_| Error::BadRow("a scene"))
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
