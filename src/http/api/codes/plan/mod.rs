//! `POST /api/codes/plan`: what a file of channels would make. Makes nothing.

mod answer;
mod draft;
pub(super) mod file;
mod planner;
mod query;
mod words;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use http_listener::ByteBudget;
use utoipa::IntoParams;

use self::answer::Plan;
use self::file::FileReader;
pub(crate) use self::planner::Planner;
use self::query::PlanQuery;
use crate::access::Scope;
use crate::http::extract::key_holder::KeyHolder;
use crate::http::problem::{Document, Problem};

/// The query, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct PlanParams {
    /// The kind of rows that name neither a kind nor a lifetime: permanent, or temporary.
    #[param(default = true)]
    permanent: Option<bool>,
    /// The group of rows that name none.
    group: Option<String>,
    /// The lifetime of temporary codes whose rows name none.
    expire_seconds: Option<u64>,
    /// The language of `problem`, and of errors about the file.
    #[param(pattern = "^(zh|en)$", default = "en")]
    lang: Option<String>,
}

/// Compares a file with the codes that there are, and makes nothing.
///
/// The file has a row for each code, at most 10,000 and 4 MiB. Its headings are, in any order: 名称
/// or `label`, 分组 or `group`, 场景值 or `scene_str`, `scene_id`, 类型 or `permanent` (永久, 临时,
/// true, false), 有效期 or `expire_seconds` (seconds, or such as 12h and 30天), 回复 or `reply` (a
/// text), 图文回复 or `reply_news` (a card, as JSON). A row without a scene has that of its name,
/// or gets a proposed one. Needs the scopes for what the file would make.
#[utoipa::path(
    post,
    path = "/api/codes/plan",
    params(PlanParams),
    request_body(
        description = "CSV in UTF-8 or GB18030, separated by commas, tabs or semicolons; a text with one name a line; or a workbook",
        content(
            (String = "text/csv"),
            (String = "text/plain"),
            (Vec<u8> = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ),
    ),
    responses(
        (status = 200, description = "What the file would make", body = Plan),
        (status = "4XX", description = "The file cannot be read, or the request is not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "codes",
)]
pub(crate) async fn plan(
    State(planner): State<Planner>,
    State(files): State<FileReader>,
    State(bodies): State<ByteBudget>,
    holder: KeyHolder,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Plan>, Problem> {
    may_make_any(&holder)?;
    let query = PlanQuery::parse(raw.as_deref())?;
    let format = file::format(&headers)?;
    let file = file::receive(body, &bodies).await?;
    let _permit = files.permit().await?;
    let list = file::read(file, format, query.lang).await?;
    Ok(Json(planner.plan(&holder, list, &query).await?))
}

/// Requires a scope that could create any code, before the file is received. Once it is read, the
/// scopes for its rows are checked.
fn may_make_any(holder: &KeyHolder) -> Result<(), Problem> {
    let permanent = holder.require(Scope::Permanent);
    permanent.or_else(|_| holder.require(Scope::Mint))
}
