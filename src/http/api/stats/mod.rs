//! `GET /api/stats`, `/api/stats.csv` and `/api/stats.xlsx`: scans, people and followers by code
//! and day.

mod csv_sheet;
pub(crate) mod definitions;
mod file_name;
mod headings;
mod pieces;
mod query;
mod row;
mod xlsx_sheet;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::tz::Offset;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use self::file_name::file_name;
use self::query::{StatsQuery, too_many_rows};
use self::row::StatsRow;
use crate::clock::Clock;
use crate::http::api::attachment::{XLSX, file};
use crate::http::api::stats::definitions::Definitions;
use crate::http::extract::key_holder::{self, WithScope};
use crate::http::problem::{Document, Problem};
use crate::statistics::{Attribution, EventStore, Granularity, NumbersRow, NumbersRows};
use crate::text::folded;

/// The query of all, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct StatsParams {
    /// Codes of one scene, permanent or not: `id:123` or `str:poster`; with `permanent:`,
    /// `temporary:` or `unattributed:` in front, such as `permanent:str:poster`, the one of that
    /// kind.
    scene: Option<String>,
    /// Codes of exactly this group.
    group: Option<String>,
    /// The first day by `WXQR_TIME_ZONE`, `YYYY-MM-DD`. The default is 29 days before `to`.
    #[param(format = Date)]
    from: Option<String>,
    /// The last day, included. The default is today.
    #[param(format = Date)]
    to: Option<String>,
    /// A row for each day, or one for all days together. People are not additive over days.
    #[param(pattern = "^(day|total)$", default = "total")]
    by: Option<String>,
    /// The language of definitions and headings.
    #[param(pattern = "^(zh|en)$", default = "en")]
    lang: Option<String>,
}

/// The further parameters of the JSON, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct SumParams {
    /// `true`: all codes together, in one row or one for each day. People are not additive over
    /// codes, so there are none.
    #[param(default = false)]
    sum: Option<bool>,
}

/// The further parameters of the files, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct SearchParams {
    /// Part of the label, the group or the scene, without regard to case.
    q: Option<String>,
}

/// The numbers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
pub(crate) struct StatsBody {
    /// The first day.
    from: String,
    /// The last day, included.
    to: String,
    /// `day` or `total`.
    by: &'static str,
    /// The distance from UTC by which days begin, such as `+08:00`.
    time_zone: String,
    definitions: Definitions,
    rows: Vec<StatsRow>,
}

/// Lists scans, new followers and losses of each code that has a name, is permanent or was scanned
/// in that time.
#[utoipa::path(
    get,
    path = "/api/stats",
    params(StatsParams, SumParams),
    responses(
        (status = 200, description = "The numbers", body = StatsBody),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "statistics",
)]
pub(crate) async fn show(
    State(events): State<EventStore>,
    State(time_zone): State<Offset>,
    State(clock): State<Arc<dyn Clock>>,
    _: WithScope<key_holder::Stats>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let today = time_zone.to_datetime(clock.now()).date();
    let query = StatsQuery::parse(raw.as_deref(), query::OF_JSON, today)?;
    let body = if query.sum {
        let sums = events.sums(&query.filter).await?.into_iter();
        pieces::body(json(&query, time_zone, sums))
    } else {
        let numbers = numbers(&events, &query).await?;
        pieces::body(json(&query, time_zone, numbers))
    };
    let media_type = [(header::CONTENT_TYPE, "application/json")];
    Ok((media_type, body).into_response())
}

/// The same numbers as a file for spreadsheets: UTF-8 with a byte-order mark, RFC 4180. Text that
/// would be a formula has a `'` in front.
#[utoipa::path(
    get,
    path = "/api/stats.csv",
    params(StatsParams, SearchParams),
    responses(
        (status = 200, description = "The numbers", body = String, content_type = "text/csv"),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "statistics",
)]
pub(crate) async fn csv_file(
    State(events): State<EventStore>,
    State(time_zone): State<Offset>,
    State(clock): State<Arc<dyn Clock>>,
    _: WithScope<key_holder::Stats>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let today = time_zone.to_datetime(clock.now()).date();
    let query = StatsQuery::parse(raw.as_deref(), query::OF_FILE, today)?;
    let numbers = matching(numbers(&events, &query).await?, query.search.as_deref());
    let name = file_name(&query, "csv");
    let body = pieces::body(csv(&query, numbers));
    Ok(file("text/csv; charset=utf-8", &name, body))
}

/// The same numbers as a workbook, in which numbers and days are such, and digits that name
/// something are a text.
#[utoipa::path(
    get,
    path = "/api/stats.xlsx",
    params(StatsParams, SearchParams),
    responses(
        (status = 200, description = "The numbers", body = Vec<u8>, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "statistics",
)]
pub(crate) async fn xlsx_file(
    State(events): State<EventStore>,
    State(time_zone): State<Offset>,
    State(clock): State<Arc<dyn Clock>>,
    _: WithScope<key_holder::Stats>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let today = time_zone.to_datetime(clock.now()).date();
    let query = StatsQuery::parse(raw.as_deref(), query::OF_FILE, today)?;
    let numbers = matching(numbers(&events, &query).await?, query.search.as_deref());
    let name = file_name(&query, "xlsx");
    let by_day = query.filter.granularity == Granularity::Day;
    let body = pieces::body(xlsx_sheet::pieces(numbers, by_day, query.lang));
    Ok(file(XLSX, &name, body))
}

