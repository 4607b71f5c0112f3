//! Values of cells.

use super::column::Column;
use super::error::RowFault;

/// The whole numbers that a spreadsheet keeps exactly are below this: it has 15 digits.
const EXACT_BELOW: f64 = 1e15;

/// The longest text of a cell, in bytes: a card has two addresses of 1024 bytes, a title and a
/// description; a reply has 600 characters, a name fewer. A workbook stores a text once for all
/// cells that show it, so a longer one could be copied thousands of times.
const MAX_TEXT: usize = 4096;

/// A cell that is not empty.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum CellValue {
    Text(String),
    TooLong,
    Number(f64),
    Bool(bool),
    Date,
    Error,
    /// A formula whose result is not in the file.
    NoResult,
}

impl CellValue {
    /// A cell with a text; none if it is blank.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        match text.len() {
            _ if trimmed(text).is_empty() => None,
            0..=MAX_TEXT => Some(Self::Text(text.to_owned())),
            _ => Some(Self::TooLong),
        }
    }

    /// The text of a heading.
    pub(super) fn heading(&self) -> &str {
        match self {
            Self::Text(text) => trimmed(text),
            _ => "",
        }
    }

    /// The value as text, as a person reads it in the spreadsheet.
    ///
    /// # Errors
    /// When the spreadsheet has changed what was entered.
    pub(super) fn into_text(self, column: Column) -> Result<String, RowFault> {
        match self {
            Self::Text(text) if is_scene(column) && is_rounded(&text) => {
                Err(RowFault::Rounded(column))
            }
            Self::Text(text) if !column.has_lines() && trimmed(&text).contains(['\n', '\r']) => {
                Err(RowFault::LineBreak(column))
            }
            Self::Text(text) => Ok(text),
            Self::TooLong => Err(RowFault::TooLong(column)),
            Self::Number(number) if number.abs() >= EXACT_BELOW => Err(RowFault::Rounded(column)),
            Self::Number(number) => Ok(number.to_string()),
            Self::Bool(value) => Ok(value.to_string()),
            Self::Date => Err(RowFault::Date(column)),
            Self::Error => Err(RowFault::SpreadsheetError(column)),
            Self::NoResult => Err(RowFault::NoResult(column)),
        }
    }
}

fn is_scene(column: Column) -> bool {
    matches!(column, Column::SceneStr | Column::SceneId)
}

/// Whether a text is a number as spreadsheets shorten it in a CSV file, such as `1.23E+19`.
fn is_rounded(text: &str) -> bool {
    let Some((number, exponent)) = trimmed(text).split_once("E+") else {
        return false;
    };
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    whole.len() == 1 && are_digits(whole) && are_digits(fraction) && are_digits(exponent)
}

/// A text without the blanks and invisible characters at its ends.
pub(super) fn trimmed(text: &str) -> &str {
    let is_blank = |letter: char| {
        letter.is_whitespace()
            || matches!(
                letter,
                '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{2800}' | '\u{3164}'
            )
    };
    text.trim_matches(is_blank)
}

/// Parses the kind of a code: whether it is permanent.
pub(super) fn permanent(text: &str) -> Result<bool, RowFault> {
    match text.to_lowercase().as_str() {
        "永久" | "permanent" | "true" | "是" => Ok(true),
        "临时" | "temporary" | "false" | "否" => Ok(false),
        _ => Err(RowFault::Kind),
    }
}

/// Parses a lifetime, in seconds: `3600`, `12h`, `30天`.
pub(super) fn lifetime(text: &str) -> Result<u64, RowFault> {
    let unit_at = text.find(|letter: char| !letter.is_ascii_digit());
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let seconds = match trimmed(unit).to_lowercase().as_str() {
        "" | "s" | "秒" | "seconds" => 1,
        "m" | "min" | "分" | "分钟" | "minutes" => 60,
        "h" | "小时" | "hours" => 3600,
        "d" | "天" | "日" | "days" => 86_400,
        _ => return Err(RowFault::Lifetime),
    };
    let number: u64 = number.parse().map_err(|_| RowFault::Lifetime)?;
    number.checked_mul(seconds).ok_or(RowFault::Lifetime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_has_a_unit() {
        for (text, want) in [
            ("3600", Ok(3600)),
            ("12h", Ok(43_200)),
            ("30天", Ok(2_592_000)),
            ("30 天", Ok(2_592_000)),
            ("7d", Ok(604_800)),
            ("12小时", Ok(43_200)),
            ("90分钟", Ok(5400)),
            ("", Err(RowFault::Lifetime)),
            ("天", Err(RowFault::Lifetime)),
            ("-1", Err(RowFault::Lifetime)),
            ("1.5h", Err(RowFault::Lifetime)),
            ("3年", Err(RowFault::Lifetime)),
            ("99999999999999999999", Err(RowFault::Lifetime)),
            ("9999999999999999999d", Err(RowFault::Lifetime)),
        ] {
            assert_eq!(lifetime(text), want, "input {text:?}");
        }
    }

    #[test]
    fn digits_are_never_changed() {
        let column = Column::SceneStr;
        let rounded = Err(RowFault::Rounded(column));
        for (cell, want) in [
            (CellValue::Number(123.0), Ok("123")),
            (CellValue::Number(0.5), Ok("0.5")),
            (
                CellValue::Number(999_999_999_999_999.0),
                Ok("999999999999999"),
            ),
            (CellValue::Number(1e15), rounded),
            (CellValue::Number(1.23e19), rounded),
            (CellValue::Text("000123".into()), Ok("000123")),
            (
                CellValue::Text("12345678901234567890".into()),
                Ok("12345678901234567890"),
            ),
            (CellValue::Text("1.23E+19".into()), rounded),
            (CellValue::Text("1E+15".into()), rounded),
            (CellValue::Text("CODE+1".into()), Ok("CODE+1")),
            (CellValue::Text("=1+1".into()), Ok("=1+1")),
        ] {
            let got = cell.clone().into_text(column);
            assert_eq!(got.as_deref(), want.as_ref().copied(), "input {cell:?}");
        }
        let label = CellValue::Text("1.23E+19".into()).into_text(Column::Label);
        assert_eq!(label.as_deref(), Ok("1.23E+19"));
    }
}
