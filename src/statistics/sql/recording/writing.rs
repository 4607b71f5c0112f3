//! Writes the statistics delta: a statement for each table, with a row for each
//! change.

use std::collections::BTreeMap;

use jiff::civil::Date;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use super::super::columns;
use super::{NewEvent, Recording, Subject};
use crate::db::{Error, placeholders};
use crate::statistics::privacy::Person;
use crate::statistics::tally::{Attribution, FirstTouch, FollowerUpdate, Tally};

/// What a binding is called that is not known any more.
const FORGOTTEN_BINDING: &str = "";

impl Recording<'_> {
    pub(super) async fn write_events(&mut self, fresh: &[NewEvent<'_>]) -> Result<(), Error> {
        let sql = format!(
            "INSERT INTO event (appid, id, seq, at, day, event, person, kind, scene, binding) VALUES {}",
            placeholders::rows_of_account(fresh.len(), 9)
        );
        let mut query = placeholders::query(sql, fresh.len(), self.appid);
        for event in fresh {
            let dated = event.named.dated;
            let (kind, scene) = event.code().map(columns::code_columns).unzip();
            let binding = match &event.about {
                Subject::Own(Some(binding)) => Some(binding.id.as_str()),
                Subject::Own(None) => Some(FORGOTTEN_BINDING),
                Subject::NoCode | Subject::Code(_) => None,
            };
            query = query
                .bind(event.named.id.as_str())
                .bind(event.seq)
                .bind(event.at().as_millisecond())
                .bind(dated.day.to_string())
                .bind(dated.event.kind.as_str())
                .bind(event.named.person.as_str())
                .bind(kind)
                .bind(scene)
                .bind(binding);
        }
        self.execute(query).await
    }

    pub(super) async fn write_states(
        &mut self,
        states: &BTreeMap<Person, FollowerUpdate>,
    ) -> Result<(), Error> {
        if states.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO follower (appid, person, openid, held, away, seen_at) VALUES {}
             ON CONFLICT (appid, person) DO UPDATE SET
                 openid = excluded.openid, held = excluded.held, away = excluded.away, seen_at = excluded.seen_at",
            placeholders::rows_of_account(states.len(), 5)
        );
        let mut query = placeholders::query(sql, states.len(), self.appid);
        for (person, state) in states {
            let is_there = state.openid.is_some();
            query = query
                .bind(person.as_str())
                .bind(columns::openid_column(state.openid.as_ref()))
                .bind(i64::from(is_there))
                .bind(i64::from(!is_there))
                .bind(state.seen_at.as_millisecond());
        }
        self.execute(query).await
    }

    pub(super) async fn write_first_touches(
        &mut self,
        first_touches: &BTreeMap<Person, FirstTouch>,
    ) -> Result<(), Error> {
        if first_touches.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO newcomer (appid, person, at, kind, scene, day) VALUES {}
             ON CONFLICT (appid, person) DO UPDATE SET
                 at = excluded.at, kind = excluded.kind, scene = excluded.scene, day = excluded.day",
            placeholders::rows_of_account(first_touches.len(), 5)
        );
        let mut query = placeholders::query(sql, first_touches.len(), self.appid);
        for (person, first_touch) in first_touches {
            let (kind, scene) = columns::code_columns(&first_touch.code);
            query = query
                .bind(person.as_str())
                .bind(first_touch.at.as_millisecond())
                .bind(kind)
                .bind(scene)
                .bind(first_touch.day.to_string());
        }
        self.execute(query).await
    }

    pub(super) async fn write_tallies(
        &mut self,
        tallies: &BTreeMap<(Attribution, Date), Tally>,
    ) -> Result<(), Error> {
        if tallies.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO tally (appid, kind, scene, day, scans, people, new_followers, lost) VALUES {}
             ON CONFLICT (appid, kind, scene, day) DO UPDATE SET
                 scans = tally.scans + excluded.scans,
                 people = tally.people + excluded.people,
                 new_followers = tally.new_followers + excluded.new_followers,
                 lost = tally.lost + excluded.lost",
            placeholders::rows_of_account(tallies.len(), 7)
        );
        let mut query = placeholders::query(sql, tallies.len(), self.appid);
        for ((code, day), change) in tallies {
            let (kind, scene) = columns::code_columns(code);
            query = query
                .bind(kind)
                .bind(scene)
                .bind(day.to_string())
                .bind(change.scans)
                .bind(change.people)
                .bind(change.new_followers)
                .bind(change.lost);
        }
        self.execute(query).await
    }

    pub(super) async fn write_returning(
        &mut self,
        returning: &BTreeMap<(Attribution, Date, Date), i64>,
    ) -> Result<(), Error> {
        if returning.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO revisit (appid, kind, scene, day, since, people) VALUES {}
             ON CONFLICT (appid, kind, scene, day, since) DO UPDATE SET people = revisit.people + excluded.people",
            placeholders::rows_of_account(returning.len(), 5)
        );
        let mut query = placeholders::query(sql, returning.len(), self.appid);
        for ((code, day, since), change) in returning {
            let (kind, scene) = columns::code_columns(code);
            query = query
                .bind(kind)
                .bind(scene)
                .bind(day.to_string())
                .bind(since.to_string())
                .bind(*change);
        }
        self.execute(query).await
    }

    /// The first scan of a binding wins.
    pub(super) async fn write_claimed_bindings(
        &mut self,
        claimed_bindings: &BTreeMap<&str, &NewEvent<'_>>,
    ) -> Result<(), Error> {
        if claimed_bindings.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "WITH taken (id, person, at) AS (VALUES {})
             UPDATE binding SET person = taken.person, scanned_at = taken.at FROM taken
             WHERE binding.appid = $1 AND binding.id = taken.id AND binding.person IS NULL",
            placeholders::rows(claimed_bindings.len(), 3)
        );
        let mut query = placeholders::query(sql, claimed_bindings.len(), self.appid);
        for (binding, event) in claimed_bindings {
            query = query
                .bind(*binding)
                .bind(event.named.person.as_str())
                .bind(event.at().as_millisecond());
        }
        self.execute(query).await
    }

    async fn execute(&mut self, query: Query<'_, Any, AnyArguments>) -> Result<(), Error> {
        query.execute(&mut self.write).await?;
        Ok(())
    }
}
