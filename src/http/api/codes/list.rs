//! `GET /api/codes`: lists codes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use wechat::scene::Scene;

use crate::access::Caller;
use crate::channels::{ChannelFilter, ChannelStore, ListedCode};
use crate::clock::Clock;
use crate::http::api::query::{DEFAULT_ITEMS, boolean, known_pairs, limit, scene};
use crate::http::extract::key_holder::{Stats, WithScope};
use crate::http::problem::{Document, Problem};
use crate::http::qrcode::body::{CodePresenter, SceneBody, TicketBody};
use crate::http::qrcode::link::LinkQuery;
use crate::http::time_format::date_header;

/// The parameters of the list.
const KNOWN: &[&str] = &["label", "group", "permanent", "scene", "cursor", "limit"];

/// The query, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct ListParams {
    /// Codes with exactly this label.
    label: Option<String>,
    /// Codes of exactly this group.
    group: Option<String>,
    /// `true`: permanent codes only; `false`: temporary ones only.
    permanent: Option<bool>,
    /// Codes of one scene: `id:123` or `str:poster`.
    scene: Option<String>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// Codes on a page.
    #[param(minimum = 1, maximum = 1000, default = json!(DEFAULT_ITEMS))]
    limit: Option<u16>,
}

/// A code in the list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Listed {
    #[serde(flatten)]
    scene: SceneBody,
    #[serde(flatten)]
    ticket: Option<TicketBody>,
    /// The owner's name for the scene.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    /// The group that the scene belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// `unknown` if it is not known whether a mint created this permanent code. It counts, and has
    /// no ticket here.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

/// A page of the list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListPage {
    items: Vec<Listed>,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists unexpired codes, and the permanent ones whose mint has no known outcome, by kind and
/// scene.
#[utoipa::path(
    get,
    path = "/api/codes",
    params(ListParams),
    responses(
        (status = 200, description = "A page", body = ListPage),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "codes",
)]
pub(crate) async fn list(
    State(channels): State<ChannelStore>,
    State(presenter): State<CodePresenter>,
    State(clock): State<Arc<dyn Clock>>,
    holder: WithScope<Stats>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = ListQuery::parse(raw.as_deref())?;
    let page = channels
        .list(&query.filter, query.after.as_ref(), query.limit)
        .await?;
    let last = page.items.last().filter(|_| page.has_more);
    let next_cursor = last.map(|listed| cursor(&listed.scene));
    let now = clock.now();
    let items = page.items.into_iter();
    let items = items
        .map(|listed| shown(&presenter, holder.caller(), listed, now))
        .collect();
    Ok((date_header(now), Json(ListPage { items, next_cursor })).into_response())
}

fn shown(presenter: &CodePresenter, caller: &Caller, listed: ListedCode, now: Timestamp) -> Listed {
    let ticket = listed.code.as_ref().map(|code| {
        let link = LinkQuery::to(&listed.scene, code.asked());
        presenter.ticket(code, link, caller, now)
    });
    Listed {
        scene: SceneBody::new(&listed.scene),
        outcome: listed.code.is_none().then_some("unknown"),
        ticket,
        label: listed.channel.label,
        group: listed.channel.group,
    }
}

/// The parsed query.
#[derive(Debug)]
struct ListQuery {
    filter: ChannelFilter,
    after: Option<Scene>,
    limit: u16,
}

impl ListQuery {
    fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let mut query = Self {
            filter: ChannelFilter::default(),
            after: None,
            limit: DEFAULT_ITEMS,
        };
        for (name, value) in known_pairs(raw, KNOWN)? {
            match name.as_str() {
                "label" => query.filter.label = Some(value),
                "group" => query.filter.group = Some(value),
                "permanent" => query.filter.permanent = Some(boolean(&name, &value)?),
                "scene" => query.filter.scene = Some(scene(&value)?),
                "cursor" => query.after = Some(after(&value)?),
                // "limit": no other name is left.
                _ => query.limit = limit(&value)?,
            }
        }
        Ok(query)
    }
}

fn after(value: &str) -> Result<Scene, Problem> {
    scene_of(value).ok_or_else(|| {
        let message = "must be the next_cursor of a page of this list";
        Problem::invalid_parameter("cursor", message)
    })
}

/// The cursor of the page after this scene.
fn cursor(scene: &Scene) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(scene.to_string())
}

fn scene_of(cursor: &str) -> Option<Scene> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::query::MAX_ITEMS;
    use crate::http::openapi::schema_of;

    #[test]
    fn openapi_limit_is_that_of_the_parser() {
        let schema = schema_of::<ListParams>("limit");
        assert_eq!(
            schema["maximum"].as_f64(),
            Some(MAX_ITEMS.into()),
            "{schema}"
        );
    }

    #[test]
    fn a_cursor_names_the_scene_it_came_from() {
        for scene in ["QR_SCENE:7", "QR_LIMIT_STR_SCENE:展会:A"] {
            let scene: Scene = scene.parse().unwrap();
            assert_eq!(scene_of(&cursor(&scene)), Some(scene));
        }
        for odd in ["", "!", "UVI6MQ", "UVJfU0NFTkU6MA"] {
            assert_eq!(scene_of(odd), None, "cursor {odd:?}");
        }
    }
}
