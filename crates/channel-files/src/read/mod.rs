//! Reads files into rows of channels.

mod cell;
mod column;
mod error;
mod limits;
mod list;
mod records;
mod text;
mod workbook;

pub use self::column::Column;
pub use self::error::{FileError, RowFault};
pub use self::limits::{MAX_ROWS, MAX_UNPACKED};
pub use self::list::{ChannelList, ChannelRow};

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Values separated by commas, tabs or semicolons, below a line of headings.
    Csv,
    /// A workbook of Excel, of which the first visible sheet is read.
    Xlsx,
    /// One name a line. With headings in the first line it is read as [`FileFormat::Csv`].
    Lines,
}

/// Reads a file.
///
/// # Errors
/// [`FileError`], when nothing of it can be used.
pub fn read(format: FileFormat, file: &[u8]) -> Result<ChannelList, FileError> {
    if file.is_empty() {
        return Err(FileError::Empty);
    }
    match format {
        FileFormat::Xlsx => workbook::read(file),
        FileFormat::Csv => text::read_table(&text::decoded(file)?),
        FileFormat::Lines => text::read_lines(&text::decoded(file)?),
    }
}

#[cfg(test)]
mod tests;
