//! Reserves sequence numbers, and writes the events and the statistics delta: a statement for each
//! table, with a row for each change.

use std::collections::BTreeMap;

use jiff::civil::Date;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::super::columns;
use super::{NewEvent, Recording, ScanDays, Subject, reading};
use crate::db::{Error, Query, placeholders};
use crate::statistics::privacy::Person;
use crate::statistics::tally::{Attribution, FirstTouch, FollowerUpdate, Tally};

/// The id in place of a binding that is not known any more.
const FORGOTTEN_BINDING: &str = "";

/// The first of so many sequence numbers that [`Recording::reserve_sequence`] has reserved.
fn first_reserved(found: &[AnyRow], count: i64) -> Result<i64, Error> {
    let reserved = found.first().ok_or(Error::BadRow("no sequence number"))?;
    let last: i64 = reserved.try_get("last_seq")?;
    Ok(last - count + 1)
}

impl<'c> Recording<'_, 'c> {
    /// Reserves sequence numbers, and returns the first. The same message finds the days on which
    /// the persons scanned the codes.
    pub(super) async fn number(
        &mut self,
        new_events: &[NewEvent<'_>],
    ) -> Result<(i64, ScanDays), Error> {
        let count = i64::try_from(new_events.len()).unwrap_or(i64::MAX);
        let queries = [
            vec![self.reserve_sequence(count)],
            self.find_days(new_events),
        ];
        let [reserved, days] = self.write.fetch_each(queries).await?;
        Ok((first_reserved(&reserved, count)?, reading::days(&days)?))
    }

    /// Reserves a sequence number for each of so many events.
    fn reserve_sequence(&self, count: i64) -> Query<'c> {
        sqlx::query(
            "INSERT INTO event_log (appid, last_seq) VALUES ($1, $2)
             ON CONFLICT (appid) DO UPDATE SET last_seq = event_log.last_seq + excluded.last_seq
             RETURNING last_seq",
        )
        .bind(self.write.appid())
        .bind(count)
    }

    pub(super) async fn write_events(
        &mut self,
        new_events: &[NewEvent<'_>],
        first_seq: i64,
    ) -> Result<(), Error> {
        let numbered: Vec<_> = new_events.iter().zip(first_seq..).collect();
        for chunk in self.write.chunks(&numbered) {
            let sql = format!(
                "INSERT INTO event (appid, id, seq, at, day, event, person, kind, scene, binding) VALUES {}",
                placeholders::rows_of_account(chunk.len(), 9)
            );
            let mut query = placeholders::query(sql, chunk.len(), self.write.appid());
            for (event, seq) in chunk {
                let dated = event.pseudonymous.dated;
                let (kind, scene) = event.code().map(columns::code_columns).unzip();
                let binding = match &event.about {
                    Subject::Own(Some(binding)) => Some(binding.id.as_str()),
                    Subject::Own(None) => Some(FORGOTTEN_BINDING),
                    Subject::NoCode | Subject::Code(_) => None,
                };
                query = query
                    .bind(event.pseudonymous.id.as_str())
                    .bind(*seq)
                    .bind(event.at().as_millisecond())
                    .bind(dated.day.to_string())
                    .bind(columns::event_column(dated.event.kind))
                    .bind(event.pseudonymous.person.as_str())
                    .bind(kind)
                    .bind(scene)
                    .bind(binding);
            }
            // With the id of a binding its sign-in can be claimed.
            if chunk.iter().any(|(event, _)| event.about.is_of_binding()) {
                self.write.execute_private(query).await?;
            } else {
                self.write.execute_later(query).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn write_states(
        &mut self,
        states: &BTreeMap<Person, FollowerUpdate>,
    ) -> Result<(), Error> {
        let states: Vec<_> = states.iter().collect();
        for chunk in self.write.chunks(&states) {
            let sql = format!(
                "INSERT INTO follower (appid, person, openid, held, away, seen_at) VALUES {}
                 ON CONFLICT (appid, person) DO UPDATE SET
                     openid = excluded.openid, held = excluded.held, away = excluded.away, seen_at = excluded.seen_at",
                placeholders::rows_of_account(chunk.len(), 5)
            );
            let mut query = placeholders::query(sql, chunk.len(), self.write.appid());
            for (person, state) in chunk {
                let is_there = state.openid.is_some();
                query = query
                    .bind(person.as_str())
                    .bind(columns::openid_column(state.openid.as_ref()))
                    .bind(i64::from(is_there))
                    .bind(i64::from(!is_there))
                    .bind(state.seen_at.as_millisecond());
            }
            self.write.execute_private(query).await?;
        }
        Ok(())
    }

    pub(super) async fn write_first_touches(
        &mut self,
        first_touches: &BTreeMap<Person, FirstTouch>,
    ) -> Result<(), Error> {
        let first_touches: Vec<_> = first_touches.iter().collect();
        for chunk in self.write.chunks(&first_touches) {
            let sql = format!(
                "INSERT INTO newcomer (appid, person, at, kind, scene, day) VALUES {}
                 ON CONFLICT (appid, person) DO UPDATE SET
                     at = excluded.at, kind = excluded.kind, scene = excluded.scene, day = excluded.day",
                placeholders::rows_of_account(chunk.len(), 5)
            );
            let mut query = placeholders::query(sql, chunk.len(), self.write.appid());
            for (person, first_touch) in chunk {
                let (kind, scene) = columns::code_columns(&first_touch.code);
                query = query
                    .bind(person.as_str())
                    .bind(first_touch.at.as_millisecond())
                    .bind(kind)
                    .bind(scene)
                    .bind(first_touch.day.to_string());
            }
            self.write.execute_later(query).await?;
        }
        Ok(())
    }

    pub(super) async fn write_tallies(
        &mut self,
        tallies: &BTreeMap<(Attribution, Date), Tally>,
    ) -> Result<(), Error> {
        let tallies: Vec<_> = tallies.iter().collect();
        for chunk in self.write.chunks(&tallies) {
            let sql = format!(
                "INSERT INTO tally (appid, kind, scene, day, scans, people, new_followers, lost) VALUES {}
                 ON CONFLICT (appid, kind, scene, day) DO UPDATE SET
                     scans = tally.scans + excluded.scans,
                     people = tally.people + excluded.people,
                     new_followers = tally.new_followers + excluded.new_followers,
                     lost = tally.lost + excluded.lost",
                placeholders::rows_of_account(chunk.len(), 7)
            );
            let mut query = placeholders::query(sql, chunk.len(), self.write.appid());
            for ((code, day), change) in chunk {
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
            self.write.execute_later(query).await?;
        }
        Ok(())
    }

    pub(super) async fn write_returning(
        &mut self,
        returning: &BTreeMap<(Attribution, Date, Date), i64>,
    ) -> Result<(), Error> {
        let returning: Vec<_> = returning.iter().collect();
        for chunk in self.write.chunks(&returning) {
            let sql = format!(
                "INSERT INTO revisit (appid, kind, scene, day, since, people) VALUES {}
                 ON CONFLICT (appid, kind, scene, day, since) DO UPDATE SET people = revisit.people + excluded.people",
                placeholders::rows_of_account(chunk.len(), 5)
            );
            let mut query = placeholders::query(sql, chunk.len(), self.write.appid());
            for ((code, day, since), change) in chunk {
                let (kind, scene) = columns::code_columns(code);
                query = query
                    .bind(kind)
                    .bind(scene)
                    .bind(day.to_string())
                    .bind(since.to_string())
                    .bind(*change);
            }
            self.write.execute_later(query).await?;
        }
        Ok(())
    }

    /// Stores who scanned each binding, unless it was scanned before.
    pub(super) async fn write_scanned_bindings(
        &mut self,
        scanned_bindings: &BTreeMap<&str, &NewEvent<'_>>,
    ) -> Result<(), Error> {
        let scanned_bindings: Vec<_> = scanned_bindings.iter().collect();
        for chunk in self.write.chunks(&scanned_bindings) {
            let sql = format!(
                "WITH taken (id, person, at) AS (VALUES {})
                 UPDATE binding SET person = taken.person, scanned_at = taken.at FROM taken
                 WHERE binding.appid = $1 AND binding.id = taken.id AND binding.person IS NULL",
                placeholders::rows(chunk.len(), 3)
            );
            let mut query = placeholders::query(sql, chunk.len(), self.write.appid());
            for (binding, event) in chunk {
                query = query
                    .bind(*binding)
                    .bind(event.pseudonymous.person.as_str())
                    .bind(event.at().as_millisecond());
            }
            self.write.execute_private(query).await?;
        }
        Ok(())
    }
}
