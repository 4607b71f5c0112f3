//! Events of followers, as they are stored and listed.

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use wechat::event::{Event, EventKind};
use wechat::openid::OpenId;
use wechat::push::Reply;

use super::columns;
use super::store::EventStore;
use crate::codes::SceneFilter;
use crate::codes::columns::kinds;
use crate::db::{Error, ReadKind, row};
use crate::statistics::tally::Attribution;

/// An event to be recorded, with its day in the owner's time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatedEvent {
    pub event: Event,
    pub day: Date,
}

/// Result of recording an event: whether it is new or a repeat, and the channel's or binding's
/// reply to the follower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub recorded: Recorded,
    /// What the follower reads. Repeats have the same.
    pub reply: Option<Reply>,
}

/// Whether an event was new or a repeat of a stored one, which does not count (deduplication).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    New {
        /// The binding whose code was scanned.
        binding: Option<String>,
    },
    /// It had been stored before; nothing was counted.
    Repeat,
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its pseudonymous id, the same for every repeat.
    pub id: String,
    /// Its sequence number: events that are stored later have larger ones, from 1 on, with gaps.
    pub seq: u64,
    /// When, by WeChat's clock.
    pub at: Timestamp,
    pub kind: EventKind,
    /// The code; none where none was scanned.
    pub attribution: Option<Attribution>,
    /// A keyed hash of the openid, the same for all events of one follower.
    pub person: String,
    /// The follower; none once it may not be known any more.
    pub openid: Option<OpenId>,
}

/// Which events to list. An absent field does not restrict.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Events of codes with this scene. Scenes of unknown tickets have a text only, which a filter
    /// by number finds too.
    pub scene: Option<SceneFilter>,
    /// Events from this time on, by WeChat's clock.
    pub since: Option<Timestamp>,
}

/// Sort order of a list of events: the newest first, or as they were stored, after a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventOrder {
    /// By the time of the event, the newest first; of one second, the one that was stored last.
    NewestFirst,
    /// In the order in which they were stored, those after this `seq`. Late events are not missed.
    StoredAfter(u64),
}

/// A page of events, and the sequence number of the event that was stored last, listed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventPage {
    /// The events, in the requested order.
    pub events: Vec<StoredEvent>,
    /// The sequence number of the event that had been stored last when the page was read, of
    /// whatever code; 0 before the first.
    pub last_seq: u64,
}

impl EventStore {
    /// Lists events, at most `limit` of them. Those of bindings are left out. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used, [`Error::Busy`] also when it took too long: a filter may
    /// pass over many events.
    pub async fn events(
        &self,
        filter: &EventFilter,
        order: EventOrder,
        limit: usize,
    ) -> Result<EventPage, Error> {
        let since = filter.since.unwrap_or(Timestamp::MIN);
        let mut query = sqlx::query(AssertSqlSafe(filter.sql(order)))
            .bind(self.db.appid())
            .bind(since.as_millisecond())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        if let Some(scene) = &filter.scene {
            query = query.bind(scene.value().to_string());
        }
        if let EventOrder::StoredAfter(seq) = order {
            query = query.bind(i64::try_from(seq).unwrap_or(i64::MAX));
        }
        let last = sqlx::query_scalar("SELECT last_seq FROM event_log WHERE appid = $1");
        let (last, found) = self
            .db
            .read(ReadKind::Long, async {
                let mut read = self.db.begin_snapshot().await?;
                let last = last.bind(self.db.appid()).fetch_optional(&mut read).await?;
                let found = query.fetch_all(&mut read).await?;
                read.rollback().await?;
                Ok((last, found))
            })
            .await?;
        Ok(EventPage {
            events: found.iter().map(stored).collect::<Result<_, _>>()?,
            last_seq: sequence_number(last.unwrap_or(0))?,
        })
    }
}

fn sequence_number(seq: i64) -> Result<u64, Error> {
    u64::try_from(seq).map_err(|_| Error::BadRow("a sequence number"))
}

impl EventFilter {
    /// Builds the query. For every filter there is an index in its order.
    fn sql(&self, order: EventOrder) -> String {
        let scene = match &self.scene {
            Some(scene) => {
                format!("AND scene = $4 AND kind IN ({})", kinds(scene))
            }
            None => String::new(),
        };
        let (start, by) = match (order, &self.scene) {
            (EventOrder::NewestFirst, _) => ("at >= $2", "at DESC, seq DESC"),
            (EventOrder::StoredAfter(_), None) => ("at >= $2 AND seq > $4", "seq"),
            (EventOrder::StoredAfter(_), Some(_)) => ("at >= $2 AND seq > $5", "seq"),
        };
        format!(
            "SELECT id, seq, at, event, event.person, kind, scene, openid
             FROM event LEFT JOIN follower
               ON follower.appid = event.appid AND follower.person = event.person
             WHERE event.appid = $1 AND {start} AND binding IS NULL {scene}
             ORDER BY {by} LIMIT $3"
        )
    }
}

fn stored(found: &AnyRow) -> Result<StoredEvent, Error> {
    let kind: String = found.try_get("event")?;
    let is_of_code = found.try_get::<Option<String>, _>("kind")?.is_some();
    let openid: Option<String> = found.try_get("openid")?;
    Ok(StoredEvent {
        id: found.try_get("id")?,
        seq: sequence_number(found.try_get("seq")?)?,
        at: row::instant(found.try_get("at")?)?,
        kind: columns::event_kind(&kind)?,
        attribution: is_of_code
            .then(|| columns::attribution(found))
            .transpose()?,
        person: found.try_get("person")?,
        openid: openid.map_or(Ok(None), |openid| columns::openid(&openid))?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn every_list_has_an_index_in_its_order() {
        let store = EventStore::in_memory(Arc::new(SystemClock)).await;
        let newest = EventOrder::NewestFirst;
        for (scene, order, index) in [
            (false, newest, "event_by_time (appid=? AND at>?)"),
            (
                false,
                EventOrder::StoredAfter(0),
                "event_by_seq (appid=? AND seq>?)",
            ),
            (
                true,
                newest,
                "event_by_scene_and_time (appid=? AND scene=? AND at>?)",
            ),
            (
                true,
                EventOrder::StoredAfter(0),
                "event_by_scene_and_seq (appid=? AND scene=? AND seq>?)",
            ),
        ] {
            let filter = EventFilter {
                scene: scene.then(|| "id:1".parse().unwrap()),
                since: None,
            };
            let plan = store.db.plan(filter.sql(order)).await;
            assert!(plan[0].contains(index), "{index}: {plan:?}");
            let sorts = |step: &String| step.contains("TEMP B-TREE") || step.starts_with("SCAN");
            assert!(!plan.iter().any(sorts), "{plan:?}");
        }
    }
}
