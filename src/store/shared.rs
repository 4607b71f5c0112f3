//! What replicas of an account must agree on: stopped calls, forced refreshes, a classic token.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;

use super::row;
use super::transaction::Transaction;
use super::turns::Purpose;
use super::{Error, Store};

/// Calls that are stopped because a quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// What WeChat said.
    pub errcode: i64,
    /// When one call may be tried.
    pub next_probe: Timestamp,
}

impl Store {
    /// Stops the calls of an API for every replica, until `next_probe`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn stop_calls(&self, api: &str, stop: Stop) -> Result<(), Error> {
        let query = sqlx::query(
            "INSERT INTO stop (appid, api, errcode, next_probe) VALUES ($1, $2, $3, $4)
             ON CONFLICT (appid, api) DO UPDATE SET errcode = excluded.errcode, next_probe = excluded.next_probe",
        )
        .bind(&*self.appid)
        .bind(api)
        .bind(stop.errcode)
        .bind(stop.next_probe.as_millisecond());
        self.engine
            .within_deadline(Purpose::Urgent, async {
                query.execute(self.engine.autocommit()).await?;
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
                .bind(&*self.appid)
                .bind(api);
        self.engine
            .within_deadline(Purpose::Read, async {
                let Some(found) = query.fetch_optional(self.engine.autocommit()).await? else {
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

    /// Takes the right to probe a stopped API: one caller of all replicas gets it, and the next probe is `then`.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn take_probe(&self, api: &str, stop: Stop, then: Timestamp) -> Result<bool, Error> {
        let query = sqlx::query(
            "UPDATE stop SET next_probe = $3 WHERE appid = $1 AND api = $2 AND next_probe = $4",
        )
        .bind(&*self.appid)
        .bind(api)
        .bind(then.as_millisecond())
        .bind(stop.next_probe.as_millisecond());
        self.engine
            .within_deadline(Purpose::Write, async {
                Ok(query
                    .execute(self.engine.autocommit())
                    .await?
                    .rows_affected()
                    == 1)
            })
            .await
    }

    /// Lets the calls of an API go on.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn resume_calls(&self, api: &str) -> Result<(), Error> {
        let query = sqlx::query("DELETE FROM stop WHERE appid = $1 AND api = $2")
            .bind(&*self.appid)
            .bind(api);
        self.engine
            .within_deadline(Purpose::Write, async {
                query.execute(self.engine.autocommit()).await?;
                Ok(())
            })
            .await
    }

    /// Takes one of the forced refreshes that WeChat allows: `most` a day, `apart` from each other.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn take_forced_refresh(&self, most: usize, apart: Duration) -> Result<bool, Error> {
        let now = self.clock.now();
        let milliseconds = |at: Timestamp| at.as_millisecond();
        self.engine
            .within_deadline(Purpose::Write, async {
                let mut write = self.engine.begin().await?;
                self.line_up(&mut write, "forced refresh").await?;
                sqlx::query("DELETE FROM forced_refresh WHERE appid = $1 AND at <= $2")
                    .bind(&*self.appid)
                    .bind(milliseconds(now - Duration::from_hours(24)))
                    .execute(&mut write)
                    .await?;
                let taken = sqlx::query(
                    "INSERT INTO forced_refresh (appid, at) SELECT $1, $2
                     WHERE (SELECT COUNT(*) FROM forced_refresh WHERE appid = $1) < $3
                       AND NOT EXISTS (SELECT 1 FROM forced_refresh WHERE appid = $1 AND at > $4)
                     ON CONFLICT (appid, at) DO NOTHING",
                )
                .bind(&*self.appid)
                .bind(milliseconds(now))
                .bind(i64::try_from(most).unwrap_or(i64::MAX))
                .bind(milliseconds(now - apart))
                .execute(&mut write)
                .await?;
                write.commit().await?;
                Ok(taken.rows_affected() == 1)
            })
            .await
    }

    /// Lets the transactions of a name come one after another. PostgreSQL would let them count at the same time, each
    /// without the other; the row that all of them write makes them wait.
    pub(super) async fn line_up(&self, write: &mut Transaction, name: &str) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO lease (appid, name, holder, held_until) VALUES ($1, $2, '', 0)
             ON CONFLICT (appid, name) DO UPDATE SET held_until = 0",
        )
        .bind(&*self.appid)
        .bind(name)
        .execute(&mut *write)
        .await?;
        Ok(())
    }

    /// The classic token that some replica took, and when it ends.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn classic_token(&self) -> Result<Option<(SecretString, Timestamp)>, Error> {
        let query = sqlx::query("SELECT token, expires_at FROM classic_token WHERE appid = $1")
            .bind(&*self.appid);
        self.engine
            .within_deadline(Purpose::Read, async {
                let Some(found) = query.fetch_optional(self.engine.autocommit()).await? else {
                    return Ok(None);
                };
                let token: String = found.try_get("token")?;
                Ok(Some((
                    token.into(),
                    row::instant(found.try_get("expires_at")?)?,
                )))
            })
            .await
    }

    /// Shares a classic token. The caller holds the lease for taking one, so nobody writes at the same time.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn share_classic_token(
        &self,
        token: &SecretString,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let query = sqlx::query(
            "INSERT INTO classic_token (appid, token, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (appid) DO UPDATE SET token = excluded.token, expires_at = excluded.expires_at",
        )
        .bind(&*self.appid)
        .bind(token.expose_secret())
        .bind(expires_at.as_millisecond());
        self.engine
            .within_deadline(Purpose::Urgent, async {
                query.execute(self.engine.autocommit()).await?;
                Ok(())
            })
            .await
    }
}
