//! `POST /api/codes/plan`: what a file of channels would make. Makes nothing.

mod draft;
pub(super) mod file;
mod planner;
mod words;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use http_listener::ByteBudget;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use wechat::push::Reply;

use self::file::FileReader;
pub(crate) use self::planner::Planner;
use crate::access::Scope;
use crate::channels::KnownScene;
use crate::http::api::codes::new_code::NewCode;
use crate::http::api::query::{boolean, known_pairs, language};
use crate::http::api::reply_body::GivenMessage;
use crate::http::extract::key_holder::KeyHolder;
use crate::http::i18n::lang::Lang;
use crate::http::problem::{Document, Problem};

const KNOWN: &[&str] = &["permanent", "group", "expire_seconds", "lang"];

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

/// What a file would make.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Plan {
    /// A row of the file each, without blank ones.
    rows: Vec<PlannedRow>,
    /// Permanent codes that would be created, each of which stays taken for ever.
    new_permanent: usize,
    /// Permanent codes that may still be created.
    permanent_left: u64,
    /// Headings of columns that are not read.
    unknown_columns: Vec<String>,
}

/// What a row would make.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PlannedRow {
    /// Its line in the file.
    line: u32,
    status: RowStatus,
    /// What to send to `POST /api/codes`, or what could be read of an invalid row.
    #[schema(value_type = NewCode)]
    request: Map<String, Value>,
    /// What the code of a changed row has now.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<CurrentNames>,
    /// Why the row is invalid.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// The fields from whose ends blanks were removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trimmed: Vec<&'static str>,
}

/// What a code has, before a row changes it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CurrentNames {
    /// The owner's name for the scene.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The group that the scene belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// What a follower reads after a scan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<GivenMessage>)]
    reply: Option<Reply>,
}

impl From<KnownScene> for CurrentNames {
    fn from(known: KnownScene) -> Self {
        Self {
            label: known.channel.label,
            group: known.channel.group,
            reply: known.reply,
        }
    }
}

/// What would become of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RowStatus {
    /// A code would be created.
    New,
    /// The code exists, with this name, group and reply.
    Known,
    /// The code exists, and would get this name, group or reply.
    Changed,
    /// The row cannot be used.
    Invalid,
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

/// Checked before the file is received; the scopes for its rows are checked once it is read.
fn may_make_any(holder: &KeyHolder) -> Result<(), Problem> {
    let permanent = holder.require(Scope::Permanent);
    permanent.or_else(|_| holder.require(Scope::Mint))
}

struct PlanQuery {
    defaults: Defaults,
    lang: Lang,
}

/// What rows have that do not say otherwise.
struct Defaults {
    permanent: bool,
    group: Option<String>,
    expire_seconds: Option<u64>,
}

impl PlanQuery {
    fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let mut query = Self {
            defaults: Defaults {
                permanent: true,
                group: None,
                expire_seconds: None,
            },
            lang: Lang::En,
        };
        for (name, value) in known_pairs(raw, KNOWN)? {
            match name.as_str() {
                "permanent" => query.defaults.permanent = boolean(&name, &value)?,
                "group" => query.defaults.group = Some(value).filter(|group| !group.is_empty()),
                "expire_seconds" => query.defaults.expire_seconds = Some(seconds(&value)?),
                // "lang": no other name is left.
                _ => query.lang = language(&value)?,
            }
        }
        Ok(query)
    }
}

fn seconds(value: &str) -> Result<u64, Problem> {
    value.parse().map_err(|_| {
        let message = "must be a whole number of seconds";
        Problem::invalid_parameter("expire_seconds", message)
    })
}
