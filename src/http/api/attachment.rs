//! Files that a browser saves: their names, and the type of a workbook.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::form::escaped;

/// The media type of a workbook.
pub(super) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// The answer with a file of this name.
pub(super) fn file(media_type: &'static str, name: &str, body: Body) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CONTENT_DISPOSITION, disposition(name)),
    ];
    (headers, body).into_response()
}

/// `Content-Disposition` with a file name of any letters: browsers take the full one, and old
/// programs the ASCII one.
fn disposition(name: &str) -> String {
    let is_kept = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    // Windows refuses these in a name.
    let is_allowed = |letter: char| !"\\/:*?\"<>|".contains(letter) && !letter.is_control();
    let plain = replaced(name, is_kept);
    let full = replaced(name, is_allowed);
    format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{}",
        escaped(&full)
    )
}

fn replaced(name: &str, is_kept: impl Fn(char) -> bool) -> String {
    let letters = name.chars();
    letters
        .map(|letter| if is_kept(letter) { letter } else { '_' })
        .collect()
}
