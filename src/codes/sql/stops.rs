//! The state of the circuit breaker that replicas share: APIs whose calls are stopped.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::store::CodeStore;
use crate::db::{Command, Error, Query, ReadKind, Transaction, Urgency, row};

/// An open circuit: calls of one API are not sent until `next_probe`, because a quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// WeChat's errcode that opened it.
    pub errcode: i64,
    /// When one call may be tried.
    pub next_probe: Timestamp,
}

impl CodeStore {
    /// Stops the calls of an API for every replica, until `next_probe`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn stop_calls(&self, api: &'static str, stop: Stop) -> Result<(), Error> {
        self.db.execute(StopCalls { api, stop }).await
    }

    /// Reads the stop of an API, if its calls are stopped.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn stop_of(&self, api: &str) -> Result<Option<Stop>, Error> {
        let query = find_stop(self.db.appid(), api);
        self.db
            .read(ReadKind::Short, async {
                let found = self.db.autocommit().fetch_at_once(query).await?;
                found.first().map(stop).transpose()
            })
            .await
    }

    /// Takes the right to probe a stopped API: one caller of all replicas gets it, and the next
    /// probe is `then`.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn take_probe(
        &self,
        api: &'static str,
        stop: Stop,
        then: Timestamp,
    ) -> Result<bool, Error> {
        self.db.execute(TakeProbe { api, stop, then }).await
    }

    /// Lets the calls of an API go on.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn resume_calls(&self, api: &'static str) -> Result<(), Error> {
        self.db.execute(ResumeCalls { api }).await
    }
}

const FIND: &str = "SELECT errcode, next_probe FROM stop WHERE appid = $1 AND api = $2";

pub(super) fn find_stop<'q>(appid: &'q str, api: &'q str) -> Query<'q> {
    sqlx::query(FIND).bind(appid).bind(api)
}

/// The stop that [`find_stop`] found.
pub(super) fn stop(found: &AnyRow) -> Result<Stop, Error> {
    Ok(Stop {
        errcode: found.try_get("errcode")?,
        next_probe: row::instant(found.try_get("next_probe")?)?,
    })
}

struct StopCalls {
    api: &'static str,
    stop: Stop,
}

impl Command for StopCalls {
    type Output = ();

    const URGENCY: Urgency = Urgency::First;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO stop (appid, api, errcode, next_probe) VALUES ($1, $2, $3, $4)
             ON CONFLICT (appid, api) DO UPDATE SET errcode = excluded.errcode, next_probe = excluded.next_probe",
        )
        .bind(write.appid())
        .bind(self.api)
        .bind(self.stop.errcode)
        .bind(self.stop.next_probe.as_millisecond())
        .execute(write)
        .await?;
        Ok(())
    }
}

struct TakeProbe {
    api: &'static str,
    stop: Stop,
    then: Timestamp,
}

impl Command for TakeProbe {
    type Output = bool;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<bool, Error> {
        let taken = sqlx::query(
            "UPDATE stop SET next_probe = $3 WHERE appid = $1 AND api = $2 AND next_probe = $4",
        )
        .bind(write.appid())
        .bind(self.api)
        .bind(self.then.as_millisecond())
        .bind(self.stop.next_probe.as_millisecond())
        .execute(write)
        .await?;
        Ok(taken.rows_affected() == 1)
    }
}

struct ResumeCalls {
    api: &'static str,
}

impl Command for ResumeCalls {
    type Output = ();

    const URGENCY: Urgency = Urgency::First;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        sqlx::query("DELETE FROM stop WHERE appid = $1 AND api = $2")
            .bind(write.appid())
            .bind(self.api)
            .execute(write)
            .await?;
        Ok(())
    }
}
