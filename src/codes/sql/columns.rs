//! The columns of scenes and codes: encoding and decoding.

use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::scene::{Kind, Lifetime, Scene, SceneText, SceneValue, TemporaryScene};
use wechat::ticket::{IssuedCode, Life};

use crate::codes::scene_filter::SceneFilter;
use crate::db::{Error, KeyLookup, row};

/// Encodes the value of a scene.
pub(crate) fn scene_text(scene: &Scene) -> String {
    scene.value().to_string()
}

/// Computes the column `scene_digits`, by which numbers are in the order of their length, then of
/// their digits. A code is looked up by it too.
pub(crate) fn scene_digits(scene: &Scene) -> i64 {
    match scene.value() {
        SceneValue::Id(id) => i64::from(id.checked_ilog10().unwrap_or(0)) + 1,
        SceneValue::Text(_) => 0,
    }
}

/// Writes what [`scene_digits`] computes of the scenes in a table with the columns `kind` and
/// `scene`.
pub(crate) fn digits_sql(table: &str) -> String {
    format!(
        "CASE WHEN {table}.kind IN ('QR_SCENE', 'QR_LIMIT_SCENE') THEN length({table}.scene) ELSE 0 END"
    )
}

/// Writes the condition that a row of `code` has the scene of a row of another table. PostgreSQL
/// needs `scene_digits` too, because it may choose the index `code_by_scene`, where that column
/// stands before the scene.
pub(crate) fn has_scene_of(table: &str, key_lookup: KeyLookup) -> String {
    let digits = format!("code.scene_digits = {}", digits_sql(table));
    format!(
        "code.appid = $1 AND code.kind = {table}.kind AND code.scene = {table}.scene{}",
        key_lookup.implied(&digits)
    )
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;
    use crate::db::{Database, ReadKind};

    #[tokio::test]
    async fn digits_of_a_scene_are_counted_by_sql_too() {
        let db = Database::in_memory(Arc::new(SystemClock)).await;
        let sql = format!(
            "WITH wanted (kind, scene) AS (VALUES ($1, $2)) SELECT {} FROM wanted",
            digits_sql("wanted")
        );
        for (scene, want) in [
            ("QR_SCENE:1", 1),
            ("QR_SCENE:9", 1),
            ("QR_LIMIT_SCENE:10", 2),
            ("QR_LIMIT_SCENE:100000", 6),
            ("QR_SCENE:4294967295", 10),
            ("QR_STR_SCENE:123", 0),
            ("QR_LIMIT_STR_SCENE:123", 0),
        ] {
            let scene: Scene = scene.parse().unwrap();
            assert_eq!(scene_digits(&scene), want, "{scene}");
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone()))
                .bind(scene.kind().action_name())
                .bind(scene_text(&scene));
            let read = async { Ok(query.fetch_one(db.autocommit()).await?) };
            let got: i64 = db.read(ReadKind::Short, read).await.unwrap();
            assert_eq!(got, want, "{scene}");
        }
    }
}
