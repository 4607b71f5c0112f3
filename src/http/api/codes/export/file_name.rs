//! The name of a file of codes.

use crate::http::api::codes::selection::Selection;

/// A name that says which codes are in the file.
pub(super) fn file_name(selection: &Selection, extension: &str) -> String {
    /// In characters. File systems allow 255 bytes, and a Chinese character has three.
    const MAX_CHARS: usize = 80;
    let filter = &selection.filter;
    let permanent = match filter.permanent {
        Some(true) => Some("permanent"),
        Some(false) => Some("temporary"),
        None => None,
    };
    let archived = match filter.archived {
        Some(false) => None,
        Some(true) => Some("archived"),
        None => Some("with-archived"),
    };
    let scenes = match &filter.scenes[..] {
        [] => None,
        [scene] => Some(match scene.kind() {
            Some(kind) => format!("{}-{}", kind.name(), scene.value()),
            None => scene.value().to_string(),
        }),
        scenes => Some(format!("{}-scenes", scenes.len())),
    };
    let texts = [&filter.group, &filter.label, &scenes, &filter.search];
    let texts = texts.into_iter().flatten().map(String::as_str);
    let words = [permanent, archived].into_iter().flatten();
    let parts: Vec<_> = ["wxqr-codes"]
        .into_iter()
        .chain(words)
        .chain(texts)
        .collect();
    let name: String = parts.join("-").chars().take(MAX_CHARS).collect();
    format!("{name}.{extension}")
}
