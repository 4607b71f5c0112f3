//! The file of a plan: its format, its size, and the thread that reads it.

use axum::body::Body;
use axum::http::{HeaderMap, header};
use channel_files::{ChannelList, FileError, FileFormat};
use http_listener::{BufferedBody, ByteBudget};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;

use crate::http::api::codes::job_limit::JobLimit;
use crate::http::extract::body::read_body;
use crate::http::i18n::lang::Lang;
use crate::http::problem::Problem;

/// The longest file, in bytes.
pub(crate) const MAX_FILE: usize = 4 * 1024 * 1024;

const TYPES: [(&str, FileFormat); 3] = [
    ("text/csv", FileFormat::Csv),
    ("text/plain", FileFormat::Lines),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        FileFormat::Xlsx,
    ),
];

/// Reads files one after another, because a hostile one may unpack to the most that is allowed.
#[derive(Debug, Clone)]
pub struct FileReader {
    limit: JobLimit,
}

impl FileReader {
    pub fn new() -> Self {
        Self {
            limit: JobLimit::new(1),
        }
    }

    /// The right to hold a file that is read, until it is dropped.
    ///
    /// # Errors
    /// `overloaded` after a wait.
    pub(super) async fn permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.limit.permit().await
    }
}

impl Default for FileReader {
    fn default() -> Self {
        Self::new()
    }
}

/// The format by `Content-Type`.
///
/// # Errors
/// `invalid_parameter` for another type.
pub(super) fn format(headers: &HeaderMap) -> Result<FileFormat, Problem> {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    let known = TYPES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(given));
    known.map(|(_, format)| *format).ok_or_else(|| {
        let accepted = TYPES.map(|(name, _)| name).join(", ");
        let message = format!("must name the kind of file; accepted: {accepted}");
        Problem::invalid_parameter("Content-Type", message)
    })
}

/// Receives the file.
///
/// # Errors
/// As [`read_body`].
pub(super) async fn receive(body: Body, budget: &ByteBudget) -> Result<BufferedBody, Problem> {
    read_body(body, MAX_FILE, budget).await
}

/// Reads a file on a thread for such work.
///
/// # Errors
/// `invalid_body` or `too_large`, in this language.
pub(super) async fn read(
    file: BufferedBody,
    format: FileFormat,
    lang: Lang,
) -> Result<ChannelList, Problem> {
    let reading = spawn_blocking(move || channel_files::read(format, &file));
    // A library for workbooks panics at some that are damaged.
    let list = reading.await.unwrap_or(Err(FileError::NotAWorkbook));
    list.map_err(|error| Problem::from_file_error(&error, lang))
}
