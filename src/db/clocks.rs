//! Whether those who share a database agree on the time. Leases, intents and probes are written by
//! one replica's clock and read by another's.

use std::fmt;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sqlx::{AnyConnection, AssertSqlSafe, Executor, Row};

use super::url::Dialect;
use crate::clock::Clock;

/// How far this machine's clock is from that of the database's server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockDifference(SignedDuration);

/// An expression for the database's time, in milliseconds. SQLite's is this machine's.
pub(super) fn now_sql(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
        Dialect::Postgres => "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
    }
}

impl ClockDifference {
    /// What the owner can do about one that is too large.
    pub const ACTION: &str = "synchronise the clocks of this machine and of the database's (NTP): replicas compare their times";

    /// Measures it by one query to PostgreSQL.
    pub(super) async fn measure(
        connection: &mut AnyConnection,
        clock: &dyn Clock,
    ) -> Result<Self, sqlx::Error> {
        let asked = clock.now();
        let answer = connection
            .fetch_one(AssertSqlSafe(format!(
                "SELECT {}",
                now_sql(Dialect::Postgres)
            )))
            .await?;
        let answered = clock.now();
        let theirs = Timestamp::from_millisecond(answer.try_get(0)?);
        let theirs = theirs.map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(Self::between(asked, answered, theirs))
    }

    /// Computes it from our times before and after a query, and theirs, which is assumed to be of
    /// the middle of the round trip (as in NTP).
    pub(crate) fn between(asked: Timestamp, answered: Timestamp, theirs: Timestamp) -> Self {
        let ours = asked + answered.duration_since(asked) / 2;
        Self(ours.duration_since(theirs))
    }

    /// Whether it is more than this.
    pub fn exceeds(self, tolerance: Duration) -> bool {
        self.0.unsigned_abs() > tolerance
    }
}

impl fmt::Display for ClockDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = if self.0.is_negative() {
            "behind"
        } else {
            "ahead of"
        };
        let seconds = self.0.unsigned_abs().as_secs_f64();
        write!(f, "this machine's is {seconds:.3} s {side} the database's")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_round_trip_is_no_clock_difference() {
        let at = |ms: i64| Timestamp::from_millisecond(ms).unwrap();
        for (asked, answered, theirs, want, exceeds) in [
            (0, 800, 400, "0.000 s ahead of", false),
            (0, 800, 900, "0.500 s behind", false),
            (10_000, 10_200, 5_100, "5.000 s ahead of", false),
            (10_000, 10_200, 5_099, "5.001 s ahead of", true),
            (10_000, 10_200, 15_101, "5.001 s behind", true),
            (0, 0, 86_400_000, "86400.000 s behind", true),
        ] {
            let difference = ClockDifference::between(at(asked), at(answered), at(theirs));
            assert_eq!(
                difference.to_string(),
                format!("this machine's is {want} the database's")
            );
            let tolerance = Duration::from_secs(5);
            assert_eq!(difference.exceeds(tolerance), exceeds, "{difference}");
        }
    }
}
