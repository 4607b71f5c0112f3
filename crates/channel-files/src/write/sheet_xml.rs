//! The XML of a workbook (ECMA-376): the smallest that spreadsheets open without a warning.
//!
//! Texts are in the sheet itself instead of a shared table, which would have to be kept in memory
//! until the end.

use std::fmt::Write as _;

use super::cell::{Cell, Heading, Width};

/// The entry of the sheet.
pub(super) const SHEET: &str = "xl/worksheets/sheet1.xml";

/// The parts that are always the same.
pub(super) const PARTS: [(&str, &str); 4] = [
    (
        "[Content_Types].xml",
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
            r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">"#,
            r#"<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>"#,
            r#"<Default Extension="xml" ContentType="application/xml"/>"#,
            r#"<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>"#,
            r#"<Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>"#,
            r#"<Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>"#,
            "</Types>",
        ),
    ),
    (
        "_rels/.rels",
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#,
            r#"<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/>"#,
            "</Relationships>",
        ),
    ),
    (
        "xl/_rels/workbook.xml.rels",
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
            r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">"#,
            r#"<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>"#,
            r#"<Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/>"#,
            "</Relationships>",
        ),
    ),
    ("xl/styles.xml", STYLES),
];

/// The cell formats, whose places are the constants below.
const STYLES: &str = concat!(
    r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
    r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">"#,
    r#"<numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd"/>"#,
    r#"<numFmt numFmtId="165" formatCode="yyyy\-mm\-dd\ hh:mm:ss"/></numFmts>"#,
    r#"<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>"#,
    r#"<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>"#,
    r#"<fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills>"#,
    "<borders count=\"1\"><border><left/><right/><top/><bottom/><diagonal/></border></borders>",
    r#"<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>"#,
    r#"<cellXfs count="5"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>"#,
    r#"<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>"#,
    r#"<xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
    r#"<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>"#,
    r#"<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>"#,
    r#"<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>"#,
    "</styleSheet>",
);
const HEADING: u8 = 1;
const TEXT: u8 = 2;
const DAY: u8 = 3;
const TIME: u8 = 4;

/// A spreadsheet's number of 1970-01-01: days since 1899-12-30.
const EPOCH_DAY: i64 = 25_569;
const DAY_SECONDS: i64 = 86_400;

/// The list of sheets.
pub(super) fn workbook(sheet: &str) -> String {
    format!(
        concat!(
            r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
            r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships">"#,
            r#"<sheets><sheet name="{}" sheetId="1" r:id="rId1"/></sheets></workbook>"#,
        ),
        escaped(sheet)
    )
}

/// The beginning of the sheet, to its rows. The first one stays in view.
pub(super) fn beginning(headings: &[Heading<'_>]) -> String {
    let mut xml = String::from(concat!(
        r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#,
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">"#,
        r#"<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>"#,
        "<cols>",
    ));
    for (number, heading) in (1..).zip(headings) {
        let width = match heading.width {
            Width::Narrow => 12,
            Width::Middle => 22,
            Width::Wide => 48,
        };
        push(
            &mut xml,
            format_args!(r#"<col min="{number}" max="{number}" width="{width}" customWidth="1"/>"#),
        );
    }
    xml.push_str("</cols><sheetData>");
    xml
}

pub(super) fn heading_row(headings: &[Heading<'_>]) -> String {
    let mut xml = String::from(r#"<row r="1">"#);
    for (column, heading) in (0..).zip(headings) {
        push_text(&mut xml, column, 1, HEADING, heading.text);
    }
    xml.push_str("</row>");
    xml
}

/// A row, by its number from 1 on.
pub(super) fn row(number: u32, cells: &[Cell<'_>]) -> String {
    let mut xml = format!(r#"<row r="{number}">"#);
    for (column, cell) in (0..).zip(cells) {
        match *cell {
            Cell::Empty => {}
            Cell::Text(text) => push_text(&mut xml, column, number, TEXT, text),
            Cell::Number(value) => push_number(&mut xml, column, number, 0, &value.to_string()),
            Cell::Day(day) => {
                let day = i64::from(day) + EPOCH_DAY;
                push_number(&mut xml, column, number, DAY, &day.to_string());
            }
            Cell::Time(seconds) => {
                push_number(&mut xml, column, number, TIME, &serial_time(seconds));
            }
        }
    }
    xml.push_str("</row>");
    xml
}

/// The end of the sheet, with a filter over its rows.
pub(super) fn end(columns: usize, rows: u32) -> String {
    let last = column_name(columns.saturating_sub(1));
    format!(r#"</sheetData><autoFilter ref="A1:{last}{rows}"/></worksheet>"#)
}

/// Days since 1899-12-30, with so many digits that the second stays.
fn serial_time(seconds: i64) -> String {
    let days = seconds.div_euclid(DAY_SECONDS) + EPOCH_DAY;
    let fraction = seconds.rem_euclid(DAY_SECONDS) * 1_000_000_000 / DAY_SECONDS;
    // Rounded up, so that a spreadsheet that truncates shows the same second.
    format!("{days}.{:09}", (fraction + 1).min(999_999_999))
}

fn push_text(xml: &mut String, column: usize, row: u32, style: u8, text: &str) {
    let (name, text) = (column_name(column), escaped(text));
    push(
        xml,
        format_args!(
            r#"<c r="{name}{row}" s="{style}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>"#
        ),
    );
}

fn push_number(xml: &mut String, column: usize, row: u32, style: u8, number: &str) {
    let name = column_name(column);
    push(
        xml,
        format_args!(r#"<c r="{name}{row}" s="{style}"><v>{number}</v></c>"#),
    );
}

fn push(xml: &mut String, text: std::fmt::Arguments<'_>) {
    xml.write_fmt(text)
        .expect("a string takes all that is written");
}

/// `A` to `Z`: a sheet has no more columns here.
fn column_name(column: usize) -> char {
    let letter = u8::try_from(column).ok().filter(|column| *column < 26);
    char::from(b'A' + letter.expect("a sheet has at most 26 columns"))
}

/// Escapes a text for XML. What XML cannot hold is written `_x0001_`, as spreadsheets do, and so is
/// the beginning of a text that looks the same.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for (at, letter) in text.char_indices() {
        match letter {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '_' if is_escape(&text[at..]) => xml.push_str("_x005F_"),
            '\t' | '\n' => xml.push(letter),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {
                push(&mut xml, format_args!("_x{:04X}_", u32::from(letter)));
            }
            _ => xml.push(letter),
        }
    }
    xml
}

fn is_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 7
        && bytes.starts_with(b"_x")
        && bytes[2..6].iter().all(u8::is_ascii_hexdigit)
        && bytes[6] == b'_'
}
