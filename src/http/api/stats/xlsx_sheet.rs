//! The numbers as a workbook, with real numbers and dates.

use channel_files::{Cell, Workbook};
use jiff::civil::Date;

use super::headings::headings;
use super::row::net;
use crate::http::api::attribution::{AttributionBody, kind_name};
use crate::http::i18n::lang::Lang;
use crate::statistics::NumbersRow;

/// The rows that are written at once: some milliseconds of work.
const ROWS: usize = 256;

/// A workbook of these rows, in pieces.
pub(super) fn pieces(
    mut rows: impl Iterator<Item = NumbersRow>,
    by_day: bool,
    lang: Lang,
) -> impl Iterator<Item = Vec<u8>> {
    let mut open = Some(new(by_day, lang));
    std::iter::from_fn(move || {
        let workbook = open.as_mut()?;
        let mut written = 0;
        for row in rows.by_ref().take(ROWS) {
            write(workbook, &row, by_day, lang);
            written += 1;
        }
        if written == 0 {
            return open.take().map(Workbook::finish);
        }
        Some(workbook.take())
    })
}

fn new(by_day: bool, lang: Lang) -> Workbook {
    Workbook::new(lang.pick("统计", "Statistics"), &headings(by_day, lang))
}

/// Writes a row. Scene numbers and names are texts, also where they are digits.
fn write(workbook: &mut Workbook, row: &NumbersRow, by_day: bool, lang: Lang) {
    let code = AttributionBody::from(&row.attribution);
    let scene_id = code.scene_id.map(|id| id.to_string());
    let mut cells = vec![
        text(row.channel.label.as_deref()),
        text(row.channel.group.as_deref()),
        text(scene_id.as_deref()),
        text(code.scene_str.as_deref()),
        text(Some(kind_name(code.permanent, lang))),
    ];
    if by_day {
        cells.push(row.day.map_or(Cell::Empty, day));
    }
    let numbers = &row.numbers;
    cells.extend(
        [
            numbers.scans.cast_signed(),
            numbers.people.cast_signed(),
            numbers.new_followers.cast_signed(),
            numbers.lost.cast_signed(),
            net(numbers.new_followers, numbers.lost),
        ]
        .map(Cell::Number),
    );
    workbook.write(&cells);
}

fn text(text: Option<&str>) -> Cell<'_> {
    text.map_or(Cell::Empty, Cell::Text)
}

fn day(day: Date) -> Cell<'static> {
    Cell::Day((day - Date::constant(1970, 1, 1)).get_days())
}
