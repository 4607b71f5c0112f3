//! `GET /api/scans`: lists events.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::Offset;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use wechat::event::EventKind;

use crate::access::Scope;
use crate::http::api::attribution::AttributionBody;
use crate::http::api::query::{DEFAULT_ITEMS, day, known_pairs, limit, scene};
use crate::http::extract::key_holder::{Stats, WithScope};
use crate::http::problem::{Document, Problem};
use crate::http::time_format::rfc3339;
use crate::statistics::{EventFilter, EventOrder, EventStore, StoredEvent};
use crate::text::decimal;

const KNOWN: &[&str] = &["scene", "since", "cursor", "limit"];

/// The query, for the document only.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "read by the derive macro only")]
pub(crate) struct ScansParams {
    /// Scans of one scene, permanent or not: `id:123` or `str:poster`; with `permanent:`,
    /// `temporary:` or `unattributed:` in front, such as `permanent:str:poster`, of the code of
    /// that kind.
    scene: Option<String>,
    /// Events from this time on, by WeChat's clock: `2026-11-22T08:00:00+08:00` (a `+` is written
    /// `%2B` in a query), or `2026-11-22` for the beginning of that day by `WXQR_TIME_ZONE`.
    since: Option<String>,
    /// The `cursor` of an answer of this list, or `0`: what was stored after it, in the order in
    /// which it was stored.
    #[param(pattern = "^[0-9]+$")]
    cursor: Option<String>,
    /// Events on a page.
    #[param(minimum = 1, maximum = 1000, default = json!(DEFAULT_ITEMS))]
    limit: Option<u16>,
}

/// What a follower did.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventBody {
    /// The id of the event, the same in every answer.
    id: String,
    /// When, by WeChat's clock (RFC 3339, UTC).
    at: String,
    /// `subscribe`, `scan` or `unsubscribe`.
    event: &'static str,
    /// Absent where no code was scanned.
    #[serde(flatten)]
    code: Option<AttributionBody>,
    /// The follower's pseudonym, the same for all events of one follower; not the openid.
    person: String,
    /// The follower's openid, for keys with the scope `people`, while the service holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    openid: Option<String>,
}

/// A page of events.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventPage)]
pub(crate) struct EventPageBody {
    items: Vec<EventBody>,
    /// Position after the last stored event: the next request with it continues from here. Always
    /// present.
    cursor: String,
}

/// Lists what followers did: the newest first; with a cursor, what was stored after it, so that a
/// late event is not missed.
#[utoipa::path(
    get,
    path = "/api/scans",
    params(ScansParams),
    responses(
        (status = 200, description = "A page", body = EventPageBody),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "statistics",
)]
pub(crate) async fn list(
    State(events): State<EventStore>,
    State(time_zone): State<Offset>,
    holder: WithScope<Stats>,
    RawQuery(raw): RawQuery,
) -> Result<Json<EventPageBody>, Problem> {
    let query = ScansQuery::parse(raw.as_deref(), time_zone)?;
    let (events, cursor) = query.read(&events).await?;
    let shows_openids = holder.caller().allows(Scope::People);
    let items = events.into_iter();
    let items = items.map(|event| shown(event, shows_openids)).collect();
    let cursor = cursor.to_string();
    Ok(Json(EventPageBody { items, cursor }))
}

fn shown(event: StoredEvent, shows_openid: bool) -> EventBody {
    let openid = event.openid.filter(|_| shows_openid);
    EventBody {
        id: event.id,
        at: rfc3339(event.at),
        event: event_name(event.kind),
        code: event.attribution.as_ref().map(AttributionBody::from),
        person: event.person,
        openid: openid.map(|openid| openid.as_str().to_owned()),
    }
}

fn event_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Subscribe => "subscribe",
        EventKind::Scan => "scan",
        EventKind::Unsubscribe => "unsubscribe",
    }
}

#[derive(Debug)]
struct ScansQuery {
    filter: EventFilter,
    after: Option<u64>,
    limit: usize,
}

