//! Reads XLSX workbooks.

use std::io::{Cursor, Read};

use calamine::{DataRef, Reader, SheetType, SheetVisible, Xlsx, XlsxError};
use zip::ZipArchive;

use super::cell::CellValue;
use super::error::FileError;
use super::limits::{MAX_CELLS, MAX_UNPACKED};
use super::list::{ChannelList, Record, collect};

/// The longest text between two tags, in bytes. A cell of Excel has at most 32,767 characters, each
/// of which may be an entity. Parsers hold a text several times at once.
const MAX_TEXT: usize = 256 * 1024;

/// The largest number of entries of the archive. Chosen; a workbook of Excel has some 15.
const MAX_ENTRIES: usize = 1000;

/// The attribute by which calamine reserves memory before it reads strings, and the digits of the
/// largest value that is allowed.
const COUNT: &[u8] = b"uniqueCount";
const MAX_COUNT_DIGITS: usize = 6;

/// How much is shown of an error value, in characters: the longest of Excel, `#GETTING_DATA`, has
/// 13.
const MAX_ERROR_VALUE: usize = 20;

/// How the other formats of Excel begin, and encrypted workbooks.
const COMPOUND_FILE: &[u8] = b"\xD0\xCF\x11\xE0";

/// Reads the first visible sheet.
///
/// # Errors
/// When it is damaged, too large or has no rows.
pub(super) fn read(file: &[u8]) -> Result<ChannelList, FileError> {
    if file.starts_with(COMPOUND_FILE) {
        return Err(FileError::OldOrEncrypted);
    }
    check_unpacked(file)?;
    let mut workbook = Xlsx::new(Cursor::new(file)).map_err(|error| file_error(&error))?;
    let sheets = workbook.sheets_metadata().iter();
    let sheet = sheets
        .clone()
        .find(|sheet| sheet.typ == SheetType::WorkSheet && sheet.visible == SheetVisible::Visible);
    let name = sheet.ok_or(FileError::Empty)?.name.clone();
    let mut cells = workbook
        .worksheet_cells_reader(&name)
        .map_err(|error| file_error(&error))?;
    let mut line = 1;
    let cells = std::iter::from_fn(|| match cells.next_cell_with_formula_metadata() {
        Ok(Some(cell)) => {
            line = line_of(cell.pos.0);
            Some(Ok((cell.pos, value(&cell.value, cell.formula.is_some()))))
        }
        Ok(None) => None,
        Err(XlsxError::CellError(value)) => {
            let value = value.chars().take(MAX_ERROR_VALUE).collect();
            Some(Err(FileError::UnknownErrorValue { line, value }))
        }
        Err(error) => Some(Err(file_error(&error))),
    });
    collect(records(cells), None)
}

/// The line of a row, as spreadsheets count.
fn line_of(row: u32) -> u32 {
    row.saturating_add(1)
}

fn file_error(error: &XlsxError) -> FileError {
    match error {
        XlsxError::Password => FileError::OldOrEncrypted,
        _ => FileError::NotAWorkbook,
    }
}

/// Unpacks every entry once and counts, because neither an archive's directory nor its parser
/// limits what comes out.
fn check_unpacked(file: &[u8]) -> Result<(), FileError> {
    let mut archive = ZipArchive::new(Cursor::new(file)).map_err(|_| FileError::NotAWorkbook)?;
    if archive.len() > MAX_ENTRIES {
        return Err(FileError::TooLarge);
    }
    let (mut left, mut entry) = (MAX_UNPACKED as u64, Vec::new());
    for index in 0..archive.len() {
        entry.clear();
        let packed = archive
            .by_index(index)
            .map_err(|_| FileError::NotAWorkbook)?;
        let read = packed.take(left + 1).read_to_end(&mut entry);
        read.map_err(|_| FileError::NotAWorkbook)?;
        left = left
            .checked_sub(entry.len() as u64)
            .ok_or(FileError::TooLarge)?;
        check_counts(&entry)?;
        check_texts(&entry)?;
    }
    Ok(())
}

/// Refuses a count for which calamine would reserve more memory than there is.
fn check_counts(entry: &[u8]) -> Result<(), FileError> {
    let mut rest = entry;
    while let Some(at) = find(rest, COUNT) {
        rest = &rest[at + COUNT.len()..];
        let value = rest.iter().skip_while(|byte| !byte.is_ascii_digit());
        let digits = value.take_while(|byte| byte.is_ascii_digit()).count();
        if digits > MAX_COUNT_DIGITS {
            return Err(FileError::TooLarge);
        }
    }
    Ok(())
}

/// Refuses a text that no cell has. Pictures pass too: they are compressed.
fn check_texts(entry: &[u8]) -> Result<(), FileError> {
    let mut texts = entry.split(|byte| *byte == b'<');
    if texts.any(|text| text.len() > MAX_TEXT) {
        return Err(FileError::TooLarge);
    }
    Ok(())
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

/// Puts the cells of a row together.
fn records(
    cells: impl Iterator<Item = Result<((u32, u32), Option<CellValue>), FileError>>,
) -> impl Iterator<Item = Result<Record, FileError>> {
    let mut cells = cells.peekable();
    std::iter::from_fn(move || {
        let (row, first) = loop {
            match cells.next()? {
                Ok(((row, column), Some(cell))) => break (row, (column, cell)),
                Ok((_, None)) => {}
                Err(error) => return Some(Err(error)),
            }
        };
        let line = line_of(row);
        let mut record = Record {
            line,
            cells: vec![first],
        };
        let is_of_row =
            |next: &Result<((u32, u32), _), _>| next.as_ref().is_ok_and(|((of, _), _)| *of == row);
        while let Some(Ok(((_, column), cell))) = cells.next_if(is_of_row) {
            record.cells.extend(cell.map(|cell| (column, cell)));
            if record.cells.len() > MAX_CELLS {
                return Some(Err(FileError::TooManyCells { line }));
            }
        }
        Some(Ok(record))
    })
}

/// The value of a cell; of a formula, the result that was stored. A program that writes workbooks
/// stores none.
fn value(value: &DataRef<'_>, is_formula: bool) -> Option<CellValue> {
    match value {
        DataRef::Empty => is_formula.then_some(CellValue::NoResult),
        DataRef::String(text) => CellValue::of_text(text),
        DataRef::SharedString(text) => CellValue::of_text(text),
        #[expect(
            clippy::cast_precision_loss,
            reason = "one that is not exact is refused like any other"
        )]
        DataRef::Int(number) => Some(CellValue::Number(*number as f64)),
        DataRef::Float(number) => Some(CellValue::Number(*number)),
        DataRef::Bool(value) => Some(CellValue::Bool(*value)),
        DataRef::DateTime(_) | DataRef::DateTimeIso(_) | DataRef::DurationIso(_) => {
            Some(CellValue::Date)
        }
        DataRef::Error(_) => Some(CellValue::Error),
    }
}
