//! XLSX workbooks of one sheet.

use super::archive::Archive;
use super::cell::{Cell, Heading};
use super::sheet_xml::{self, PARTS, SHEET};

/// A workbook of one sheet that is taken while it is written: memory does not grow with its rows.
#[derive(Debug)]
pub struct Workbook {
    archive: Archive,
    columns: usize,
    rows: u32,
}

impl Workbook {
    /// The most rows of a sheet, its headings among them.
    pub const MAX_ROWS: u32 = 1_048_576;

    /// A workbook with headings, which stay in view and have a filter.
    pub fn new(sheet: &str, headings: &[Heading<'_>]) -> Self {
        let mut archive = Archive::new();
        for (name, text) in PARTS {
            archive.begin(name);
            archive.write(text.as_bytes());
        }
        archive.begin("xl/workbook.xml");
        archive.write(sheet_xml::workbook(sheet).as_bytes());
        archive.begin(SHEET);
        archive.write(sheet_xml::beginning(headings).as_bytes());
        let mut workbook = Self {
            archive,
            columns: headings.len(),
            rows: 0,
        };
        workbook.write_xml(&sheet_xml::heading_row(headings));
        workbook
    }

    /// Writes a row.
    pub fn write(&mut self, cells: &[Cell<'_>]) {
        let row = sheet_xml::row(self.rows + 1, cells);
        self.write_xml(&row);
    }

    fn write_xml(&mut self, row: &str) {
        self.archive.write(row.as_bytes());
        self.rows += 1;
    }

    /// What was written since the last call, as far as it is compressed.
    pub fn take(&mut self) -> Vec<u8> {
        self.archive.take()
    }

    /// Writes the end, and takes the rest.
    pub fn finish(mut self) -> Vec<u8> {
        let end = sheet_xml::end(self.columns, self.rows);
        self.archive.write(end.as_bytes());
        self.archive.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use calamine::{Data, Reader as _, Xlsx};

    use super::*;
    use crate::write::cell::Width;

    const HEADINGS: [Heading<'_>; 3] = [
        Heading {
            text: "名称",
            width: Width::Middle,
        },
        Heading {
            text: "Scans",
            width: Width::Narrow,
        },
        Heading {
            text: "日期",
            width: Width::Wide,
        },
    ];

    fn read(file: Vec<u8>) -> calamine::Range<Data> {
        let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(file)).unwrap();
        workbook.worksheet_range("渠道").unwrap()
    }

    fn clock(cell: &Data) -> (u16, u8, u8, u8, u8, u8) {
        let Data::DateTime(time) = cell else {
            panic!("{cell:?} is no date");
        };
        let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
        (year, month, day, hour, minute, second)
    }

    #[test]
    fn another_library_reads_what_was_written() {
        let texts = [
            "000123",
            "12345678901234567890",
            "=1+1",
            "🎪 <&>\"'",
            " 两 端 ",
            "_x0041_",
            "a_x0041_",
            "x\u{1}y",
            "TRUE",
        ];
        let mut workbook = Workbook::new("渠道", &HEADINGS);
        for text in texts {
            workbook.write(&[Cell::Text(text), Cell::Number(-3), Cell::Day(20_786)]);
        }
        workbook.write(&[
            Cell::Empty,
            Cell::Number(1_234_567_890_123),
            Cell::Time(1_795_996_799),
        ]);
        let sheet = read(workbook.finish());
        let headings: Vec<_> = (0..3)
            .map(|column| sheet[(0, column)].to_string())
            .collect();
        assert_eq!(headings, ["名称", "Scans", "日期"]);
        for (row, text) in (1..).zip(texts) {
            assert_eq!(sheet[(row, 0)], Data::String(text.to_owned()));
            assert_eq!(sheet[(row, 1)], Data::Float(-3.0));
            assert_eq!(clock(&sheet[(row, 2)]), (2026, 11, 29, 0, 0, 0));
        }
        let last = texts.len() + 1;
        assert_eq!(sheet[(last, 0)], Data::Empty);
        assert_eq!(sheet[(last, 1)], Data::Float(1_234_567_890_123.0));
        assert_eq!(clock(&sheet[(last, 2)]), (2026, 11, 29, 23, 59, 59));
    }

    #[test]
    fn a_workbook_is_taken_while_it_is_written() {
        let mut workbook = Workbook::new("a", &HEADINGS);
        let (mut file, mut held) = (Vec::new(), 0);
        for n in 0..20_000 {
            workbook.write(&[Cell::Text("门店"), Cell::Number(n), Cell::Empty]);
            let piece = workbook.take();
            held = held.max(piece.len());
            file.extend(piece);
        }
        file.extend(workbook.finish());
        assert!(held < 128 * 1024, "{held} bytes at once of {}", file.len());
        let mut sheets: Xlsx<_> = Xlsx::new(Cursor::new(file)).unwrap();
        assert_eq!(sheets.worksheet_range("a").unwrap().height(), 20_001);
    }
}
