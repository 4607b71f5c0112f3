//! The name of a file of numbers.

use crate::statistics::{NumbersFilter, Span};

/// Says which numbers the file holds, of which days, and whether by day. Files that differ have
/// different names.
pub(super) fn file_name(filter: &NumbersFilter, extension: &str) -> String {
    let scene = filter.scene.as_ref();
    let scene = scene.map(|scene| (scene.value().field(), scene.value().to_string()));
    let group = filter.group.clone().map(|group| ("group", group));
    let chosen = [group, scene].into_iter().flatten();
    let chosen: String = chosen
        .flat_map(|(parameter, value)| {
            ["-".to_owned(), parameter.to_owned(), "-".to_owned(), value]
        })
        .collect();
    let span = match filter.span {
        Span::Day => "by-day",
        Span::Total => "total",
    };
    let (from, to) = (filter.from, filter.to);
    format!("wxqr-stats{chosen}-{span}-{from}-to-{to}.{extension}")
}
