//! Scans, new followers and losses, by code and day. They are read from sums that
//! recording keeps, and not from events, so that it does not matter how many those were.

mod rows;

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use jiff::civil::Date;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};
use tokio::task::coop;

pub use self::rows::NumbersRows;

use self::rows::CountedCodes;
use super::row_budget;
use super::store::EventStore;
use crate::channels::Channel;
use crate::codes::SceneFilter;
use crate::codes::columns::kinds;
use crate::db::{Error, ReadKind, Transaction, row};
use crate::statistics::tally::Attribution;

/// The four counts of a code, on a day or over several.
///
/// *scans*: scans by followers, and follows through the code. *people*: distinct persons among
/// them. *new followers*: follows through a code, once per person, for the code that brought them
/// first. *lost*: of those, the ones away now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Scans and follows through the code.
    pub scans: u64,
    /// Distinct persons among them.
    pub people: u64,
    /// Persons whom this code brought first.
    pub new_followers: u64,
    /// Of those, the ones away now.
    pub lost: u64,
}

/// Whether numbers are for each day or for all days together. People are not additive over
/// days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// A row for each day.
    Day,
    /// One row.
    Total,
}

/// Which numbers. An absent field does not restrict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumbersFilter {
    /// Codes that carry this scene. Scenes of unknown tickets have a text only, which a filter by
    /// number finds too.
    pub scene: Option<SceneFilter>,
    /// Exactly this group.
    pub group: Option<String>,
    pub from: Date,
    /// The last day, included.
    pub to: Date,
    pub span: Span,
}

/// The counts of a code, in total or on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumbersRow {
    pub attribution: Attribution,
    /// What its owner calls it.
    pub channel: Channel,
    /// Whether it is out of lists. It is counted as ever.
    pub archived: bool,
    /// The day; none in a total.
    pub day: Option<Date>,
    pub numbers: Numbers,
}

