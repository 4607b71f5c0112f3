//! Types of files, by the extensions of their names.

use std::path::Path;

/// A type of files.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileType {
    /// Without its dot.
    pub(super) extension: &'static str,
    pub(super) media_type: &'static str,
}

impl FileType {
    const fn new(extension: &'static str, media_type: &'static str) -> Self {
        Self {
            extension,
            media_type,
        }
    }

    /// The type among `known` of a file with this name. Upper case is as good as lower case.
    pub(super) fn of(path: &Path, known: &[Self]) -> Option<Self> {
        let extension = path.extension()?.to_string_lossy();
        let is_it = |known: &&Self| extension.eq_ignore_ascii_case(known.extension);
        known.iter().find(is_it).copied()
    }
}

pub(super) const CSV: FileType = FileType::new("csv", "text/csv");
pub(super) const TSV: FileType = FileType::new("tsv", "text/csv");
pub(super) const TXT: FileType = FileType::new("txt", "text/plain");
pub(super) const XLSX: FileType = FileType::new(
    "xlsx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
);
pub(super) const ZIP: FileType = FileType::new("zip", "application/zip");
