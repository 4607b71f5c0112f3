//! The numbers as CSV. Texts are escaped against formula injection, because strangers choose some
//! of them and spreadsheets run what looks like a formula.

use csv::{Terminator, WriterBuilder};

use super::headings::headings;
use super::row::StatsRow;
use crate::http::api::attribution::kind_name;
use crate::http::i18n::lang::Lang;

/// The mark by which spreadsheets recognise UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The characters that a formula may begin with, in Chinese and Japanese spreadsheets also the wide
/// forms. Some spreadsheets skip a tab or a line break in front.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// The beginning of the file: a byte-order mark, and the headings.
pub(super) fn beginning(by_day: bool, lang: Lang) -> Vec<u8> {
    let mut file = BYTE_ORDER_MARK.to_vec();
    let headings = headings(by_day, lang);
    let texts = headings.iter().map(|heading| heading.text.to_owned());
    write(&mut file, std::iter::once(texts.collect()));
    file
}

/// Writes rows as CSV (RFC 4180).
pub(super) fn write_rows(file: &mut Vec<u8>, rows: &[StatsRow], by_day: bool, lang: Lang) {
    write(file, rows.iter().map(|row| cells(row, by_day, lang)));
}

fn write(file: &mut Vec<u8>, lines: impl Iterator<Item = Vec<String>>) {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .from_writer(file);
    for line in lines {
        writer
            .write_record(&line)
            .expect("a vector takes lines of equal length");
    }
    writer.flush().expect("a vector takes all that is written");
}

fn cells(row: &StatsRow, by_day: bool, lang: Lang) -> Vec<String> {
    let code = row.code.as_ref();
    let number = |number: Option<u64>| number.map_or_else(String::new, |it| it.to_string());
    let mut cells = vec![
        text(row.label.as_deref()),
        text(row.group.as_deref()),
        number(code.and_then(|code| code.scene_id).map(u64::from)),
        text(code.and_then(|code| code.scene_str.as_deref())),
        kind_name(code.and_then(|code| code.permanent), lang).to_owned(),
    ];
    if by_day {
        cells.push(row.day.clone().unwrap_or_default());
    }
    cells.extend([
        row.scans.to_string(),
        number(row.people),
        row.new_followers.to_string(),
        row.lost.to_string(),
        row.net.to_string(),
    ]);
    cells
}

/// Escapes a text that would be a formula.
fn text(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    if text.starts_with(FORMULA) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::attribution::AttributionBody;

    fn row(label: &str, scene_str: &str, permanent: Option<bool>, net: i64) -> StatsRow {
        StatsRow {
            code: Some(AttributionBody {
                scene_id: None,
                scene_str: Some(scene_str.to_owned()),
                permanent,
                attributed: permanent.is_some(),
            }),
            label: Some(label.to_owned()).filter(|label| !label.is_empty()),
            group: None,
            archived: false,
            day: Some("2026-11-22".to_owned()),
            scans: 12,
            people: Some(9),
            new_followers: 4,
            lost: 7,
            net,
        }
    }

    fn written(rows: &[StatsRow], by_day: bool, lang: Lang) -> Vec<u8> {
        let mut file = beginning(by_day, lang);
        write_rows(&mut file, rows, by_day, lang);
        file
    }

    #[test]
    fn numbers_stay_numbers_and_texts_stay_texts() {
        let rows = [
            row("-3", "=1+1", Some(true), -3),
            row("a \"b\", c", "two\r\nlines", Some(false), 0),
            row("", "\t=1", None, 1),
        ];
        let want = "\u{feff}Label,Group,scene_id,scene_str,Kind,Scans,People,New followers,Lost,Net\r\n\
            '-3,,,'=1+1,permanent,12,9,4,7,-3\r\n\
            \"a \"\"b\"\", c\",,,\"two\r\nlines\",temporary,12,9,4,7,0\r\n\
            ,,,'\t=1,unattributed,12,9,4,7,1\r\n";
        let got = String::from_utf8(written(&rows, false, Lang::En)).unwrap();
        assert_eq!(got, want);
    }

    #[test]
    fn a_file_by_day_has_days_and_chinese_headings_if_asked() {
        let want = "\u{feff}名称,分组,scene_id,scene_str,类型,日期,扫码次数,扫码人数,新增关注,流失,净增\r\n\
            海报,,,a,临时,2026-11-22,12,9,4,7,1\r\n";
        let rows = [row("海报", "a", Some(false), 1)];
        let got = String::from_utf8(written(&rows, true, Lang::Zh)).unwrap();
        assert_eq!(got, want);
    }

    #[test]
    fn nothing_that_begins_like_a_formula_is_left_one() {
        for first in "=+-@\t\r\n＝＋－＠".chars() {
            let given = format!("{first}cmd|' /C calc'!A0");
            assert_eq!(text(Some(&given)), format!("'{given}"));
        }
        for harmless in ["", "a=1", "'=1", " =1", "海报-1", "1-2"] {
            assert_eq!(text(Some(harmless)), harmless);
        }
    }
}