impl ScansQuery {
    fn parse(raw: Option<&str>, time_zone: Offset) -> Result<Self, Problem> {
        let mut query = Self {
            filter: EventFilter::default(),
            after: None,
            limit: DEFAULT_ITEMS.into(),
        };
        for (name, value) in known_pairs(raw, KNOWN)? {
            match name.as_str() {
                "scene" => query.filter.scene = Some(scene(&value)?),
                "since" => query.filter.since = Some(since(&value, time_zone)?),
                "cursor" => query.after = Some(cursor(&value)?),
                // "limit": no other name is left.
                _ => query.limit = limit(&value)?.into(),
            }
        }
        Ok(query)
    }

    /// The events, and the cursor for the next page.
    async fn read(&self, events: &EventStore) -> Result<(Vec<StoredEvent>, u64), Problem> {
        let order = match self.after {
            None => EventOrder::NewestFirst,
            Some(after) => EventOrder::StoredAfter(after),
        };
        let page = events.events(&self.filter, order, self.limit).await?;
        // A restored backup would withhold its next events from clients with a later cursor.
        if self.after > Some(page.last_seq) {
            return Err(beyond_the_last());
        }
        let is_full = self.after.is_some() && page.events.len() == self.limit;
        let last = page.events.last().filter(|_| is_full);
        let cursor = last.map_or(page.last_seq, |event| event.seq);
        Ok((page.events, cursor))
    }
}

fn beyond_the_last() -> Problem {
    let message = "is beyond the last event, perhaps because a backup was restored; begin again with cursor=0";
    Problem::invalid_parameter("cursor", message)
}

/// Parses a time, or a day, which means its first instant.
fn since(value: &str, time_zone: Offset) -> Result<Timestamp, Problem> {
    let midnight = |value: &str| {
        let day = day(value)?;
        time_zone
            .to_timestamp(day.to_datetime(Time::midnight()))
            .ok()
    };
    let since = value.parse().ok().or_else(|| midnight(value));
    since.ok_or_else(|| {
        let message = "must be a time such as 2026-11-22T08:00:00Z, or a day such as 2026-11-22; the + of an offset is written %2B";
        Problem::invalid_parameter("since", message)
    })
}

/// Parses a position in the order in which events were stored.
fn cursor(value: &str) -> Result<u64, Problem> {
    // The database counts in signed numbers.
    decimal::<i64>(value)
        .and_then(|cursor| cursor.try_into().ok())
        .ok_or_else(|| {
            let message = "must be the cursor of an answer of this list, or 0 for the beginning";
            Problem::invalid_parameter("cursor", message)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::query::MAX_ITEMS;
    use crate::http::openapi::schema_of;

    #[test]
    fn openapi_limit_is_that_of_the_parser() {
        let schema = schema_of::<ScansParams>("limit");
        assert_eq!(
            schema["maximum"].as_f64(),
            Some(MAX_ITEMS.into()),
            "{schema}"
        );
    }

    #[test]
    fn since_is_a_time_or_the_beginning_of_a_day() {
        for (text, want) in [
            ("2026-11-22T08:00:00Z", Some("2026-11-22T08:00:00Z")),
            ("2026-11-22T08:00:00+08:00", Some("2026-11-22T00:00:00Z")),
            ("2026-11-22T08:00:00.5Z", Some("2026-11-22T08:00:00.5Z")),
            ("2026-11-22", Some("2026-11-21T16:00:00Z")),
            ("2026-11-22T08:00:00", None),
            ("2026-11-22T08:00:00 08:00", None),
            ("2026-11", None),
            ("1732262400", None),
            ("", None),
        ] {
            let got = since(text, Offset::constant(8)).ok();
            let want = want.map(|want| want.parse().unwrap());
            assert_eq!(got, want, "input {text:?}");
        }
    }

    #[test]
    fn a_cursor_is_a_number_that_the_database_could_have_given() {
        for (text, want) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("9223372036854775807", Some(9_223_372_036_854_775_807)),
            ("9223372036854775808", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(cursor(text).ok(), want, "input {text:?}");
        }
    }
}
