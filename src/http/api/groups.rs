//! `GET /api/groups`: the groups of codes.

use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::channels::{ChannelFilter, ChannelStore, Group};
use crate::http::api::query::{archived, known_pairs};
use crate::http::extract::key_holder::{Stats, WithScope};
use crate::http::problem::{Document, Problem};

/// The query, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct GroupsParams {
    /// `true`: count archived codes only; `all`: these too.
    #[param(pattern = "^(false|true|all)$", default = "false")]
    archived: Option<String>,
}

/// The groups.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Groups {
    items: Vec<GroupBody>,
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Group)]
pub(crate) struct GroupBody {
    group: String,
    /// How many codes `GET /api/codes` lists of it.
    codes: u64,
}

impl From<Group> for GroupBody {
    fn from(group: Group) -> Self {
        Self {
            group: group.name,
            codes: group.codes,
        }
    }
}

/// Lists the groups that have codes.
#[utoipa::path(
    get,
    path = "/api/groups",
    params(GroupsParams),
    responses(
        (status = 200, description = "The groups, by name", body = Groups),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "codes",
)]
pub(crate) async fn list(
    State(channels): State<ChannelStore>,
    _: WithScope<Stats>,
    RawQuery(raw): RawQuery,
) -> Result<Json<Groups>, Problem> {
    let mut filter = ChannelFilter {
        archived: Some(false),
        ..ChannelFilter::default()
    };
    for (_, value) in known_pairs(raw.as_deref(), &["archived"])? {
        filter.archived = archived(&value)?;
    }
    let groups = channels.groups(&filter).await?;
    let items = groups.into_iter().map(GroupBody::from).collect();
    Ok(Json(Groups { items }))
}
