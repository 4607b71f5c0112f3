//! Reads the state that counting events depends on.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Once;

use jiff::Timestamp;
use jiff::civil::Date;
use sqlx::Row;
use sqlx::any::AnyRow;
use wechat::push::Reply;

use super::super::columns;
use super::{NewEvent, PseudonymousEvent, Recording, ScannedBinding, TicketTarget};
use crate::channels;
use crate::codes::columns as scene_columns;
use crate::db::{Error, placeholders, row};
use crate::statistics::privacy::Person;
use crate::statistics::tally::{Attribution, FirstTouch, FollowerState, PriorState};

/// A person who scanned a code on a day.
type Visit<'a> = (&'a Person, &'a Attribution, Date);

impl Recording<'_, '_> {
    /// Reads which of the events are stored.
    pub(super) async fn stored(
        &mut self,
        events: &[PseudonymousEvent<'_>],
    ) -> Result<HashSet<String>, Error> {
        let ids: Vec<_> = events.iter().map(|one| one.id.as_str()).collect();
        let found = self.look_up(stored_sql, &ids).await?;
        let ids = found.iter().map(|row| row.try_get("id"));
        Ok(ids.collect::<Result<_, _>>()?)
    }

    /// Reads the targets of the tickets that are known.
    pub(super) async fn targets(
        &mut self,
        tickets: &BTreeSet<&str>,
    ) -> Result<HashMap<String, TicketTarget>, Error> {
        let tickets: Vec<_> = tickets.iter().copied().collect();
        let found = self.look_up(targets_sql, &tickets).await?;
        found.iter().map(target).collect()
    }

    /// Reads the state of the persons of these events, and of the codes that they scanned.
    pub(super) async fn known(&mut self, new_events: &[NewEvent<'_>]) -> Result<PriorState, Error> {
        let persons: BTreeSet<_> = new_events
            .iter()
            .map(|event| &event.pseudonymous.person)
            .collect();
        let visits = new_events.iter().filter_map(|event| {
            let pseudonymous = event.pseudonymous;
            Some((&pseudonymous.person, event.code()?, pseudonymous.dated.day))
        });
        Ok(PriorState {
            people: self.people(&persons).await?,
            days: self.days(&visits.collect()).await?,
        })
    }

    async fn people(
        &mut self,
        persons: &BTreeSet<&Person>,
    ) -> Result<HashMap<Person, FollowerState>, Error> {
        let names: Vec<_> = persons.iter().map(|person| person.as_str()).collect();
        let found = self.look_up(people_sql, &names).await?;
        found.iter().map(follower_state).collect()
    }

    async fn days(
        &mut self,
        visits: &BTreeSet<Visit<'_>>,
    ) -> Result<HashMap<(Person, Attribution), BTreeSet<Date>>, Error> {
        let visits: Vec<_> = visits.iter().collect();
        let mut days: HashMap<_, BTreeSet<_>> = HashMap::new();
        for chunk in self.write.chunks(&visits) {
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
            for found in &query.fetch_all(&mut *self.write).await? {
                let visitor = (person(found)?, columns::attribution(found)?);
                days.entry(visitor).or_default().extend(days_of(found)?);
            }
        }
        Ok(days)
    }

    /// Reads the rows of values, in chunks, by a statement for so many.
    async fn look_up(
        &mut self,
        sql: impl Fn(usize) -> String,
        values: &[&str],
    ) -> Result<Vec<AnyRow>, Error> {
        let mut rows = Vec::with_capacity(values.len());
        for chunk in self.write.chunks(values) {
            let mut query = placeholders::query(sql(chunk.len()), chunk.len(), self.write.appid());
            for value in chunk {
                query = query.bind(*value);
            }
            rows.append(&mut query.fetch_all(&mut *self.write).await?);
        }
        Ok(rows)
    }
}

pub(super) fn stored_sql(events: usize) -> String {
    format!(
        "SELECT id FROM event WHERE appid = $1 AND id IN ({})",
        placeholders::list(events)
    )
}

/// Builds the query for what tickets lead to: code, binding and reply. Only temporary codes with a
/// text are of bindings; no channel has the scene of one.
pub(super) fn targets_sql(tickets: usize) -> String {
    format!(
        "SELECT ticket.ticket, ticket.kind, ticket.scene, binding.id, binding.expires_at, binding.person,
           COALESCE(binding.reply, channel.reply) AS reply
         FROM ticket
         LEFT JOIN binding
           ON binding.appid = ticket.appid AND binding.scene = ticket.scene AND ticket.kind = 'QR_STR_SCENE'
         LEFT JOIN channel
           ON channel.appid = ticket.appid AND channel.kind = ticket.kind AND channel.scene = ticket.scene
         WHERE ticket.appid = $1 AND ticket.ticket IN ({})",
        placeholders::list(tickets)
    )
}

pub(super) fn people_sql(persons: usize) -> String {
    format!(
        "SELECT follower.person, seen_at, away, newcomer.at, kind, scene, day
         FROM follower LEFT JOIN newcomer
           ON newcomer.appid = follower.appid AND newcomer.person = follower.person
         WHERE follower.appid = $1 AND follower.person IN ({})",
        placeholders::list(persons)
    )
}

/// Builds the query for the neighbours of a day, each by one step into an index, however often a
/// person scanned a code.
pub(super) fn days_sql(visits: usize) -> String {
    let of_event = "FROM event WHERE event.appid = $1 AND event.person = wanted.person
             AND event.kind = wanted.kind AND event.scene = wanted.scene";
    format!(
        "WITH wanted (person, kind, scene, day) AS (VALUES {})
         SELECT person, kind, scene,
           (SELECT MAX(event.day) {of_event} AND event.day <= wanted.day) AS earlier,
           (SELECT MIN(event.day) {of_event} AND event.day > wanted.day) AS later,
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
