//! What replicas agree on about the access token: forced refreshes, and a shared classic token.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sqlx::Row;

use super::store::CodeStore;
use crate::db::{Command, Error, ReadKind, Transaction, Urgency, row};

impl CodeStore {
    /// Takes one of the forced refreshes that WeChat allows: `most` a day, `apart` from each other.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn take_forced_refresh(&self, most: usize, apart: Duration) -> Result<bool, Error> {
        let now = self.db.now();
        self.db
            .execute(TakeForcedRefresh { most, apart, now })
            .await
    }

    /// Reads the classic token that some replica fetched, and when it ends.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn classic_token(&self) -> Result<Option<(SecretString, Timestamp)>, Error> {
        let query = sqlx::query("SELECT token, expires_at FROM classic_token WHERE appid = $1")
            .bind(self.db.appid());
        self.db
            .read(ReadKind::Short, async {
                let Some(found) = query.fetch_optional(self.db.autocommit()).await? else {
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

    /// Shares a classic token. The caller holds the lease for taking one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn share_classic_token(
        &self,
        token: &SecretString,
        expires_at: Timestamp,
    ) -> Result<(), Error> {
        let token = token.clone();
        self.db
            .execute(ShareClassicToken { token, expires_at })
            .await
    }
}

struct TakeForcedRefresh {
    most: usize,
    apart: Duration,
    now: Timestamp,
}

impl Command for TakeForcedRefresh {
    type Output = bool;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<bool, Error> {
        sqlx::query("DELETE FROM forced_refresh WHERE appid = $1 AND at <= $2")
            .bind(write.appid())
            .bind((self.now - Duration::from_hours(24)).as_millisecond())
            .execute(&mut *write)
            .await?;
        let taken = sqlx::query(
            "INSERT INTO forced_refresh (appid, at) SELECT $1, $2
             WHERE (SELECT COUNT(*) FROM forced_refresh WHERE appid = $1) < $3
               AND NOT EXISTS (SELECT 1 FROM forced_refresh WHERE appid = $1 AND at > $4)
             ON CONFLICT (appid, at) DO NOTHING",
        )
        .bind(write.appid())
        .bind(self.now.as_millisecond())
        .bind(i64::try_from(self.most).unwrap_or(i64::MAX))
        .bind((self.now - self.apart).as_millisecond())
        .execute(write)
        .await?;
        Ok(taken.rows_affected() == 1)
    }
}

struct ShareClassicToken {
    token: SecretString,
    expires_at: Timestamp,
}

impl Command for ShareClassicToken {
    type Output = ();

    const URGENCY: Urgency = Urgency::First;

    async fn execute(&self, write: &mut Transaction<'_>) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO classic_token (appid, token, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (appid) DO UPDATE SET token = excluded.token, expires_at = excluded.expires_at",
        )
        .bind(write.appid())
        .bind(self.token.expose_secret())
        .bind(self.expires_at.as_millisecond())
        .execute(write)
        .await?;
        Ok(())
    }
}
