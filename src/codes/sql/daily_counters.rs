//! Daily counters. WeChat's day, and so its quotas, begins at midnight in China.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::store::CodeStore;
use crate::clock::China;
use crate::db::{Error, Query, ReadKind, Transaction, placeholders};

/// What the visitors' mints of a day are counted under.
pub(super) const ANONYMOUS: &str = "anonymous";

/// What all mints of a day are counted under.
pub(super) const MINTS: &str = "mints";

impl CodeStore {
    /// Reads today's mints: those that visitors caused, and all.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn mints_today(&self) -> Result<(u64, u64), Error> {
        let query = sqlx::query("SELECT name, value FROM daily WHERE appid = $1 AND day = $2")
            .bind(self.db.appid())
            .bind(China::day(self.db.now()));
        self.db
            .read(ReadKind::Short, async {
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
}

/// Finds the value of a counter on the day of `now`.
pub(super) fn find_today<'q>(appid: &'q str, name: &'q str, now: Timestamp) -> Query<'q> {
    sqlx::query("SELECT value FROM daily WHERE appid = $1 AND name = $2 AND day = $3")
        .bind(appid)
        .bind(name)
        .bind(China::day(now))
}

/// The value that [`find_today`] found.
pub(super) fn value_today(found: &[AnyRow]) -> Result<u64, Error> {
    let value: i64 = found.first().map_or(Ok(0), |row| row.try_get("value"))?;
    Ok(u64::try_from(value).unwrap_or(0))
}

/// Adds to counters on the day of `now`.
pub(super) async fn add_to_today(
    write: &mut Transaction<'_>,
    now: Timestamp,
    changes: &[(&str, u64)],
) -> Result<(), Error> {
    let changes: Vec<_> = changes.iter().filter(|(_, change)| *change > 0).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO daily (appid, name, day, value) VALUES {}
         ON CONFLICT (appid, name, day) DO UPDATE SET value = daily.value + excluded.value",
        placeholders::rows_of_account(changes.len(), 3)
    );
    let mut query = placeholders::query(sql, changes.len(), write.appid());
    for (name, change) in changes {
        query = query
            .bind(*name)
            .bind(China::day(now))
            .bind(i64::try_from(*change).unwrap_or(i64::MAX));
    }
    write.execute_later(query).await
}

/// Takes visitors' mints back that were charged and not made. They go to today, also if they were
/// charged just before midnight.
pub(super) async fn refund_today(
    write: &mut Transaction<'_>,
    now: Timestamp,
    refunded: u64,
) -> Result<(), Error> {
    if refunded == 0 {
        return Ok(());
    }
    // Of what was charged yesterday, today's counter may have less.
    let refund = sqlx::query(
        "UPDATE daily SET value = CASE WHEN value > $4 THEN value - $4 ELSE 0 END
         WHERE appid = $1 AND name = $2 AND day = $3",
    )
    .bind(write.appid())
    .bind(ANONYMOUS)
    .bind(China::day(now))
    .bind(i64::try_from(refunded).unwrap_or(i64::MAX));
    write.execute_later(refund).await
}
