//! The columns of scenes and codes: encoding and decoding.

use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::scene::{Kind, Lifetime, Scene, SceneText, TemporaryScene};
use wechat::ticket::{IssuedCode, Life};

use crate::codes::scene_filter::SceneFilter;
use crate::db::{Error, row};

/// Encodes the value of a scene.
pub(crate) fn scene_text(scene: &Scene) -> String {
    scene.value().to_string()
}

pub(crate) fn scene(found: &AnyRow) -> Result<Scene, Error> {
    let kind: String = found.try_get("kind")?;
    let text: String = found.try_get("scene")?;
    scene_of(&kind, &text)
}

/// Decodes the scene of the columns `kind` and `scene`.
pub(crate) fn scene_of(kind: &str, text: &str) -> Result<Scene, Error> {
    let kind = kind.parse().map_err(|_| Error::BadRow("a kind"))?;
    // The parser refuses such a text, because no request may name it.
    if let (Kind::QrStrScene, Some(name)) = (kind, text.strip_prefix(SceneText::RESERVED_PREFIX)) {
        return Ok(Scene::Temporary(TemporaryScene::Text(SceneText::reserved(
            name,
        ))));
    }
    Scene::new(kind, text).map_err(|_| Error::BadRow("a scene"))
}

/// Lists the kinds that a filter may select, as SQL does; that of unknown tickets is empty.
pub(crate) fn kinds(filter: &SceneFilter) -> String {
    let of_codes = Kind::ALL.into_iter().filter(|kind| filter.may_be(*kind));
    let unattributed = filter.may_be_unattributed().then_some("");
    let names = of_codes.map(Kind::action_name).chain(unattributed);
    let quoted: Vec<_> = names.map(|name| format!("'{name}'")).collect();
    quoted.join(", ")
}

/// Decodes the code of a row; none for an intent.
pub(crate) fn code(found: &AnyRow) -> Result<Option<IssuedCode>, Error> {
    let ticket: Option<String> = found.try_get("ticket")?;
    let url: Option<String> = found.try_get("url")?;
    let (Some(ticket), Some(url)) = (ticket, url) else {
        return Ok(None);
    };
    Ok(Some(IssuedCode {
        ticket: ticket.parse().map_err(|_| Error::BadRow("a ticket"))?,
        url: url.parse().map_err(|_| Error::BadRow("a url"))?,
        life: life(found)?,
    }))
}

fn life(found: &AnyRow) -> Result<Life, Error> {
    let asked: Option<i64> = found.try_get("asked")?;
    let granted: Option<i64> = found.try_get("granted")?;
    let (Some(asked), Some(granted)) = (asked, granted) else {
        return Ok(Life::Permanent);
    };
    let lifetime = |seconds: i64| {
        let seconds = u64::try_from(seconds).map_err(|_| Error::BadRow("a life"))?;
        Lifetime::try_from(seconds).map_err(|_| Error::BadRow("a life"))
    };
    let minted_at = row::instant(found.try_get("minted_at")?)?;
    Ok(Life::Temporary {
        minted_at,
        asked: lifetime(asked)?,
        granted: lifetime(granted)?,
    })
}
