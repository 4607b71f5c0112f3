//! Reads files into rows of channels.

mod cell;
mod column;
mod error;
mod list;
mod records;
mod text;
mod workbook;

pub use self::column::Column;
pub use self::error::{FileError, RowFault};
pub use self::list::{ChannelList, ChannelRow, MAX_ROWS};
pub use self::workbook::MAX_UNPACKED;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Values separated by commas, tabs or semicolons, below a line of headings.
    Csv,
    /// A workbook of Excel, of which the first visible sheet is read.
    Xlsx,
    /// One name a line. With headings in the first line it is read as [`Format::Csv`].
    Lines,
}

/// Reads a file.
///
/// # Errors
/// [`FileError`], when nothing of it can be used.
pub fn read(format: Format, file: &[u8]) -> Result<ChannelList, FileError> {
    if file.is_empty() {
        return Err(FileError::Empty);
    }
    match format {
        Format::Xlsx => workbook::read(file),
        Format::Csv => text::read_table(&text::decoded(file)?),
        Format::Lines => text::read_lines(&text::decoded(file)?),
    }
}

#[cfg(test)]
mod tests;