/// Reads the numbers of each code.
async fn numbers(events: &EventStore, query: &StatsQuery) -> Result<NumbersRows, Problem> {
    let numbers = events.numbers(&query.filter).await?;
    numbers.ok_or_else(too_many_rows)
}

/// The rows whose label, group or scene has this part, without regard to case.
fn matching<I>(rows: I, search: Option<&str>) -> impl Iterator<Item = NumbersRow> + use<I>
where
    I: Iterator<Item = NumbersRow>,
{
    let part = search.map(folded);
    rows.filter(move |row| part.as_deref().is_none_or(|part| has_part(row, part)))
}

fn has_part(row: &NumbersRow, part: &str) -> bool {
    let scene = match &row.attribution {
        Attribution::Code(scene) => scene.value().to_string(),
        Attribution::Unknown(text) => text.clone(),
    };
    let names = [&row.channel.label, &row.channel.group];
    let mut texts = names.into_iter().flatten().chain([&scene]);
    texts.any(|text| folded(text).contains(part))
}

/// The JSON, in pieces.
fn json<I>(query: &StatsQuery, time_zone: Offset, rows: I) -> impl Iterator<Item = Vec<u8>> + use<I>
where
    I: Iterator<Item: Into<StatsRow>>,
{
    let empty = StatsBody {
        from: query.filter.from.to_string(),
        to: query.filter.to.to_string(),
        by: match query.filter.granularity {
            Granularity::Day => "day",
            Granularity::Total => "total",
        },
        time_zone: offset_text(time_zone),
        definitions: Definitions::of(query.lang),
        rows: Vec::new(),
    };
    let mut beginning = serialize(&empty);
    beginning.truncate(beginning.len() - END.len());
    let mut is_first = true;
    let write = move |piece: &mut Vec<u8>, rows: Vec<StatsRow>| {
        for row in rows {
            if !std::mem::take(&mut is_first) {
                piece.push(b',');
            }
            piece.extend(serialize(&row));
        }
    };
    pieces::pieces(beginning, rows.map(Into::into), write, END)
}

/// The CSV, in pieces.
fn csv<I>(query: &StatsQuery, numbers: I) -> impl Iterator<Item = Vec<u8>> + use<I>
where
    I: Iterator<Item = NumbersRow>,
{
    let (by_day, lang) = (query.filter.granularity == Granularity::Day, query.lang);
    let write = move |piece: &mut Vec<u8>, rows: Vec<StatsRow>| {
        csv_sheet::write_rows(piece, &rows, by_day, lang);
    };
    let beginning = csv_sheet::beginning(by_day, lang);
    pieces::pieces(beginning, numbers.map(StatsRow::from), write, b"")
}

/// The end of the JSON, after the rows, which are the last field.
const END: &[u8] = b"]}";

fn serialize(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("numbers and texts are JSON")
}

/// Formats an offset like `+08:00`.
pub(crate) fn offset_text(offset: Offset) -> String {
    let minutes = offset.seconds() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.abs();
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;
    use proptest::prelude::*;

    use super::*;
    use crate::channels::Channel;
    use crate::http::i18n::lang::Lang;
    use crate::statistics::{Numbers, NumbersFilter};

    fn random_row() -> impl Strategy<Value = NumbersRow> {
        let text = "[=\"\\\\,\n 海报a]{0,9}";
        let text = || proptest::option::of(text);
        let number = || 0..10_000_u64;
        let numbers = (number(), number(), number(), number());
        ("[a-z]{1,9}", text(), text(), numbers).prop_map(|(scene, label, group, numbers)| {
            let (scans, people, new_followers, lost) = numbers;
            NumbersRow {
                attribution: Attribution::Unknown(scene),
                channel: Channel { label, group },
                archived: false,
                day: Some(Date::constant(2026, 11, 22)),
                numbers: Numbers {
                    scans,
                    people,
                    new_followers,
                    lost,
                },
            }
        })
    }

    fn query() -> StatsQuery {
        let day = Date::constant(2026, 11, 22);
        StatsQuery {
            filter: NumbersFilter {
                scene: None,
                group: None,
                from: day,
                to: day,
                granularity: Granularity::Day,
            },
            search: None,
            sum: false,
            lang: Lang::Zh,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn pieces_are_the_answer_as_it_would_be_written_at_once(
            rows in proptest::collection::vec(random_row(), 0..700)
        ) {
            let query = query();
            let as_rows: Vec<_> = rows.iter().cloned().map(StatsRow::from).collect();
            let mut file = csv_sheet::beginning(true, query.lang);
            csv_sheet::write_rows(&mut file, &as_rows, true, query.lang);
            let in_pieces: Vec<_> = csv(&query, rows.clone().into_iter()).flatten().collect();
            prop_assert_eq!(in_pieces, file);

            let stats = StatsBody {
                from: "2026-11-22".to_owned(),
                to: "2026-11-22".to_owned(),
                by: "day",
                time_zone: "+08:00".to_owned(),
                definitions: Definitions::of(query.lang),
                rows: as_rows,
            };
            let in_pieces = json(&query, Offset::constant(8), rows.into_iter());
            let in_pieces: Vec<_> = in_pieces.flatten().collect();
            prop_assert_eq!(in_pieces, serde_json::to_vec(&stats).unwrap());
        }
    }

    #[test]
    fn an_offset_is_written_as_in_the_setting() {
        for (minutes, want) in [
            (480, "+08:00"),
            (0, "+00:00"),
            (-210, "-03:30"),
            (-30, "-00:30"),
            (840, "+14:00"),
        ] {
            let offset = Offset::from_seconds(minutes * 60).unwrap();
            assert_eq!(offset_text(offset), want);
        }
    }
}
