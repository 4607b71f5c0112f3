//! Daily counters. WeChat's day, and so its quotas, begins at midnight in China.

use sqlx::Row;

use super::store::CodeStore;
use crate::clock::China;
use crate::db::{Error, Purpose};

/// What the visitors' mints of a day are counted under.
const ANONYMOUS: &str = "anonymous";

/// What all mints of a day are counted under.
const MINTS: &str = "mints";

impl CodeStore {
    /// Takes one of the mints that visitors may cause today; false once there is none left.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn take_anonymous_mint(&self, budget: u64) -> Result<bool, Error> {
        if budget == 0 {
            return Ok(false);
        }
        self.add(ANONYMOUS, 1, budget).await
    }

    /// Gives a mint back that was taken, but not used. It goes to today, also if it was taken just
    /// before midnight.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn refund_anonymous_mint(&self) -> Result<(), Error> {
        self.add(ANONYMOUS, -1, u64::MAX).await.map(|_| ())
    }

    /// Counts mints of today, of visitors and keys.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn count_mints(&self, count: u64) -> Result<(), Error> {
        self.count(MINTS, count).await
    }

    /// Counts mints that visitors caused while the store could not be asked, also beyond the
    /// budget. They go to today.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn count_anonymous_mints(&self, count: u64) -> Result<(), Error> {
        self.count(ANONYMOUS, count).await
    }

    async fn count(&self, name: &str, count: u64) -> Result<(), Error> {
        let change = i64::try_from(count).unwrap_or(i64::MAX);
        self.add(name, change, u64::MAX).await.map(|_| ())
    }

    /// Today's mints: those that visitors caused, and all.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn mints_today(&self) -> Result<(u64, u64), Error> {
        let query = sqlx::query("SELECT name, value FROM daily WHERE appid = $1 AND day = $2")
            .bind(self.db.appid())
            .bind(China::day(self.db.now()));
        self.db
            .within_deadline(Purpose::Read, async {
                let (mut anonymous, mut all) = (0, 0);
                for row in query.fetch_all(self.db.autocommit()).await? {
                    let value = u64::try_from(row.try_get::<i64, _>("value")?).unwrap_or(0);
                    match row.try_get::<String, _>("name")?.as_str() {
                        ANONYMOUS => anonymous = value,
                        MINTS => all = value,
                        _ => {}
                    }
                }
                Ok((anonymous, all))
            })
            .await
    }

    /// Changes a counter of today, unless that would exceed `most`. Says whether it did.
    async fn add(&self, name: &str, change: i64, most: u64) -> Result<bool, Error> {
        let query = sqlx::query(
            "INSERT INTO daily (appid, name, day, value) VALUES ($1, $2, $3, $4)
             ON CONFLICT (appid, name, day) DO UPDATE SET value = daily.value + $5
             WHERE daily.value + $5 <= $6 AND daily.value + $5 >= 0",
        )
        .bind(self.db.appid())
        .bind(name)
        .bind(China::day(self.db.now()))
        .bind(change.max(0))
        .bind(change)
        .bind(i64::try_from(most).unwrap_or(i64::MAX));
        self.db
            .within_deadline(Purpose::Write, async {
                Ok(query.execute(self.db.autocommit()).await?.rows_affected() == 1)
            })
            .await
    }
}
