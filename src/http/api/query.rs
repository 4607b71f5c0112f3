//! Queries below `/api`, parsed strictly: every parameter is known and given once.

use jiff::civil::Date;

use crate::codes::SceneFilter;
use crate::http::extract::query::form_pairs_with_lists;
use crate::http::i18n::lang::{Lang, LangError};
use crate::http::problem::Problem;
use crate::text;

/// The largest and the default number of items of a page.
pub(super) const MAX_ITEMS: u16 = 1000;
pub(super) const DEFAULT_ITEMS: u16 = 100;

/// Decodes a query whose names are all `known`.
pub(super) fn known_pairs(
    raw: Option<&str>,
    known: &[&str],
) -> Result<Vec<(String, String)>, Problem> {
    known_pairs_with_lists(raw, known, &[])
}

/// Like [`known_pairs`], where the parameters of `lists` may be given many times.
pub(super) fn known_pairs_with_lists(
    raw: Option<&str>,
    known: &[&str],
    lists: &[&str],
) -> Result<Vec<(String, String)>, Problem> {
    let pairs = form_pairs_with_lists(raw.unwrap_or_default(), known, lists)?;
    for (name, value) in &pairs {
        // No name or scene has any, and PostgreSQL stores no NUL.
        if value.chars().any(char::is_control) {
            let message = "must have no control characters";
            return Err(Problem::invalid_parameter(name, message));
        }
        if !known.contains(&name.as_str()) {
            let message = format!("is not a parameter here; accepted: {}", known.join(", "));
            return Err(Problem::invalid_parameter(name, message));
        }
    }
    Ok(pairs)
}

/// Parses the number of items of a page.
pub(super) fn limit(value: &str) -> Result<u16, Problem> {
    let limit = value.parse().ok();
    let limit = limit.filter(|limit| (1..=MAX_ITEMS).contains(limit));
    limit.ok_or_else(|| {
        let message = format!("must be a whole number from 1 to {MAX_ITEMS}");
        Problem::invalid_parameter("limit", message)
    })
}

/// Parses a parameter that is `true` or `false`.
pub(super) fn boolean(name: &str, value: &str) -> Result<bool, Problem> {
    text::boolean(value).ok_or_else(|| Problem::invalid_parameter(name, "must be true or false"))
}

/// Parses which codes a list has: `false`, `true` or `all`, which is none.
pub(super) fn archived(value: &str) -> Result<Option<bool>, Problem> {
    if value == "all" {
        return Ok(None);
    }
    text::boolean(value).map(Some).ok_or_else(|| {
        let message = "must be false, true or all";
        Problem::invalid_parameter("archived", message)
    })
}

pub(super) fn language(value: &str) -> Result<Lang, Problem> {
    let lang = value.parse();
    lang.map_err(|error: LangError| Problem::invalid_parameter("lang", error))
}

/// Parses the filter by scene.
pub(super) fn scene(value: &str) -> Result<SceneFilter, Problem> {
    let filter = value.parse::<SceneFilter>();
    filter.map_err(|error| Problem::invalid_parameter("scene", error.to_string()))
}

/// Parses a day as `YYYY-MM-DD`, from 1970 on, where WeChat's clock begins.
pub(super) fn day(text: &str) -> Option<Date> {
    // `Date` parses other spellings too.
    let is_plain = text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let day = is_plain.then(|| text.parse::<Date>().ok())?;
    day.filter(|day| *day >= FIRST_DAY)
}

/// The first valid day.
pub(super) const FIRST_DAY: Date = Date::constant(1970, 1, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_one_spelling() {
        for (text, want) in [
            ("2026-11-22", true),
            ("1970-01-01", true),
            ("9999-12-31", true),
            ("2024-02-29", true),
            ("2026-02-29", false),
            ("1969-12-31", false),
            ("0000-01-01", false),
            ("20261122", false),
            ("2026-11-2", false),
            ("2026-13-01", false),
            ("2026/11/22", false),
            ("2026-11-22T00:00", false),
            ("+002026-11-22", false),
            ("今天", false),
            ("", false),
        ] {
            assert_eq!(day(text).is_some(), want, "input {text:?}");
        }
    }
}
