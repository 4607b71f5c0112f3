//! Reads the state that counting events depends on.

use std::collections::BTreeSet;
use std::sync::Once;

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::push::Reply;

use super::super::columns;
use super::{
    Found, NewEvent, PseudonymousEvent, Recording, ScanDays, ScannedBinding, TicketTarget, tickets,
};
use crate::channels;
use crate::codes::columns as scene_columns;
use crate::db::{Error, KeyLookup, Query, placeholders, row};
use crate::statistics::privacy::Person;
use crate::statistics::tally::{Attribution, FirstTouch, FollowerState};

/// A person who scanned a code on a day.
type Visit<'a> = (&'a Person, &'a Attribution, Date);

impl<'c> Recording<'_, 'c> {
    /// Reads what is stored about events.
    pub(super) async fn look_up(
        &mut self,
        events: &[PseudonymousEvent<'_>],
    ) -> Result<Found, Error> {
        let ids: Vec<_> = events.iter().map(|one| one.id.as_str()).collect();
        let persons: BTreeSet<_> = events.iter().map(|one| one.person.as_str()).collect();
        let persons: Vec<_> = persons.into_iter().collect();
        let tickets: Vec<_> = tickets(events).into_iter().collect();
        let queries = [
            self.find_by(stored_sql, &ids),
            self.find_by(targets_sql, &tickets),
            self.find_by(people_sql, &persons),
        ];
        let [stored, targets, people] = self.write.fetch_each(queries).await?;
        let stored = stored.iter().map(|row| row.try_get("id"));
        Ok(Found {
            stored: stored.collect::<Result<_, _>>()?,
            targets: targets.iter().map(target).collect::<Result<_, _>>()?,
            people: people
                .iter()
                .map(follower_state)
                .collect::<Result<_, _>>()?,
        })
    }

    /// Finds the rows of values, in chunks, by a statement for so many.
    fn find_by(&self, sql: impl Fn(KeyLookup, usize) -> String, values: &[&str]) -> Vec<Query<'c>> {
        let queries = self.write.chunks(values).map(|chunk| {
            let sql = sql(self.write.key_lookup(), chunk.len());
            let query = placeholders::query(sql, chunk.len(), self.write.appid());
            chunk.iter().fold(query, |query, value| query.bind(*value))
        });
        queries.collect()
    }

    /// Finds the neighbours of the days on which persons scanned codes.
    pub(super) fn find_days(&self, new_events: &[NewEvent<'_>]) -> Vec<Query<'c>> {
        let visits: BTreeSet<_> = new_events.iter().filter_map(visit).collect();
        let visits: Vec<_> = visits.into_iter().collect();
        let queries = self.write.chunks(&visits).map(|chunk| {
            let sql = days_sql(chunk.len());
            let mut query = placeholders::query(sql, chunk.len(), self.write.appid());
            for (person, code, day) in chunk {
                let (kind, scene) = columns::code_columns(code);
                query = query
                    .bind(person.as_str())
                    .bind(kind)
                    .bind(scene)
                    .bind(day.to_string());
            }
            query
        });
        queries.collect()
    }
}

fn visit<'a>(event: &'a NewEvent<'_>) -> Option<Visit<'a>> {
    let PseudonymousEvent { dated, person, .. } = event.pseudonymous;
    Some((person, event.code()?, dated.day))
}

/// The days that [`Recording::find_days`] found.
pub(super) fn days(found: &[AnyRow]) -> Result<ScanDays, Error> {
    let mut days = ScanDays::new();
    for found in found {
        let visitor = (person(found)?, columns::attribution(found)?);
        days.entry(visitor).or_default().extend(days_of(found)?);
    }
    Ok(days)
}

pub(super) fn stored_sql(key_lookup: KeyLookup, events: usize) -> String {
    let event = key_lookup.join("event", "event.appid = $1 AND event.id = wanted.id");
    let values = placeholders::rows(events, 1);
    format!("WITH wanted (id) AS (VALUES {values}) SELECT event.id FROM wanted {event}")
}

/// Builds the query for what tickets lead to: code, binding and reply. Only temporary codes with a
/// text are of bindings; no channel has the scene of one.
pub(super) fn targets_sql(key_lookup: KeyLookup, tickets: usize) -> String {
    let ticket = key_lookup.join(
        "ticket",
        "ticket.appid = $1 AND ticket.ticket = wanted.ticket",
    );
    let binding = key_lookup.left_join(
        "binding",
        "binding.appid = $1 AND binding.scene = ticket.scene AND ticket.kind = 'QR_STR_SCENE'",
    );
    let channel = key_lookup.left_join(
        "channel",
        "channel.appid = $1 AND channel.kind = ticket.kind AND channel.scene = ticket.scene",
    );
    format!(
        "WITH wanted (ticket) AS (VALUES {})
         SELECT ticket.ticket, ticket.kind, ticket.scene, binding.id, binding.expires_at, binding.person,
           COALESCE(binding.reply, channel.reply) AS reply
         FROM wanted {ticket} {binding} {channel}",
        placeholders::rows(tickets, 1)
    )
}

pub(super) fn people_sql(key_lookup: KeyLookup, persons: usize) -> String {
    let follower = key_lookup.join(
        "follower",
        "follower.appid = $1 AND follower.person = wanted.person",
    );
    let newcomer = key_lookup.left_join(
        "newcomer",
        "newcomer.appid = $1 AND newcomer.person = wanted.person",
    );
    format!(
        "WITH wanted (person) AS (VALUES {})
         SELECT follower.person, seen_at, away, newcomer.at, kind, scene, day
         FROM wanted {follower} {newcomer}",
        placeholders::rows(persons, 1)
    )
}

/// Builds the query for the neighbours of a day, each by one step into an index, however often a
/// person scanned a code.
///
/// The row values have the order of `event_by_person`. With an equality for each column PostgreSQL
/// may choose an index by scene instead, as long as it has no statistics of a new table, and read
/// all events of the scene. `MIN` and `MAX` would double the time that it plans.
pub(super) fn days_sql(visits: usize) -> String {
    let neighbour = |comparison: &str, order: &str| {
        format!(
            "SELECT near.day FROM (
               SELECT person, kind, scene, day FROM event
               WHERE appid = $1 AND scene IS NOT NULL
                 AND (person, kind, scene, day) {comparison} (wanted.person, wanted.kind, wanted.scene, wanted.day)
               ORDER BY person {order}, kind {order}, scene {order}, day {order} LIMIT 1) AS near
             WHERE near.person = wanted.person AND near.kind = wanted.kind AND near.scene = wanted.scene"
        )
    };
    let (earlier, later) = (neighbour("<=", "DESC"), neighbour(">", "ASC"));
    format!(
        "WITH wanted (person, kind, scene, day) AS (VALUES {})
         SELECT person, kind, scene,
           ({earlier}) AS earlier,
           ({later}) AS later,
           (SELECT last_visit.day FROM last_visit
              WHERE last_visit.appid = $1 AND last_visit.person = wanted.person
                AND last_visit.kind = wanted.kind AND last_visit.scene = wanted.scene) AS forgotten
         FROM wanted",
        placeholders::rows(visits, 4)
    )
}

