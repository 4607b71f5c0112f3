//! Scans, new followers and losses, by code and day. They are read from sums that
//! recording keeps, and not from events, so that it does not matter how many those were.

mod filter;
mod rows;

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use jiff::civil::Date;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use tokio::task::coop;

pub use self::filter::{Granularity, NumbersFilter};
use self::rows::CountedCodes;
pub use self::rows::{Numbers, NumbersRow, NumbersRows};
use super::columns::number;
use super::row_budget;
use super::store::EventStore;
use crate::db::{Error, ReadKind, Transaction, row};

/// Counts of all codes together, on a day or in total. People are not here: they do not add up over
/// codes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// The day; none in a total.
    pub day: Option<Date>,
    /// Scans and follows through the codes.
    pub scans: u64,
    /// Persons whom the codes brought first.
    pub new_followers: u64,
    /// Of those, the ones away now.
    pub lost: u64,
}

impl EventStore {
    /// The most rows of one answer.
    pub const MAX_ROWS: usize = row_budget::MAX_ROWS;

    /// Reads the numbers of all codes that have a name, that are permanent, or that have numbers in
    /// these days, in the order of `Attribution` and by day; zero rows too. With a scene, its codes
    /// are there whenever they are known. None if there are more rows than
    /// [`EventStore::MAX_ROWS`], of which no more are read than it takes to know. The rows hold no
    /// connection. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used, [`Error::Busy`] also when it took too long, or when too
    /// many rows of other answers are still in memory.
    pub async fn numbers(&self, filter: &NumbersFilter) -> Result<Option<NumbersRows>, Error> {
        let codes = self.db.read(ReadKind::Long, async {
            let mut read = self.db.begin_snapshot().await?;
            let codes = self.read_codes(&mut read, filter).await?;
            read.rollback().await?;
            Ok(codes)
        });
        let Some(codes) = codes.await? else {
            return Ok(None);
        };
        let rows = codes.len() * filter.day_count();
        let budget = self.row_budget.try_acquire(rows).ok_or(Error::Busy)?;
        Ok(Some(codes.into_rows(filter, budget)))
    }

    /// Reads what the codes of a filter did together: a row for each day, or one; zero rows too.
    /// Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used, [`Error::Busy`] also when it took too long.
    pub async fn sums(&self, filter: &NumbersFilter) -> Result<Vec<Sums>, Error> {
        self.db
            .read(ReadKind::Long, async {
                let mut read = self.db.begin_snapshot().await?;
                let sql = AssertSqlSafe(filter.sums_sql());
                let query = filter.bind(sqlx::query(sql).bind(self.db.appid()));
                let found = query.fetch_all(&mut read).await?;
                read.rollback().await?;
                sums(filter, &found)
            })
            .await
    }

    /// Reads the listed codes and their numbers; those first that are listed even with zero
    /// numbers. None if there are too many.
    async fn read_codes(
        &self,
        read: &mut Transaction<'_>,
        filter: &NumbersFilter,
    ) -> Result<Option<CountedCodes>, Error> {
        let mut statements: Vec<(String, Add)> = Vec::new();
        if filter.group.is_none() {
            statements.push((filter.codes_sql(), CountedCodes::add_code));
        }
        statements.push((filter.channels_sql(), CountedCodes::add_names));
        statements.push((filter.tallies_sql(), CountedCodes::add_tally));
        if filter.granularity == Granularity::Total && filter.from != filter.to {
            statements.push((filter.returning_sql(), CountedCodes::subtract_returning));
        }
        let (mut codes, most) = (CountedCodes::default(), filter.max_codes());
        for (sql, add) in statements {
            let query = filter.bind(sqlx::query(AssertSqlSafe(sql)).bind(self.db.appid()));
            let mut found = query.fetch(&mut *read);
            while let Some(row) = found.try_next().await? {
                add(&mut codes, &row)?;
                if codes.len() > most {
                    return Ok(None);
                }
                // A hundred thousand rows take longer than others should wait for this thread.
                coop::consume_budget().await;
            }
        }
        Ok(Some(codes))
    }
}

/// Adds a row of a statement.
type Add = fn(&mut CountedCodes, &AnyRow) -> Result<(), Error>;

