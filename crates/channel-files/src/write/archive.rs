//! ZIP archives.

use std::fmt;
use std::io::Write as _;

use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::pieces::Pieces;

/// Why writing cannot fail.
const IN_MEMORY: &str = "writing to memory does not fail, and the names are short and different";

/// A ZIP archive that is taken while it is written: only its directory is kept, some 300 bytes a
/// file.
///
/// Everything is deflated, because readers that do not seek find the end of a file only so.
pub struct Archive {
    pieces: Pieces,
    writer: ZipWriter<StreamWriter<Pieces>>,
    options: SimpleFileOptions,
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        let pieces = Pieces::default();
        // The time of a file would be without a zone; the archive's own says when it was made.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1))
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644);
        Self {
            writer: ZipWriter::new_stream(pieces.clone()),
            pieces,
            options,
        }
    }

    /// Begins a file.
    ///
    /// # Panics
    /// If there is one of this name.
    pub fn begin(&mut self, name: &str) {
        self.writer.start_file(name, self.options).expect(IN_MEMORY);
    }

    /// Writes to the file that was begun last.
    ///
    /// # Panics
    /// If none was begun.
    pub fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).expect(IN_MEMORY);
    }

    /// What was written since the last call, as far as it is compressed.
    pub fn take(&mut self) -> Vec<u8> {
        self.pieces.take()
    }

    /// Writes the directory, and takes the rest.
    pub fn finish(self) -> Vec<u8> {
        self.writer.finish().expect(IN_MEMORY);
        self.pieces.take()
    }
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").finish_non_exhaustive()
    }
}