/// Reads the neighbours of a day on which a person scanned a code.
fn days_of(found: &AnyRow) -> Result<Vec<Date>, Error> {
    let mut days = Vec::new();
    for column in ["earlier", "later", "forgotten"] {
        if let Some(day) = found.try_get::<Option<String>, _>(column)? {
            days.push(row::day(&day)?);
        }
    }
    Ok(days)
}

fn target(found: &AnyRow) -> Result<(String, TicketTarget), Error> {
    let scene = scene_columns::scene(found)?;
    let binding = match found.try_get::<Option<String>, _>("id")? {
        Some(id) => Some(ScannedBinding {
            id,
            expires_at: row::instant(found.try_get("expires_at")?)?,
            scanned_by: found
                .try_get::<Option<String>, _>("person")?
                .map(Person::from_text),
        }),
        None => None,
    };
    let target = TicketTarget {
        scene,
        binding,
        reply: readable_reply(found),
    };
    Ok((found.try_get("ticket")?, target))
}

/// Reads the reply of a row. Events are recorded without one that cannot be read.
fn readable_reply(found: &AnyRow) -> Option<Reply> {
    channels::reply(found).unwrap_or_else(|error| {
        LOGGED_UNREADABLE
            .call_once(|| tracing::error!(%error, "a stored reply cannot be read (logged once)"));
        None
    })
}

static LOGGED_UNREADABLE: Once = Once::new();

fn follower_state(found: &AnyRow) -> Result<(Person, FollowerState), Error> {
    let first_touch = match found.try_get::<Option<i64>, _>("at")? {
        Some(at) => Some(FirstTouch {
            at: row::instant(at)?,
            code: columns::attribution(found)?,
            day: row::day(&found.try_get::<String, _>("day")?)?,
        }),
        None => None,
    };
    let seen_at: Timestamp = row::instant(found.try_get("seen_at")?)?;
    let state = FollowerState {
        seen_at,
        away: found.try_get::<i64, _>("away")? != 0,
        first_touch,
    };
    Ok((person(found)?, state))
}

fn person(found: &AnyRow) -> Result<Person, Error> {
    Ok(Person::from_text(found.try_get("person")?))
}
