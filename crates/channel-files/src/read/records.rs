//! Records of CSV, within bounds: a hostile one may have a separator in each byte.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use super::cell::CellValue;
use super::error::FileError;
use super::limits::MAX_CELLS;
use super::list::Record;

/// The most fields of a record, empty ones among them: the columns of a sheet of Excel.
const MAX_FIELDS: usize = 16_384;

/// The records of a text, blank ones too. None follows an error.
pub(super) struct Records<'a> {
    reader: Reader,
    rest: &'a [u8],
    /// The line where the rest begins.
    line: u32,
    /// The fields of a record without their separators, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> Records<'a> {
    pub(super) fn of(text: &'a str, separator: u8) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(separator).build(),
            rest: text.as_bytes(),
            line: 1,
            fields: vec![0; 1024],
            ends: vec![0; MAX_FIELDS],
        }
    }

    /// Takes bytes from the rest, and counts lines.
    fn take(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        let next = taken.iter().skip(1).chain(rest.first());
        let next = next.copied().map(Some).chain([None]);
        let breaks = taken.iter().zip(next);
        let breaks = breaks.filter(|pair| matches!(pair, (b'\n', _)) || is_lone_return(*pair));
        let breaks = breaks.count();
        self.line = self
            .line
            .saturating_add(u32::try_from(breaks).unwrap_or(u32::MAX));
        self.rest = rest;
    }

    /// Reads a record into `fields` and `ends`, and returns its line and how many fields it has.
    fn read(&mut self) -> Option<Result<(u32, usize), FileError>> {
        let breaks = self.rest.iter();
        let breaks = breaks.take_while(|byte| matches!(byte, b'\r' | b'\n'));
        self.take(breaks.count());
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        let (mut written, mut ended) = (0, 0);
        loop {
            let (fields, ends) = (&mut self.fields[written..], &mut self.ends[ended..]);
            let (result, read, output, count) = self.reader.read_record(self.rest, fields, ends);
            self.take(read);
            written += output;
            ended += count;
            match result {
                // Without a rest, the next call ends the record.
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(2 * self.fields.len(), 0),
                ReadRecordResult::OutputEndsFull => {
                    self.rest = &[];
                    return Some(Err(FileError::TooManyCells { line }));
                }
                ReadRecordResult::Record => return Some(Ok((line, ended))),
                ReadRecordResult::End => return None,
            }
        }
    }

    /// The cells of the record that was read.
    fn cells(&self, fields: usize) -> impl Iterator<Item = (u32, CellValue)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let fields = starts.zip(&self.ends[..fields]);
        (0..).zip(fields).filter_map(|(at, (start, end))| {
            let text = str::from_utf8(&self.fields[start..*end]);
            let text = text.expect("a text is cut at ASCII letters");
            Some((at, CellValue::of_text(text)?))
        })
    }
}

/// Whether a letter ends a line by itself: CR does, where no LF follows.
fn is_lone_return((letter, next): (&u8, Option<u8>)) -> bool {
    *letter == b'\r' && next != Some(b'\n')
}

impl Iterator for Records<'_> {
    type Item = Result<Record, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (line, fields) = match self.read()? {
            Ok(record) => record,
            Err(error) => return Some(Err(error)),
        };
        let cells: Vec<_> = self.cells(fields).take(MAX_CELLS + 1).collect();
        if cells.len() > MAX_CELLS {
            self.rest = &[];
            return Some(Err(FileError::TooManyCells { line }));
        }
        Some(Ok(Record { line, cells }))
    }
}