/// What happened by all codes together. People are not here: they do not add up over codes.
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

    /// The numbers of all codes that have a name, that are permanent, or that have numbers in these
    /// days, in the order of [`Attribution`] and by day; zero rows too. With a scene, its codes are
    /// there whenever they are known. None if there are more rows than [`EventStore::MAX_ROWS`],
    /// of which no more are read than it takes to know. The rows hold no connection. Cancel safe.
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

    /// What the codes of a filter did together: a row for each day, or one; zero rows too. Cancel
    /// safe.
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
                filter.sums(&found)
            })
            .await
    }

    /// First those that are listed even if all of their numbers are zero.
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
        if filter.span == Span::Total && filter.from != filter.to {
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

impl NumbersFilter {
    /// After the account the days, a scene and a group, and one code more than there may be. Not
    /// every statement uses all of them.
    fn bind<'q>(&'q self, query: Query<'q, Any, AnyArguments>) -> Query<'q, Any, AnyArguments> {
        query
            .bind(self.from.to_string())
            .bind(self.to.to_string())
            .bind(self.scene.as_ref().map(|scene| scene.value().to_string()))
            .bind(self.group.as_deref())
            .bind(i64::try_from(self.max_codes() + 1).unwrap_or(i64::MAX))
    }

    /// How many codes an answer may have.
    fn max_codes(&self) -> usize {
        EventStore::MAX_ROWS / self.day_count()
    }

    /// How many rows each code has.
    fn day_count(&self) -> usize {
        match self.span {
            Span::Total => 1,
            Span::Day => {
                let days = (self.to - self.from).get_days();
                usize::try_from(days).unwrap_or(0) + 1
            }
        }
    }

    /// The codes of a scene, or else the permanent ones.
    fn codes_sql(&self) -> String {
        let which = match &self.scene {
            Some(scene) => format!(
                "scene = $4 AND kind IN ({}) AND NOT EXISTS (SELECT 1 FROM binding
                   WHERE binding.appid = code.appid AND binding.scene = code.scene AND code.kind = 'QR_STR_SCENE')",
                kinds(scene)
            ),
            None => "kind IN ('QR_LIMIT_SCENE', 'QR_LIMIT_STR_SCENE')".to_owned(),
        };
        format!(
            "SELECT kind, scene, archived FROM code WHERE appid = $1 AND {which} AND ticket IS NOT NULL LIMIT $6"
        )
    }

    /// The codes that have names.
    fn channels_sql(&self) -> String {
        let (scene, group) = (self.scene_sql(), self.group.as_ref());
        let group = group.map_or("", |_| " AND group_name = $5");
        format!(
            "SELECT kind, scene, label, group_name, archived FROM channel
             WHERE appid = $1 AND (label IS NOT NULL OR group_name IS NOT NULL){scene}{group} LIMIT $6"
        )
    }

    fn tallies_sql(&self) -> String {
        let restricted = self.restricted_sql();
        match self.span {
            Span::Day => format!(
                "SELECT kind, scene, day, scans, people, new_followers, lost FROM tally
                 WHERE appid = $1 AND day BETWEEN $2 AND $3{restricted}"
            ),
            Span::Total => format!(
                "SELECT kind, scene, CAST(NULL AS TEXT) AS day,
                   CAST(SUM(scans) AS BIGINT) AS scans, CAST(SUM(people) AS BIGINT) AS people,
                   CAST(SUM(new_followers) AS BIGINT) AS new_followers, CAST(SUM(lost) AS BIGINT) AS lost
                 FROM tally WHERE appid = $1 AND day BETWEEN $2 AND $3{restricted}
                 GROUP BY kind, scene LIMIT $6"
            ),
        }
    }

    /// One row at least: none is a sum of nothing, which is NULL.
    fn sums_sql(&self) -> String {
        let restricted = self.restricted_sql();
        let (day, by_day) = match self.span {
            Span::Day => ("day", "GROUP BY day"),
            Span::Total => ("CAST(NULL AS TEXT) AS day", ""),
        };
        format!(
            "SELECT {day}, CAST(COALESCE(SUM(scans), 0) AS BIGINT) AS scans,
               CAST(COALESCE(SUM(new_followers), 0) AS BIGINT) AS new_followers,
               CAST(COALESCE(SUM(lost), 0) AS BIGINT) AS lost
             FROM tally WHERE appid = $1 AND day BETWEEN $2 AND $3{restricted} {by_day}"
        )
    }

    /// People who returned from a day of the range, and so are counted on an earlier day.
    fn returning_sql(&self) -> String {
        let restricted = self.restricted_sql();
        format!(
            "SELECT kind, scene, CAST(SUM(people) AS BIGINT) AS people FROM revisit
             WHERE appid = $1 AND day BETWEEN $2 AND $3 AND since >= $2{restricted}
             GROUP BY kind, scene LIMIT $6"
        )
    }

    fn restricted_sql(&self) -> String {
        let group = self.group.as_ref().map_or("", |_| {
            " AND (kind, scene) IN (SELECT kind, scene FROM channel WHERE appid = $1 AND group_name = $5)"
        });
        self.scene_sql() + group
    }

    fn scene_sql(&self) -> String {
        match &self.scene {
            Some(scene) => {
                format!(" AND scene = $4 AND kind IN ({})", kinds(scene))
            }
            None => String::new(),
        }
    }

    fn sums(&self, found: &[AnyRow]) -> Result<Vec<Sums>, Error> {
        let nothing = |day| {
            let sums = Sums {
                day,
                ..Sums::default()
            };
            (day, sums)
        };
        let mut sums: BTreeMap<_, _> = self.days().map(nothing).collect();
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

    fn days(&self) -> impl Iterator<Item = Option<Date>> + use<> {
        let (from, to) = (self.from, self.to);
        let (first, days) = match self.span {
            Span::Total => (Some(None), None),
            Span::Day => {
                let later = |day: &Date| day.tomorrow().ok();
                let days = std::iter::successors(Some(from), later);
                (None, Some(days.take_while(move |day| *day <= to).map(Some)))
            }
        };
        first.into_iter().chain(days.into_iter().flatten())
    }
}

fn number(found: &AnyRow, column: &str) -> Result<u64, Error> {
    let number: i64 = found.try_get(column)?;
    u64::try_from(number).map_err(|_| Error::BadRow("a negative number"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::SystemClock;

    fn filter(from: Date, to: Date, span: Span) -> NumbersFilter {
        NumbersFilter {
            scene: None,
            group: None,
            from,
            to,
            span,
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
            let found = store.numbers(&filter(first, last, Span::Day)).await;
            assert_eq!(found.unwrap().map(Iterator::count), rows, "{last}");
        }
    }

    #[tokio::test]
    async fn one_code_more_than_allowed_is_read_and_not_two() {
        let day = |day| Date::constant(2026, 11, day);
        for (last, span, codes) in [
            (30, Span::Total, 100_000),
            (1, Span::Day, 100_000),
            (30, Span::Day, 3333),
        ] {
            let filter = filter(day(1), day(last), span);
            assert_eq!(filter.max_codes(), codes, "{filter:?}");
            for sql in [filter.codes_sql(), filter.channels_sql()] {
                assert!(sql.ends_with("LIMIT $6"), "{sql}");
            }
        }
    }

    #[tokio::test]
    async fn rows_of_answers_that_are_not_taken_are_bounded() {
        let store = with_names(2).await;
        let all = filter(Date::MIN, Date::MAX, Span::Total);
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
        let all = filter(Date::MIN, Date::MAX, Span::Total);
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
            for span in [Span::Day, Span::Total] {
                let filter = NumbersFilter {
                    scene: scene.then(|| "id:7".parse().unwrap()),
                    group: group.then(|| "south".to_owned()),
                    from: Date::MIN,
                    to: Date::MAX,
                    span,
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
        let all = filter(Date::MIN, Date::MAX, Span::Total);
        let plan = store.db.plan(all.returning_sql()).await;
        assert!(
            plan[0].contains("COVERING INDEX revisit_by_day"),
            "{plan:?}"
        );
        let plan = store.db.plan(all.codes_sql()).await;
        assert!(plan[0].contains("(appid=? AND kind=?)"), "{plan:?}");
    }
}
