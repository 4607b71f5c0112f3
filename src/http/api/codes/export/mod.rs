//! `GET /api/codes.csv`, `/api/codes.xlsx` and `/api/codes.zip`: the list of codes as files.

pub(crate) mod archive;
mod csv_sheet;
mod file_name;
mod pages;
mod row;
mod xlsx_sheet;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use jiff::tz::Offset;
use utoipa::IntoParams;

use self::csv_sheet::CsvSheet;
use self::file_name::file_name;
use self::pages::{Pages, SHEET_PAGE, body};
use self::row::Presenter;
use self::xlsx_sheet::XlsxSheet;
use super::selection::{Selection, SelectionParams};
use crate::channels::ChannelStore;
use crate::clock::Clock;
use crate::http::api::attachment::{XLSX, file};
use crate::http::api::query::{known_pairs_with_lists, language};
use crate::http::extract::key_holder::{Stats, WithScope};
use crate::http::i18n::lang::Lang;
use crate::http::problem::{Document, Problem};
use crate::http::qrcode::body::CodePresenter;

/// The language of a workbook, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct LangParams {
    /// The language of headings.
    #[param(pattern = "^(zh|en)$", default = "en")]
    lang: Option<String>,
}

/// The selected codes as CSV: UTF-8, RFC 4180, every value as it is. For programs; spreadsheets
/// show `/api/codes.xlsx` better.
#[utoipa::path(
    get,
    path = "/api/codes.csv",
    params(SelectionParams),
    responses(
        (status = 200, description = "The codes", body = String, content_type = "text/csv"),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "codes",
)]
pub(crate) async fn csv_file(
    State(channels): State<ChannelStore>,
    State(presenter): State<CodePresenter>,
    State(clock): State<Arc<dyn Clock>>,
    holder: WithScope<Stats>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let (selection, _) = parse(raw.as_deref(), &Selection::NAMES)?;
    let presenter = Presenter::new(presenter, holder.caller().clone(), clock.now());
    let name = file_name(&selection, "csv");
    let pages = Pages::of(channels, selection, SHEET_PAGE).await?;
    let body = body(pages, CsvSheet::new(presenter));
    Ok(file("text/csv; charset=utf-8", &name, body))
}

/// The selected codes as a workbook, for spreadsheets: digits that are names stay texts.
#[utoipa::path(
    get,
    path = "/api/codes.xlsx",
    params(SelectionParams, LangParams),
    responses(
        (status = 200, description = "The codes", body = Vec<u8>, content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "codes",
)]
pub(crate) async fn xlsx_file(
    State(channels): State<ChannelStore>,
    State(presenter): State<CodePresenter>,
    State(clock): State<Arc<dyn Clock>>,
    State(time_zone): State<Offset>,
    holder: WithScope<Stats>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let known = [&Selection::NAMES[..], &["lang"]].concat();
    let (selection, lang) = parse(raw.as_deref(), &known)?;
    let presenter = Presenter::new(presenter, holder.caller().clone(), clock.now());
    let name = file_name(&selection, "xlsx");
    let pages = Pages::of(channels, selection, SHEET_PAGE).await?;
    let body = body(pages, XlsxSheet::new(presenter, time_zone, lang));
    Ok(file(XLSX, &name, body))
}

fn parse(raw: Option<&str>, known: &[&str]) -> Result<(Selection, Lang), Problem> {
    let (mut selection, mut lang) = (Selection::default(), Lang::En);
    for (name, value) in known_pairs_with_lists(raw, known, &Selection::LISTS)? {
        if !selection.read(&name, &value)? {
            // "lang": no other name is left.
            lang = language(&value)?;
        }
    }
    Ok((selection, lang))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_says_what_was_chosen() {
        let group = format!("group={}", "展".repeat(100));
        let long = format!("wxqr-codes-{}", "展".repeat(69));
        for (query, want) in [
            ("", "wxqr-codes"),
            ("archived=false&sort=-label", "wxqr-codes"),
            ("archived=true", "wxqr-codes-archived"),
            ("archived=all", "wxqr-codes-with-archived"),
            ("permanent=true", "wxqr-codes-permanent"),
            ("permanent=false", "wxqr-codes-temporary"),
            ("scene=str:enc", "wxqr-codes-enc"),
            ("scene=id:7", "wxqr-codes-7"),
            ("scene=permanent:str:enc", "wxqr-codes-permanent-enc"),
            ("scene=id:7&scene=str:enc", "wxqr-codes-2-scenes"),
            ("group=a&label=b&q=c", "wxqr-codes-a-b-c"),
            (
                "q=c&permanent=true&archived=true",
                "wxqr-codes-permanent-archived-c",
            ),
            (&group, &long),
        ] {
            let (selection, _) = parse(Some(query), &Selection::NAMES).unwrap();
            for extension in ["csv", "xlsx", "zip"] {
                let name = file_name(&selection, extension);
                assert_eq!(name, format!("{want}.{extension}"), "{query}");
            }
        }
    }
}
