//! The query of `/api/stats` and of its files.

use jiff::ToSpan;
use jiff::civil::Date;

use crate::http::api::query;
use crate::http::i18n::lang::Lang;
use crate::http::problem::{ErrorCode, Problem};
use crate::statistics::{EventStore, Granularity, NumbersFilter};

/// The parameters of the JSON, and those of the files.
pub(super) const OF_JSON: &[&str] = &["scene", "group", "from", "to", "by", "sum", "lang"];
pub(super) const OF_FILE: &[&str] = &["q", "scene", "group", "from", "to", "by", "lang"];

/// Days in a range without `from`.
const DEFAULT_DAYS: i32 = 30;

#[derive(Debug)]
pub(super) struct StatsQuery {
    pub(super) filter: NumbersFilter,
    /// Of a file: part of the label, the group or the scene of its codes.
    pub(super) search: Option<String>,
    /// Whether all codes are counted together.
    pub(super) sum: bool,
    pub(super) lang: Lang,
}

impl StatsQuery {
    /// Parses the query. `today` is the default of `to`.
    pub(super) fn parse(raw: Option<&str>, known: &[&str], today: Date) -> Result<Self, Problem> {
        let mut filter = NumbersFilter {
            scene: None,
            group: None,
            from: today,
            to: today,
            granularity: Granularity::Total,
        };
        let (mut from, mut search, mut sum, mut lang) = (None, None, false, Lang::En);
        for (name, value) in query::known_pairs(raw, known)? {
            match name.as_str() {
                "scene" => filter.scene = Some(query::scene(&value)?),
                "group" => filter.group = Some(value),
                "q" => search = Some(value).filter(|text| !text.is_empty()),
                "from" => from = Some(day("from", &value)?),
                "to" => filter.to = day("to", &value)?,
                "by" => filter.granularity = granularity(&value)?,
                "sum" => sum = query::boolean("sum", &value)?,
                // "lang": no other name is left.
                _ => lang = query::language(&value)?,
            }
        }
        filter.from = from.unwrap_or_else(|| first_day_until(filter.to));
        check_range(&filter)?;
        Ok(Self {
            filter,
            search,
            sum,
            lang,
        })
    }
}

/// The default of `from`.
fn first_day_until(to: Date) -> Date {
    to.saturating_sub((DEFAULT_DAYS - 1).days())
        .max(query::FIRST_DAY)
}

fn check_range(filter: &NumbersFilter) -> Result<(), Problem> {
    if filter.from > filter.to {
        let message = format!("must not be after to ({})", filter.to);
        return Err(Problem::invalid_parameter("from", message));
    }
    let days = (filter.to - filter.from).get_days().unsigned_abs() as usize + 1;
    if filter.granularity == Granularity::Day && days > EventStore::MAX_ROWS {
        return Err(too_many_rows());
    }
    Ok(())
}

// The message here and that of `templates/stats.html` say so.
const _: () = assert!(EventStore::MAX_ROWS == 100_000);

/// The problem of a result that is too large.
pub(super) fn too_many_rows() -> Problem {
    let message = "that would be more than 100,000 rows; narrow the range from ... to, or name a group or a scene";
    Problem::new(ErrorCode::InvalidParameter, message)
}

fn day(name: &str, value: &str) -> Result<Date, Problem> {
    query::day(value).ok_or_else(|| {
        let message = "must be a day such as 2026-11-22, not before 1970-01-01";
        Problem::invalid_parameter(name, message)
    })
}

fn granularity(value: &str) -> Result<Granularity, Problem> {
    match value {
        "day" => Ok(Granularity::Day),
        "total" => Ok(Granularity::Total),
        _ => {
            let message = "must be day or total";
            Err(Problem::invalid_parameter("by", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 22);

    fn range(raw: &str) -> Result<(String, String), String> {
        let wanted = StatsQuery::parse(Some(raw), OF_JSON, TODAY);
        let wanted = wanted.map_err(|problem| problem.explanation(Lang::En))?;
        let filter = wanted.filter;
        Ok((filter.from.to_string(), filter.to.to_string()))
    }

    #[test]
    fn the_range_is_the_last_thirty_days_unless_something_is_said() {
        for (raw, from, to) in [
            ("", "2026-10-24", "2026-11-22"),
            ("from=2026-11-01", "2026-11-01", "2026-11-22"),
            ("to=2026-03-01", "2026-01-31", "2026-03-01"),
            ("to=1970-01-05", "1970-01-01", "1970-01-05"),
            ("from=2026-11-22&to=2026-11-22", "2026-11-22", "2026-11-22"),
            ("from=1970-01-01&to=9999-12-31", "1970-01-01", "9999-12-31"),
        ] {
            let want = Ok((from.to_owned(), to.to_owned()));
            assert_eq!(range(raw), want, "{raw}");
        }
    }

    #[test]
    fn what_cannot_be_a_range_is_refused_with_what_could_be() {
        for (raw, want) in [
            ("from=2026-11-23", "from must not be after to (2026-11-22)."),
            (
                "from=2026-11-02&to=2026-11-01",
                "from must not be after to (2026-11-01).",
            ),
            (
                "to=22.11.2026",
                "to must be a day such as 2026-11-22, not before 1970-01-01.",
            ),
            ("by=week", "by must be day or total."),
            ("sum=1", "sum must be true or false."),
            ("lang=de", "lang must be zh or en."),
            (
                "day=2026-11-22",
                "day is not a parameter here; accepted: scene, group, from, to, by, sum, lang.",
            ),
            (
                "scene=7",
                "scene must be id:NUMBER or str:TEXT, perhaps with permanent:, temporary: or unattributed: in front.",
            ),
            (
                "by=day&from=1970-01-01&to=2243-10-18",
                "That would be more than 100,000 rows; narrow the range from ... to, or name a group or a scene.",
            ),
        ] {
            assert_eq!(range(raw), Err(want.to_owned()), "{raw}");
        }
        assert!(range("by=day&from=1970-01-01&to=2243-10-16").is_ok());
    }
}
