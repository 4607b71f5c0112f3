//! The name of a file of numbers.

use super::query::StatsQuery;
use crate::codes::SceneFilter;
use crate::statistics::Granularity;

/// Says which numbers the file holds, of which days, and whether by day. Files that differ have
/// different names.
pub(super) fn file_name(query: &StatsQuery, extension: &str) -> String {
    let filter = &query.filter;
    let (from, to) = (filter.from, filter.to);
    let group = filter.group.as_deref().map(|group| parts("group", group));
    let scene = filter.scene.as_ref().map(scene_parts);
    let search = query.search.as_deref().map(|search| parts("q", search));
    let chosen: String = [group, scene, search].into_iter().flatten().collect();
    let span = match filter.granularity {
        Granularity::Day => "by-day",
        Granularity::Total => "total",
    };
    format!("wxqr-stats{chosen}-{span}-{from}-to-{to}.{extension}")
}

fn parts(parameter: &str, value: &str) -> String {
    format!("-{parameter}-{value}")
}

fn scene_parts(scene: &SceneFilter) -> String {
    let kind = scene
        .kind()
        .map_or(String::new(), |kind| format!("-{}", kind.name()));
    kind + &parts(scene.value().field(), &scene.value().to_string())
}
