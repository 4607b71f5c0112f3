//! Inserts rows of codes. A row begins with the names that its channel has kept.

use jiff::Timestamp;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use wechat::scene::Scene;

use super::columns;
use crate::db::{KeyLookup, placeholders};
use crate::text::folded;

/// Builds a statement that inserts rows with these columns besides those of every code. Each row is
/// bound by [`bind_row`] and then by the values of these columns. `ON CONFLICT` may be appended.
pub(super) fn insert_sql(key_lookup: KeyLookup, rows: usize, columns: &[&str]) -> String {
    let named = |table: &str| {
        let columns = columns.iter().map(|column| format!(", {table}{column}"));
        columns.collect::<String>()
    };
    let channel = key_lookup.left_join(
        "channel",
        "channel.appid = $1 AND channel.kind = new.kind AND channel.scene = new.scene",
    );
    format!(
        "WITH new (kind, scene, folded_scene, created_by, minted_at{plain}) AS (VALUES {values})
         INSERT INTO code (appid, kind, scene, folded_scene, created_by, minted_at, created_at{plain},
             scene_digits, label, group_name, archived, label_sort, folded_names)
         SELECT $1, new.kind, new.scene, NULLIF(new.folded_scene, ''), NULLIF(new.created_by, ''),
             new.minted_at, new.minted_at{of_new},
             {digits}, channel.label, channel.group_name, COALESCE(channel.archived, 0), channel.label_sort, channel.folded_names
         FROM new {channel}
         WHERE TRUE",
        plain = named(""),
        of_new = named("new."),
        digits = columns::digits_sql("new"),
        values = placeholders::rows(rows, 5 + columns.len()),
    )
}

/// Binds the columns of every code.
pub(super) fn bind_row<'q>(
    query: Query<'q, Any, AnyArguments>,
    scene: &Scene,
    created_by: Option<&str>,
    minted_at: Timestamp,
) -> Query<'q, Any, AnyArguments> {
    let text = columns::scene_text(scene);
    let folded = Some(folded(&text)).filter(|folded| *folded != text);
    query
        .bind(scene.kind().action_name())
        .bind(text)
        .bind(folded.unwrap_or_default())
        .bind(created_by.unwrap_or_default().to_owned())
        .bind(minted_at.as_millisecond())
}
