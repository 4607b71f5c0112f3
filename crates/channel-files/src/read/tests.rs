//! Files as people make them, and as they do not.

use std::io::{Cursor, Write as _};

use encoding_rs::GB18030;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{ChannelList, ChannelRow, Column, FileError, FileFormat, MAX_ROWS, RowFault, read};

const PARTS: [(&str, &str); 4] = [
    (
        "_rels/.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#,
    ),
    (
        "[Content_Types].xml",
        r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>"#,
    ),
    (
        "xl/workbook.xml",
        r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="hidden" sheetId="1" state="hidden" r:id="rId1"/><sheet name="a" sheetId="2" r:id="rId2"/></sheets></workbook>"#,
    ),
    (
        "xl/_rels/workbook.xml.rels",
        r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/></Relationships>"#,
    ),
];

const STYLES: &str = r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#;

/// A workbook of a sheet with these rows in XML, and shared strings.
fn workbook(rows: &str, strings: &str) -> Vec<u8> {
    let sheet = |rows: &str| {
        format!(
            r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#
        )
    };
    let (hidden, shown) = (sheet(""), sheet(rows));
    let mut parts = PARTS.to_vec();
    parts.extend([
        ("xl/styles.xml", STYLES),
        ("xl/sharedStrings.xml", strings),
        ("xl/worksheets/sheet1.xml", &hidden),
        ("xl/worksheets/sheet2.xml", &shown),
    ]);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
        writer
            .start_file(name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(text.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn inline(cell: &str, text: &str) -> String {
    format!(r#"<c r="{cell}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>"#)
}

fn csv(text: &str) -> Result<ChannelList, FileError> {
    read(FileFormat::Csv, text.as_bytes())
}

fn labels(list: &ChannelList) -> Vec<&str> {
    let labels = list.rows.iter().map(|row| row.label.as_deref());
    labels.map(Option::unwrap_or_default).collect()
}

fn faults(list: &ChannelList) -> Vec<(u32, Option<RowFault>)> {
    list.rows.iter().map(|row| (row.line, row.fault)).collect()
}

#[test]
fn columns_have_their_headings_in_any_order_and_language() {
    let want = ChannelRow {
        line: 2,
        label: Some("南京路店".into()),
        group: Some("上海".into()),
        scene_str: Some("000123".into()),
        permanent: Some(false),
        expire_seconds: Some(2_592_000),
        ..ChannelRow::default()
    };
    for text in [
        "名称,分组,场景值,类型,有效期\n南京路店,上海,000123,临时,30天\n",
        "\u{feff}名称,分组,场景值,类型,有效期\r\n南京路店,上海,000123,临时,30天\r\n",
        "有效期;类型;场景值;分组;名称\n2592000;false;000123;上海;南京路店",
        "LABEL\tGroup\tscene_str\tpermanent\texpire_seconds\n南京路店\t上海\t000123\tFALSE\t720h",
        "\"名称\",\"分组\",\"场景值\",\"类型\",\"有效期\"\n\"南京路店\",\"上海\",\"000123\",\"临时\",\"30天\"",
    ] {
        let list = csv(text).unwrap();
        assert_eq!(list.rows, std::slice::from_ref(&want), "{text}");
        let (gb, _, _) = GB18030.encode(text);
        assert_eq!(read(FileFormat::Csv, &gb).as_ref(), Ok(&list), "{text}");
        let utf_16: Vec<u8> = std::iter::once(0xfeff)
            .chain(text.trim_start_matches('\u{feff}').encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect();
        assert_eq!(read(FileFormat::Csv, &utf_16), Ok(list), "{text}");
    }
}

#[test]
fn unknown_columns_are_named_and_lines_are_those_of_the_file() {
    let list = csv("城市,名称,备注\n\n上海,甲,\"两\n行\"\n,,\n,乙,\n").unwrap();
    assert_eq!(list.unknown_columns, ["城市", "备注"]);
    assert_eq!(labels(&list), ["甲", "乙"]);
    let lines: Vec<_> = list.rows.iter().map(|row| row.line).collect();
    assert_eq!(lines, [3, 6]);
}

#[test]
fn blanks_at_the_ends_are_removed_and_said() {
    let list = csv("名称,分组\n 甲\u{3000},\u{feff}上 海\n").unwrap();
    let row = &list.rows[0];
    assert_eq!(row.label.as_deref(), Some("甲"));
    assert_eq!(row.group.as_deref(), Some("上 海"));
    assert_eq!(row.trimmed, [Column::Label, Column::Group]);
}

#[test]
fn a_text_has_one_name_a_line() {
    let lines = |text: &str| read(FileFormat::Lines, text.as_bytes());
    let list = lines("甲\r\n\r\n 乙,丙 \n").unwrap();
    assert_eq!(labels(&list), ["甲", "乙,丙"]);
    assert_eq!(list.rows[1].line, 3);
    assert_eq!(labels(&lines("名称\n甲\n").unwrap()), ["甲"]);
    for heading in ["名称", "Name", "label", "渠道名称"] {
        let list = lines(&format!("\n \n{heading}\n\n甲\n")).unwrap();
        assert_eq!(labels(&list), ["甲"], "{heading}");
        assert_eq!(list.rows[0].line, 5);
    }
    let pasted = lines("名称\t分组\n甲\t上海\n").unwrap();
    assert_eq!(pasted.rows[0].group.as_deref(), Some("上海"));
    assert_eq!(lines("\n甲\t上海\n"), Err(FileError::NoHeadings));
    assert_eq!(labels(&lines("甲\t\n乙\n").unwrap()), ["甲", "乙"]);
}

#[test]
fn lines_end_with_any_break() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["名称", "甲", "", "\"乙", "丙\"", "丁", ""].join(end);
        let lines = csv(&text).unwrap().rows.into_iter().map(|row| row.line);
        assert_eq!(lines.collect::<Vec<_>>(), [2, 4, 6], "{end:?}");
    }
}

#[test]
fn a_text_is_no_longer_than_a_cell_may_be() {
    let cell = |length: usize| {
        let row = |cells: &str| format!("<row>{cells}</row>");
        let rows = row(&inline("A1", "名称")) + &row(&inline("A2", &"a".repeat(length)));
        read(FileFormat::Xlsx, &workbook(&rows, ""))
    };
    assert_eq!(cell(300_000), Err(FileError::TooLarge));
    assert_eq!(
        faults(&cell(32_767).unwrap()),
        [(2, Some(RowFault::TooLong(Column::Label)))]
    );
}

/// A record is bounded while it is read, on however many lines it is.
#[test]
fn a_record_has_no_more_fields_than_a_sheet_has_columns() {
    for fields in [",", "a,", "\"\n\","] {
        let text = format!("名称\n甲\n{}\n乙\n", fields.repeat(2_000_000));
        assert_eq!(
            csv(&text),
            Err(FileError::TooManyCells { line: 3 }),
            "{fields}"
        );
    }
    let text = format!("名称\n甲{}\n", ",".repeat(16_000));
    assert_eq!(labels(&csv(&text).unwrap()), ["甲"]);
}

#[test]
fn what_is_no_table_is_refused() {
    for (text, want) in [
        ("", FileError::Empty),
        ("\u{feff}", FileError::Empty),
        ("\r\n  \r\n", FileError::Empty),
        ("甲\n乙\n", FileError::NoHeadings),
        ("名称,分组\n\n", FileError::NoRows),
        (
            "名称,分组,名称\n甲,,\n",
            FileError::RepeatedHeading(Column::Label),
        ),
        (
            "名称,label\n甲,\n",
            FileError::RepeatedHeading(Column::Label),
        ),
        ("名称\n甲\0\n", FileError::NotText),
        ("PK\u{3}\u{4}", FileError::Workbook),
    ] {
        assert_eq!(csv(text), Err(want), "{text:?}");
    }
    let (mut gb, _, _) = GB18030.encode("名称\n南京路店\n");
    gb.to_mut().push(0x81);
    assert_eq!(read(FileFormat::Csv, &gb), Err(FileError::Encoding));
    for file in [&b"PK\x03\x04"[..], b"name\na\n", &[0; 100]] {
        assert_eq!(read(FileFormat::Xlsx, file), Err(FileError::NotAWorkbook));
    }
    let old = read(FileFormat::Xlsx, b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1");
    assert_eq!(old, Err(FileError::OldOrEncrypted));
}

#[test]
fn a_row_with_a_fault_does_not_stop_the_others() {
    let text = "名称,类型,有效期,场景值\n\
        甲,长久,,\n\
        乙,,3年,\n\
        丙,,,1.23E+19\n\
        丁,a,b,,,e\n\
        戊,永久,,\n\
        己,\"永久,,\n庚,,,\n";
    let want = [
        (2, Some(RowFault::Kind)),
        (3, Some(RowFault::Lifetime)),
        (4, Some(RowFault::Rounded(Column::SceneStr))),
        (5, Some(RowFault::Kind)),
        (6, None),
        (7, Some(RowFault::LineBreak(Column::Permanent))),
    ];
    assert_eq!(faults(&csv(text).unwrap()), want);
    let unquoted = csv("名称,分组\n甲,乙,丙\n").unwrap();
    assert_eq!(faults(&unquoted), [(2, Some(RowFault::CellWithoutHeading))]);
    let long = csv(&format!("名称\n{}\n", "长".repeat(1_000_000))).unwrap();
    assert_eq!(faults(&long), [(2, Some(RowFault::TooLong(Column::Label)))]);
}

#[test]
fn a_reply_has_lines_and_six_hundred_characters_or_is_a_card() {
    let longest = "🎪".repeat(600);
    let address = "x".repeat(1024);
    let card = format!(
        "{{'title': '{}', 'url': '{address}',\n'image_url': '{address}'}}",
        "🎪".repeat(184)
    );
    let text = format!(
        "名称,回复,reply_news\n甲,\"一\n二\",\n乙,{longest},\n丙,,\"{card}\"\n丁,{},\n",
        "x".repeat(4097)
    );
    let list = csv(&text).unwrap();
    assert_eq!(list.rows[0].reply.as_deref(), Some("一\n二"));
    assert_eq!(list.rows[1].reply.as_ref(), Some(&longest));
    assert_eq!(list.rows[2].reply_news.as_ref(), Some(&card));
    assert_eq!(list.unknown_columns, Vec::<String>::new());
    let too_long = RowFault::TooLong(Column::Reply);
    assert_eq!(faults(&list)[3], (7, Some(too_long)));
}

#[test]
fn a_file_may_have_ten_thousand_rows() {
    let text = |rows: usize| format!("名称\n{}", "甲\n".repeat(rows));
    assert_eq!(csv(&text(MAX_ROWS)).unwrap().rows.len(), MAX_ROWS);
    assert_eq!(csv(&text(MAX_ROWS + 1)), Err(FileError::TooManyRows));
    let many_cells = format!("名称\n{}\n", "甲,".repeat(200));
    assert_eq!(csv(&many_cells), Err(FileError::TooManyCells { line: 2 }));
}

#[test]
fn the_first_visible_sheet_of_a_workbook_is_read() {
    let rows = format!(
        "<row r=\"3\">{}{}{}{}</row><row r=\"4\">{}<c r=\"B4\"><v>123</v></c><c r=\"C4\" t=\"s\"><v>0</v></c><c r=\"D4\" t=\"b\"><v>1</v></c></row>\
         <row r=\"6\">{}{}<c r=\"C6\"><v>1.2345678901234567E+19</v></c></row>",
        inline("B3", "场景值"),
        inline("C3", "名称"),
        inline("D3", "permanent"),
        inline("E3", "城市"),
        inline("A4", ""),
        inline("B6", " 000123"),
        inline("E6", "上海"),
    );
    let strings = "<sst xmlns=\"http://schemas.openxmlformats.org/spreadsheetml/2006/main\" uniqueCount=\"1\"><si><t>南京路店 🎪 &amp; =1+1</t></si></sst>";
    let list = read(FileFormat::Xlsx, &workbook(&rows, strings)).unwrap();
    assert_eq!(list.unknown_columns, ["城市"]);
    let first = ChannelRow {
        line: 4,
        label: Some("南京路店 🎪 & =1+1".into()),
        scene_str: Some("123".into()),
        permanent: Some(true),
        ..ChannelRow::default()
    };
    let second = ChannelRow {
        line: 6,
        scene_str: Some("000123".into()),
        trimmed: vec![Column::SceneStr],
        fault: Some(RowFault::Rounded(Column::Label)),
        ..ChannelRow::default()
    };
    assert_eq!(list.rows, [first, second]);
}

#[test]
fn of_a_formula_its_stored_result_is_read() {
    let rows = format!(
        "<row r=\"1\">{}{}</row>\
         <row r=\"2\"><c r=\"A2\" t=\"str\"><f>HYPERLINK(\"http://evil\",\"x\")</f><v>甲</v></c></row>\
         <row r=\"3\"><c r=\"A3\"><f>1+1</f><v>2</v></c></row>\
         <row r=\"4\"><c r=\"A4\"><f>1+1</f></c>{}</row>\
         <row r=\"5\"><c r=\"A5\" t=\"e\"><f>1/0</f><v>#DIV/0!</v></c></row>\
         <row r=\"6\"><c r=\"A6\" s=\"1\"><v>45000</v></c></row>\
         <row r=\"7\"><c r=\"A7\"><f>B7</f><v></v></c></row>\
         <row r=\"8\"><c r=\"A8\"><f t=\"shared\" si=\"99999999999\"/></c><c r=\"B8\" s=\"1\"/></row>\
         <row r=\"9\"><c r=\"A9\" t=\"str\"><f>\"\"</f><v></v></c>{}</row>",
        inline("A1", "名称"),
        inline("B1", "分组"),
        inline("B4", "=1+1"),
        inline("B9", "of nothing"),
    );
    let list = read(FileFormat::Xlsx, &workbook(&rows, "")).unwrap();
    assert_eq!(labels(&list), ["甲", "2", "", "", "", "", "", ""]);
    assert_eq!(list.rows[2].group.as_deref(), Some("=1+1"));
    let label = Column::Label;
    let want = [
        (2, None),
        (3, None),
        (4, Some(RowFault::NoResult(label))),
        (5, Some(RowFault::SpreadsheetError(label))),
        (6, Some(RowFault::Date(label))),
        (7, Some(RowFault::NoResult(label))),
        (8, Some(RowFault::NoResult(label))),
        // An empty text is a result.
        (9, None),
    ];
    assert_eq!(faults(&list), want);
}

#[test]
fn an_error_value_that_is_not_known_is_shown_with_its_line() {
    let rows = |value: &str| {
        let (name, shop) = (inline("A1", "名称"), inline("A2", "甲"));
        format!(
            "<row r=\"1\">{name}</row><row r=\"2\">{shop}</row>\
             <row r=\"3\"><c r=\"A3\" t=\"e\"><v>{value}</v></c></row>"
        )
    };
    for (value, shown) in [
        ("#SPILL!", "#SPILL!"),
        ("Err:502", "Err:502"),
        (&"x".repeat(30), &"x".repeat(20)),
    ] {
        let got = read(FileFormat::Xlsx, &workbook(&rows(value), ""));
        let value = shown.to_owned();
        assert_eq!(got, Err(FileError::UnknownErrorValue { line: 2, value }));
    }
    for known in ["#N/A", "#NAME?", "#REF!", "#VALUE!"] {
        let list = read(FileFormat::Xlsx, &workbook(&rows(known), "")).unwrap();
        let fault = Some(RowFault::SpreadsheetError(Column::Label));
        assert_eq!(faults(&list), [(2, None), (3, fault)], "{known}");
    }
}

#[test]
fn what_a_workbook_unpacks_to_is_limited() {
    let head = format!("<row r=\"1\">{}</row>", inline("A1", "名称"));
    let bomb = workbook(&format!("{head}{}", " ".repeat(20_000_000)), "");
    assert!(bomb.len() < 100_000, "{}", bomb.len());
    assert_eq!(read(FileFormat::Xlsx, &bomb), Err(FileError::TooLarge));

    // calamine reserves memory for so many strings.
    for count in ["9999999999", "9223372036854775807"] {
        let strings = format!("<sst count=\"1\" uniqueCount = '{count}'><si><t>a</t></si></sst>");
        let file = workbook(&head, &strings);
        assert_eq!(
            read(FileFormat::Xlsx, &file),
            Err(FileError::TooLarge),
            "{count}"
        );
    }

    // One text, in many cells.
    let strings = format!(
        "<sst uniqueCount=\"1\"><si><t>{}</t></si></sst>",
        "a".repeat(200_000)
    );
    let row = |n: usize| format!("<row r=\"{n}\"><c r=\"A{n}\" t=\"s\"><v>0</v></c></row>");
    let rows: String = (2..10_000).map(row).collect();
    let list = read(
        FileFormat::Xlsx,
        &workbook(&format!("{head}{rows}"), &strings),
    )
    .unwrap();
    let too_long = Some(RowFault::TooLong(Column::Label));
    assert!(list.rows.iter().all(|row| row.fault == too_long));

    let strings = format!(
        "<sst uniqueCount=\"1\"><si><t>{}</t></si></sst>",
        "a".repeat(1000)
    );
    let file = workbook(&format!("{head}{rows}"), &strings);
    assert_eq!(read(FileFormat::Xlsx, &file), Err(FileError::TooLarge));
}

#[test]
fn a_damaged_workbook_is_refused() {
    let rows = format!(
        "<row r=\"1\">{}</row><row r=\"2\">{}</row>",
        inline("A1", "名称"),
        inline("A2", "甲")
    );
    let whole = workbook(&rows, "");
    assert!(read(FileFormat::Xlsx, &whole).is_ok());
    for length in [whole.len() / 2, whole.len() - 1] {
        let half = read(FileFormat::Xlsx, &whole[..length]);
        assert_eq!(half, Err(FileError::NotAWorkbook), "{length} bytes");
    }
    let unclosed = workbook("<row r=\"1\"><c r=\"A1\" t=\"inlineStr\"><is><t>名称", "");
    assert_eq!(
        read(FileFormat::Xlsx, &unclosed),
        Err(FileError::NotAWorkbook)
    );
    let far = format!("<row r=\"1\">{}</row>", inline("ZZZZZZ1", "名称"));
    assert_eq!(
        read(FileFormat::Xlsx, &workbook(&far, "")),
        Err(FileError::NoRows)
    );
}
