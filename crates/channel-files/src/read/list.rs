//! Puts the rows of a file together.

use std::collections::BTreeMap;

use super::cell::{self, CellValue, trimmed};
use super::column::Column;
use super::error::{FileError, RowFault};
use super::limits::MAX_ROWS;

/// The most text that the rows of a file may have, in bytes: ten thousand of the longest names,
/// groups and scenes fit.
const MAX_TEXT: usize = 8 * 1024 * 1024;

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelList {
    /// Its rows, without blank ones.
    pub rows: Vec<ChannelRow>,
    /// The headings of columns that are not read.
    pub unknown_columns: Vec<String>,
}

/// A row of a file. What is empty in the file is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelRow {
    /// Its line, as editors and spreadsheets count.
    pub line: u32,
    /// The channel's name.
    pub label: Option<String>,
    /// The group that it belongs to.
    pub group: Option<String>,
    /// The scene, where it is a text.
    pub scene_str: Option<String>,
    /// The scene, where it is a number; its digits, not checked.
    pub scene_id: Option<String>,
    /// Whether its code is permanent.
    pub permanent: Option<bool>,
    /// The lifetime of its code, in seconds, not checked.
    pub expire_seconds: Option<u64>,
    /// What a follower reads after a scan. It may have line breaks.
    pub reply: Option<String>,
    /// A card that a follower gets after a scan, as JSON, not checked.
    pub reply_news: Option<String>,
    /// The columns that had blanks at the ends, which are removed.
    pub trimmed: Vec<Column>,
    /// Why the row cannot be used.
    pub fault: Option<RowFault>,
}

/// The cells of a line that are not empty, by their column from 0 on.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) line: u32,
    pub(super) cells: Vec<(u32, CellValue)>,
}

/// The headings of a file.
#[derive(Debug)]
pub(super) struct Headings {
    known: BTreeMap<u32, Column>,
    unknown: BTreeMap<u32, String>,
}

impl Headings {
    /// The headings of a list of names, which has none.
    pub(super) fn none() -> Self {
        Self {
            known: BTreeMap::from([(0, Column::Label)]),
            unknown: BTreeMap::new(),
        }
    }

    /// Reads the headings of a record.
    ///
    /// # Errors
    /// When none is known, or a column is there twice.
    pub(super) fn of(record: &Record) -> Result<Self, FileError> {
        let mut headings = Self {
            known: BTreeMap::new(),
            unknown: BTreeMap::new(),
        };
        for (at, cell) in &record.cells {
            let heading = cell.heading();
            match Column::of_heading(heading) {
                Some(column) if headings.known.values().any(|known| *known == column) => {
                    return Err(FileError::RepeatedHeading(column));
                }
                Some(column) => headings.known.insert(*at, column).map_or((), drop),
                None => headings
                    .unknown
                    .insert(*at, heading.to_owned())
                    .map_or((), drop),
            }
        }
        if headings.known.is_empty() {
            return Err(FileError::NoHeadings);
        }
        Ok(headings)
    }

    /// Counts the known headings.
    pub(super) fn known(record: &Record) -> usize {
        let known = |(_, cell): &&(u32, CellValue)| Column::of_heading(cell.heading()).is_some();
        record.cells.iter().filter(known).count()
    }
}

/// Reads records below headings; without `headings` the first record has them.
///
/// # Errors
/// The first error of a record, or when there are no rows or too many.
pub(super) fn collect(
    records: impl Iterator<Item = Result<Record, FileError>>,
    mut headings: Option<Headings>,
) -> Result<ChannelList, FileError> {
    let (mut rows, mut text) = (Vec::new(), 0);
    for record in records {
        let record = record?;
        let Some(headings) = &headings else {
            headings = Some(Headings::of(&record)?);
            continue;
        };
        if rows.len() == MAX_ROWS {
            return Err(FileError::TooManyRows);
        }
        let row = row(record, headings);
        text += row.text_bytes();
        if text > MAX_TEXT {
            return Err(FileError::TooLarge);
        }
        rows.push(row);
    }
    let headings = headings.ok_or(FileError::Empty)?;
    if rows.is_empty() {
        return Err(FileError::NoRows);
    }
    let unknown = headings.unknown.into_values();
    Ok(ChannelList {
        rows,
        unknown_columns: unknown.filter(|heading| !heading.is_empty()).collect(),
    })
}

fn row(record: Record, headings: &Headings) -> ChannelRow {
    let mut row = ChannelRow {
        line: record.line,
        ..ChannelRow::default()
    };
    for (at, cell) in record.cells {
        let filled = match headings.known.get(&at) {
            Some(column) => row.fill(*column, cell),
            None if headings.unknown.contains_key(&at) => Ok(()),
            None => Err(RowFault::CellWithoutHeading),
        };
        row.fault = row.fault.or(filled.err());
    }
    row
}

impl ChannelRow {
    fn text_bytes(&self) -> usize {
        let names = [&self.label, &self.group, &self.scene_str, &self.scene_id];
        let texts = names.into_iter().chain([&self.reply, &self.reply_news]);
        texts.flatten().map(String::len).sum()
    }

    fn fill(&mut self, column: Column, cell: CellValue) -> Result<(), RowFault> {
        let text = cell.into_text(column)?;
        let value = trimmed(&text);
        if value.is_empty() {
            return Ok(());
        }
        if value.len() != text.len() {
            self.trimmed.push(column);
        }
        match column {
            Column::Label => self.label = Some(value.to_owned()),
            Column::Group => self.group = Some(value.to_owned()),
            Column::SceneStr => self.scene_str = Some(value.to_owned()),
            Column::SceneId => self.scene_id = Some(value.to_owned()),
            Column::Permanent => self.permanent = Some(cell::permanent(value)?),
            Column::Reply => self.reply = Some(value.to_owned()),
            Column::ReplyNews => self.reply_news = Some(value.to_owned()),
            Column::ExpireSeconds => self.expire_seconds = Some(cell::lifetime(value)?),
        }
        Ok(())
    }
}
