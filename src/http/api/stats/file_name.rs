//! The name of the CSV file.

use crate::form::escaped;
use crate::statistics::{NumbersFilter, Span};

/// The `Content-Disposition`, with a name that says which numbers the file holds, of which days,
/// and whether by day. Files that differ have different names.
pub(super) fn disposition(filter: &NumbersFilter) -> String {
    let scene = filter.scene.as_ref();
    let scene = scene.map(|scene| (scene.parameter(), scene.value().to_string()));
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
    let name = |chosen: &str| {
        format!(
            "wxqr-stats{chosen}-{span}-{}-to-{}.csv",
            filter.from, filter.to
        )
    };
    let is_kept = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let replaced = |is_kept: &dyn Fn(char) -> bool| -> String {
        chosen
            .chars()
            .map(|letter| if is_kept(letter) { letter } else { '_' })
            .collect()
    };
    // Windows refuses these in a name.
    let full = replaced(&|letter| !"\\/:*?\"<>|".contains(letter) && !letter.is_control());
    format!(
        "attachment; filename=\"{}\"; filename*=UTF-8''{}",
        name(&replaced(&is_kept)),
        escaped(&name(&full))
    )
}
