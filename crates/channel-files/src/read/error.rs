//! Why a file or a row cannot be used.

use super::column::Column;
use super::limits::{MAX_CELLS, MAX_ROWS, MAX_UNPACKED};

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It has no bytes, or nothing but blanks.
    #[error("the file is empty")]
    Empty,
    /// It has headings only.
    #[error("the file has no rows below its headings")]
    NoRows,
    /// No heading is known.
    #[error(
        "the first line must name the columns, such as label and group; none of its headings is known"
    )]
    NoHeadings,
    /// Two headings name the same column.
    #[error("the headings name the column {} twice", .0.english())]
    RepeatedHeading(Column),
    /// It has too many rows.
    #[error("the file has more than {MAX_ROWS} rows; split it")]
    TooManyRows,
    /// A row has too many cells.
    #[error("line {line} has more than {MAX_CELLS} cells")]
    TooManyCells {
        /// Number of the line in the file, from 1.
        line: u32,
    },
    /// It is binary.
    #[error("the file is not text: it has NUL bytes")]
    NotText,
    /// It is a workbook, sent as text.
    #[error("the file is a workbook, not text; send it as XLSX")]
    Workbook,
    /// It is neither UTF-8 nor GB18030.
    #[error("the text is neither UTF-8 nor GB18030")]
    Encoding,
    /// It is no workbook, or a damaged one.
    #[error("the file is not an XLSX workbook, or is damaged")]
    NotAWorkbook,
    /// A cell holds an error value that the parser does not know.
    #[error(
        "a cell in line {line} or below holds {value:?}, an error of the spreadsheet; replace it with a text"
    )]
    UnknownErrorValue {
        /// The line of the cell before it: the parser does not say where it is.
        line: u32,
        /// How the value begins.
        value: String,
    },
    /// It is a workbook of an old format, or encrypted.
    #[error(
        "the workbook is of the old format XLS or protected by a password; save it as XLSX, without a password"
    )]
    OldOrEncrypted,
    /// It unpacks to too much.
    #[error("the workbook has too much in it: it may unpack to {} MiB", MAX_UNPACKED / 1024 / 1024)]
    TooLarge,
}

/// Why a row cannot be used. The message is said of the fault's column, if it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// A cell has no heading.
    #[error("there are more cells than headings; put a text with a separator in quotes")]
    CellWithoutHeading,
    /// A cell has far more text than a name.
    #[error("is too long")]
    TooLong(Column),
    /// A cell has a line break.
    #[error("has a line break; perhaps a quotation mark is not closed")]
    LineBreak(Column),
    /// A number has lost digits.
    #[error(
        "is a number that the spreadsheet has rounded; format the column as text and enter it again"
    )]
    Rounded(Column),
    /// A cell is a date.
    #[error(
        "was turned into a date by the spreadsheet; format the column as text and enter it again"
    )]
    Date(Column),
    /// The result of a formula is an error.
    #[error("holds an error of the spreadsheet, such as #N/A")]
    SpreadsheetError(Column),
    /// A formula has no result, as in files that no spreadsheet has saved.
    #[error(
        "is a formula without a result; open the file in a spreadsheet and save it, or enter the text itself"
    )]
    NoResult(Column),
    /// The kind is another word.
    #[error("must be 永久 (permanent) or 临时 (temporary), or true or false")]
    Kind,
    /// The lifetime cannot be read.
    #[error("must be a number of seconds, or such as 12h or 30d")]
    Lifetime,
}

impl RowFault {
    /// The column of the cell at fault; none if that has no heading.
    pub fn column(self) -> Option<Column> {
        match self {
            Self::CellWithoutHeading => None,
            Self::TooLong(column)
            | Self::LineBreak(column)
            | Self::Rounded(column)
            | Self::Date(column)
            | Self::SpreadsheetError(column)
            | Self::NoResult(column) => Some(column),
            Self::Kind => Some(Column::Permanent),
            Self::Lifetime => Some(Column::ExpireSeconds),
        }
    }
}
