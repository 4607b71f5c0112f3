//! The state of the circuit breaker that replicas share: APIs whose calls are stopped.

use jiff::Timestamp;
use sqlx::Row;

use super::store::CodeStore;
use crate::db::{Error, Purpose, row};

/// Calls that are stopped because a quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// What WeChat said.
    pub errcode: i64,
    /// When one call may be tried.
    pub next_probe: Timestamp,
}

impl CodeStore {
    /// Stops the calls of an API for every replica, until `next_probe`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn stop_calls(&self, api: &str, stop: Stop) -> Result<(), Error> {
        let query = sqlx::query(
            "INSERT INTO stop (appid, api, errcode, next_probe) VALUES ($1, $2, $3, $4)
             ON CONFLICT (appid, api) DO UPDATE SET errcode = excluded.errcode, next_probe = excluded.next_probe",
        )
        .bind(self.db.appid())
        .bind(api)
        .bind(stop.errcode)
        .bind(stop.next_probe.as_millisecond());
        self.db
            .within_deadline(Purpose::HighPriority, async {
                query.execute(self.db.autocommit()).await?;
                Ok(())
            })
            .await
    }

    /// The stop of an API, if its calls are stopped.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn stop_of(&self, api: &str) -> Result<Option<Stop>, Error> {
        let query =
            sqlx::query("SELECT errcode, next_probe FROM stop WHERE appid = $1 AND api = $2")
                .bind(self.db.appid())
                .bind(api);
        self.db
            .within_deadline(Purpose::Read, async {
                let Some(found) = query.fetch_optional(self.db.autocommit()).await? else {
                    return Ok(None);
                };
                let next_probe = row::instant(found.try_get("next_probe")?)?;
                Ok(Some(Stop {
                    errcode: found.try_get("errcode")?,
                    next_probe,
                }))
            })
            .await
    }

    /// Takes the right to probe a stopped API: one caller of all replicas gets it, and the next
    /// probe is `then`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn take_probe(&self, api: &str, stop: Stop, then: Timestamp) -> Result<bool, Error> {
        let query = sqlx::query(
            "UPDATE stop SET next_probe = $3 WHERE appid = $1 AND api = $2 AND next_probe = $4",
        )
        .bind(self.db.appid())
        .bind(api)
        .bind(then.as_millisecond())
        .bind(stop.next_probe.as_millisecond());
        self.db
            .within_deadline(Purpose::Write, async {
                Ok(query.execute(self.db.autocommit()).await?.rows_affected() == 1)
            })
            .await
    }

    /// Lets the calls of an API go on.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn resume_calls(&self, api: &str) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM stop WHERE appid = $1 AND api = $2")
            .bind(self.db.appid())
            .bind(api);
        self.db
            .within_deadline(Purpose::Write, async {
                query.execute(self.db.autocommit()).await?;
                Ok(())
            })
            .await
    }
}
