//! `GET /api/codes`: lists codes.

use std::sync::Arc;

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::channel_body::ChannelBody;
use super::cursor;
use super::selection::{Selection, SelectionParams};
use crate::access::Caller;
use crate::channels::{ChannelStore, ListedCode, Page, Position};
use crate::clock::Clock;
use crate::http::api::query::{DEFAULT_ITEMS, known_pairs_with_lists, limit};
use crate::http::extract::key_holder::{Stats, WithScope};
use crate::http::problem::{Document, Problem};
use crate::http::qrcode::body::{CodePresenter, SceneBody, TicketBody};
use crate::http::qrcode::link::LinkQuery;
use crate::http::time_format::date_header;

/// The parameters of a page, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct PageParams {
    /// The `next_cursor` of the page before, in the same order.
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
    #[serde(flatten)]
    channel: ChannelBody,
    /// `unknown` if it is not known whether a mint created this permanent code. It counts, and has
    /// no ticket here.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

/// A page of the list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ListPage {
    items: Vec<Listed>,
    /// How many codes all pages have.
    total: u64,
    /// For the next page; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Lists unexpired codes, and the permanent ones whose mint has no known outcome.
#[utoipa::path(
    get,
    path = "/api/codes",
    params(SelectionParams, PageParams),
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
    let Selection { filter, order } = &query.selection;
    let page = channels
        .list(filter, *order, query.after.as_ref(), query.limit)
        .await?;
    let total = query.total(&channels, &page).await?;
    let now = clock.now();
    let page = ListPage {
        total,
        next_cursor: page.next.map(|next| cursor::encode(&next, *order)),
        items: page
            .items
            .into_iter()
            .map(|listed| shown(&presenter, holder.caller(), listed, now))
            .collect(),
    };
    Ok((date_header(now), Json(page)).into_response())
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
        channel: listed.record.into(),
    }
}

#[derive(Debug)]
struct ListQuery {
    selection: Selection,
    after: Option<Position>,
    limit: u16,
}

impl ListQuery {
    fn parse(raw: Option<&str>) -> Result<Self, Problem> {
        let known = [&Selection::NAMES[..], &["cursor", "limit"]].concat();
        let mut query = Self {
            selection: Selection::default(),
            after: None,
            limit: DEFAULT_ITEMS,
        };
        let mut cursor = None;
        for (name, value) in known_pairs_with_lists(raw, &known, &Selection::LISTS)? {
            if query.selection.read(&name, &value)? {
                continue;
            }
            match name.as_str() {
                "cursor" => cursor = Some(value),
                // "limit": no other name is left.
                _ => query.limit = limit(&value)?,
            }
        }
        query.after = cursor.map(|cursor| query.position(&cursor)).transpose()?;
        Ok(query)
    }

    fn position(&self, cursor: &str) -> Result<Position, Problem> {
        cursor::decode(cursor, self.selection.order).ok_or_else(|| {
            let message = "must be the next_cursor of a page of this list, in the same order";
            Problem::invalid_parameter("cursor", message)
        })
    }

    /// How many codes all pages have. The only page is counted already.
    async fn total(&self, channels: &ChannelStore, page: &Page) -> Result<u64, Problem> {
        if self.after.is_none() && page.next.is_none() {
            return Ok(page.items.len() as u64);
        }
        Ok(channels.count(&self.selection.filter).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::query::MAX_ITEMS;
    use crate::http::openapi::schema_of;

    #[test]
    fn openapi_limit_is_that_of_the_parser() {
        let schema = schema_of::<PageParams>("limit");
        assert_eq!(
            schema["maximum"].as_f64(),
            Some(MAX_ITEMS.into()),
            "{schema}"
        );
    }
}
