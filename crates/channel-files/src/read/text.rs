//! Reads text files: CSV, and one name a line.

use std::borrow::Cow;

use encoding_rs::{Encoding, GB18030};

use super::cell::CellValue;
use super::error::FileError;
use super::list::{ChannelList, Headings, Record, collect};
use super::records::Records;

/// What may separate cells, the likeliest first.
const SEPARATORS: [u8; 3] = *b",\t;";

/// Decodes a text: by its byte-order mark, else UTF-8, else GB18030, which Excel in Chinese writes.
///
/// # Errors
/// When it is no text, or in another encoding.
pub(super) fn decoded(file: &[u8]) -> Result<Cow<'_, str>, FileError> {
    if file.starts_with(b"PK\x03\x04") || file.starts_with(b"\xD0\xCF\x11\xE0") {
        return Err(FileError::Workbook);
    }
    let text = match Encoding::for_bom(file) {
        Some((encoding, mark)) => encoding
            .decode_without_bom_handling_and_without_replacement(&file[mark..])
            .ok_or(FileError::Encoding)?,
        None => match std::str::from_utf8(file) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => GB18030
                .decode_without_bom_handling_and_without_replacement(file)
                .ok_or(FileError::Encoding)?,
        },
    };
    if text.contains('\0') {
        return Err(FileError::NotText);
    }
    Ok(text)
}

/// Reads CSV, with whichever separator gives the most known headings.
pub(super) fn read_table(text: &str) -> Result<ChannelList, FileError> {
    collect(records(text, separator(text)), None)
}

/// Reads one name a line, or CSV if the first line that is not blank has headings, or tabs as of
/// cells that were copied from a sheet.
pub(super) fn read_lines(text: &str) -> Result<ChannelList, FileError> {
    let mut lines = text.lines();
    let first = lines.find(|line| CellValue::of_text(line).is_some());
    let is_table = first.is_some_and(|line| line.trim().contains('\t'));
    if is_table || known_headings(text, separator(text)) > 0 {
        return read_table(text);
    }
    let lines = (1..).zip(text.lines());
    let records = lines.filter_map(|(line, text)| {
        let cells = vec![(0, CellValue::of_text(text)?)];
        Some(Ok(Record { line, cells }))
    });
    collect(records, Some(Headings::none()))
}

fn separator(text: &str) -> u8 {
    let best = SEPARATORS.iter().rev();
    let best = best.max_by_key(|&&separator| known_headings(text, separator));
    *best.expect("there are separators")
}

fn known_headings(text: &str, separator: u8) -> usize {
    let first = records(text, separator).next();
    first.map_or(0, |first| {
        first.map_or(0, |record| Headings::known(&record))
    })
}

/// The lines that are not blank.
fn records(text: &str, separator: u8) -> impl Iterator<Item = Result<Record, FileError>> {
    let records = Records::of(text, separator);
    records.filter(|record| !record.as_ref().is_ok_and(|record| record.cells.is_empty()))
}
