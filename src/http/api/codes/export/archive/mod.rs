//! `GET /api/codes.zip`: the pictures of the listed codes, and their rows as CSV.

mod pictures;
mod query;
mod stream;

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use self::pictures::PictureArchive;
use self::query::{ArchiveQuery, MAX_CODES, too_many_pictures};
use self::stream::body;
use super::file_name::file_name;
use super::pages::Pages;
use super::row::Presenter;
use crate::channels::ChannelStore;
use crate::clock::Clock;
use crate::http::api::attachment::file;
use crate::http::api::codes::job_limit::JobLimit;
use crate::http::api::codes::selection::SelectionParams;
use crate::http::extract::key_holder::{Stats, WithScope};
use crate::http::openapi::StyleParams;
use crate::http::problem::{Document, Problem};
use crate::http::qrcode::body::CodePresenter;
use crate::pictures::PictureCache;

/// The codes that are read and drawn at a time. Chosen: pictures of the default size take some
/// milliseconds.
const PAGE: u16 = 50;

/// Limits how many archives are written at once. Its clones share the limit.
#[derive(Debug, Clone)]
pub struct Archives {
    limit: JobLimit,
}

impl Archives {
    /// Chosen: the largest take 60 MB each.
    const AT_ONCE: usize = 4;

    pub fn new() -> Self {
        Self {
            limit: JobLimit::new(Self::AT_ONCE),
        }
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.limit.permit().await
    }
}

impl Default for Archives {
    fn default() -> Self {
        Self::new()
    }
}

/// The format of the pictures, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct FormatParams {
    /// The format of the pictures.
    #[param(pattern = "^(png|svg)$", default = "png")]
    format: Option<String>,
}

/// The pictures of the selected codes as a ZIP archive, each under the code's label, and
/// `codes.csv` with the rows of `/api/codes.csv`, each after the name of its picture in the column
/// `file`.
///
/// A code without a picture has a row only: one whose mint has no known outcome, or whose text does
/// not fit the size. At most 100,000 codes.
#[utoipa::path(
    get,
    path = "/api/codes.zip",
    params(SelectionParams, FormatParams, StyleParams),
    responses(
        (status = 200, description = "The archive", body = Vec<u8>, content_type = "application/zip"),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "codes",
)]
pub(crate) async fn zip_file(
    State(channels): State<ChannelStore>,
    State(presenter): State<CodePresenter>,
    State(pictures): State<Arc<PictureCache>>,
    State(archives): State<Archives>,
    State(clock): State<Arc<dyn Clock>>,
    holder: WithScope<Stats>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = ArchiveQuery::parse(raw.as_deref())?;
    let permit = archives.permit().await?;
    if channels.count(&query.selection.filter).await? > MAX_CODES {
        return Err(too_many_pictures());
    }
    let name = file_name(&query.selection, "zip");
    let presenter = Presenter::new(presenter, holder.caller().clone(), clock.now());
    let archive = PictureArchive::new(presenter, query.format, query.style);
    let pages = Pages::of(channels, query.selection, PAGE).await?;
    let body = body(pages, archive, pictures, permit);
    Ok(file("application/zip", &name, body))
}