/// Collects a sum for each day of the filter, or one for all of them.
fn sums(filter: &NumbersFilter, found: &[AnyRow]) -> Result<Vec<Sums>, Error> {
    let nothing = |day| {
        let sums = Sums {
            day,
            ..Sums::default()
        };
        (day, sums)
    };
    let mut sums: BTreeMap<_, _> = filter.days().map(nothing).collect();
    for found in found {
        let day = found.try_get::<Option<String>, _>("day")?;
        let day = day.map(|day| row::day(&day)).transpose()?;
        let sum = Sums {
            day,
            scans: number(found, "scans")?,
            new_followers: number(found, "new_followers")?,
            lost: number(found, "lost")?,
        };
        sums.insert(day, sum);
    }
    Ok(sums.into_values().collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    fn filter(from: Date, to: Date, granularity: Granularity) -> NumbersFilter {
        NumbersFilter {
            scene: None,
            group: None,
            from,
            to,
            granularity,
        }
    }

    /// So many codes that are there because they have a name.
    async fn with_names(codes: u32) -> EventStore {
        let store = EventStore::in_memory(Arc::new(SystemClock)).await;
        let name = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {codes})
             INSERT INTO channel (appid, kind, scene, label, group_name) SELECT 'wxtest', 'QR_SCENE', i, 'shop ' || i, 'south' FROM n"
        );
        let query = sqlx::query(AssertSqlSafe(name));
        query.execute(store.db.autocommit()).await.unwrap();
        store
    }

    #[tokio::test]
    async fn no_more_rows_than_allowed_are_answered() {
        let store = with_names(1000).await;
        let first = Date::constant(2026, 1, 1);
        for (last, rows) in [
            (Date::constant(2026, 4, 10), Some(100_000)),
            (Date::constant(2026, 4, 11), None),
        ] {
            let found = store.numbers(&filter(first, last, Granularity::Day)).await;
            assert_eq!(found.unwrap().map(Iterator::count), rows, "{last}");
        }
    }

    #[tokio::test]
    async fn one_code_more_than_allowed_is_read_and_not_two() {
        let day = |day| Date::constant(2026, 11, day);
        for (last, granularity, codes) in [
            (30, Granularity::Total, 100_000),
            (1, Granularity::Day, 100_000),
            (30, Granularity::Day, 3333),
        ] {
            let filter = filter(day(1), day(last), granularity);
            assert_eq!(filter.max_codes(), codes, "{filter:?}");
            for sql in [filter.codes_sql(), filter.channels_sql()] {
                assert!(sql.ends_with("LIMIT $6"), "{sql}");
            }
        }
    }

    #[tokio::test]
    async fn rows_of_answers_that_are_not_taken_are_bounded() {
        let store = with_names(2).await;
        let all = filter(Date::MIN, Date::MAX, Granularity::Total);
        let others = store.row_budget.try_acquire(row_budget::ROWS_IN_MEMORY - 3);
        let _others = others.unwrap();
        let slow = store.numbers(&all).await.unwrap().unwrap();
        assert!(matches!(store.numbers(&all).await, Err(Error::Busy)));
        drop(slow);
        assert!(store.numbers(&all).await.unwrap().is_some());
        assert!(store.db.is_up());
    }

    #[tokio::test]
    async fn a_caller_who_leaves_ends_the_query() {
        let store = with_names(20_000).await;
        let all = filter(Date::MIN, Date::MAX, Granularity::Total);
        // More callers than may read statistics at once, each a little further.
        for turns in 0..20 {
            let leaves = async {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                numbers = store.numbers(&all) => drop(numbers.unwrap()),
                () = leaves => {}
            }
        }
        assert_eq!(store.numbers(&all).await.unwrap().unwrap().count(), 20_000);
    }

    #[tokio::test]
    async fn only_the_days_of_a_filter_are_read() {
        let store = EventStore::in_memory(Arc::new(SystemClock)).await;
        for (scene, group) in [(false, false), (true, false), (false, true), (true, true)] {
            for granularity in [Granularity::Day, Granularity::Total] {
                let filter = NumbersFilter {
                    scene: scene.then(|| "id:7".parse().unwrap()),
                    group: group.then(|| "south".to_owned()),
                    from: Date::MIN,
                    to: Date::MAX,
                    granularity,
                };
                for (sql, table) in [
                    (filter.tallies_sql(), "tally"),
                    (filter.sums_sql(), "tally"),
                    (filter.returning_sql(), "revisit"),
                ] {
                    let plan = store.db.plan(sql).await;
                    let search = format!("SEARCH {table}");
                    let read = plan.iter().find(|step| step.starts_with(&search));
                    let bounds = [
                        "(appid=? AND day>? AND day<?)",
                        "AND scene=? AND day>? AND day<?)",
                    ];
                    let is_bounded = |step: &String| bounds.iter().any(|end| step.ends_with(end));
                    assert!(read.is_some_and(is_bounded), "{filter:?}: {plan:?}");
                }
            }
        }
        let all = filter(Date::MIN, Date::MAX, Granularity::Total);
        let plan = store.db.plan(all.returning_sql()).await;
        assert!(
            plan[0].contains("COVERING INDEX revisit_by_day"),
            "{plan:?}"
        );
        let plan = store.db.plan(all.codes_sql()).await;
        assert!(plan[0].contains("(appid=? AND kind=?)"), "{plan:?}");
    }
}
