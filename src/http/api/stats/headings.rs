//! The columns of the numbers in a file, CSV or workbook.

use channel_files::{Heading, Width};

use super::definitions::NumberNames;
use crate::http::i18n::lang::Lang;

/// The headings, with the day where there is a row for each.
pub(super) fn headings(by_day: bool, lang: Lang) -> Vec<Heading<'static>> {
    let column = |text, width| Heading { text, width };
    let mut headings = vec![
        column(lang.pick("名称", "Label"), Width::Middle),
        column(lang.pick("分组", "Group"), Width::Middle),
        column("scene_id", Width::Narrow),
        column("scene_str", Width::Middle),
        column(lang.pick("类型", "Kind"), Width::Narrow),
    ];
    if by_day {
        headings.push(column(lang.pick("日期", "Day"), Width::Narrow));
    }
    let numbers = NumberNames::of(lang).pairs();
    headings.extend(numbers.map(|(_, name)| column(name, Width::Narrow)));
    headings
}
