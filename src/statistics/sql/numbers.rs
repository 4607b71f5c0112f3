//! Scans, new followers and losses, by code and day. They are read from sums that
//! recording keeps, and not from events, so that it does not matter how many those were.

use std::collections::BTreeMap;

use jiff::civil::Date;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use super::columns;
use super::store::EventStore;
use crate::channels::{self, Channel};
use crate::codes::SceneFilter;
use crate::codes::columns::kinds;
use crate::db::{Error, Purpose, Transaction, row};
use crate::statistics::tally::Attribution;

/// What happened by one code, on a day or over several.
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
    /// The first day.
    pub from: Date,
    /// The last day, included.
    pub to: Date,
    /// By day or in total.
    pub span: Span,
}

/// A row of statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumbersRow {
    /// The code.
    pub attribution: Attribution,
    /// What its owner calls it.
    pub channel: Channel,
    /// The day; none in a total.
    pub day: Option<Date>,
    /// The numbers.
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

/// The listed codes, each with its names and its numbers by day; a total has no day.
type Codes = BTreeMap<Attribution, (Channel, BTreeMap<Option<Date>, Numbers>)>;

impl EventStore {
    /// The most rows of one answer.
    pub const MAX_ROWS: usize = 100_000;

    /// The numbers of all codes that have a name, that are permanent, or that have numbers in these
    /// days, in the order of [`Attribution`] and by day; zero rows too. With a scene, its codes are
    /// there whenever they are known. No more than [`EventStore::MAX_ROWS`] and one: that
    /// one says that there are too many. Cancel safe.
    ///
    /// # Errors
    /// When the store cannot be used, [`Error::Busy`] also when it took too long.
    pub async fn numbers(&self, filter: &NumbersFilter) -> Result<Vec<NumbersRow>, Error> {
        self.db
            .read(Purpose::Statistics, async {
                let mut read = self.db.begin_statistics().await?;
                let codes = self.codes_to_tell(&mut read, filter).await?;
                let codes = self.with_numbers(&mut read, filter, codes).await?;
                read.rollback().await?;
                let filter = filter.clone();
                on_a_thread(move || Ok(filter.rows(codes))).await
            })
            .await
    }

    /// What the codes of a filter did together: a row for each day, or one; zero rows too. No more
    /// than [`EventStore::MAX_ROWS`] and one. Cancel safe.
    ///
    /// # Errors
    /// When the store cannot be used, [`Error::Busy`] also when it took too long.
    pub async fn sums(&self, filter: &NumbersFilter) -> Result<Vec<Sums>, Error> {
        self.db
            .read(Purpose::Statistics, async {
                let mut read = self.db.begin_statistics().await?;
                let found = self.select(&mut read, filter, filter.sums_sql()).await?;
                read.rollback().await?;
                let filter = filter.clone();
                on_a_thread(move || filter.sums(&found)).await
            })
            .await
    }

    /// Rows that are listed even if all of their numbers are zero.
    async fn codes_to_tell(
        &self,
        read: &mut Transaction<'_>,
        filter: &NumbersFilter,
    ) -> Result<Codes, Error> {
        let mut codes = Codes::new();
        if filter.group.is_none() {
            let found = self.select(read, filter, filter.codes_sql()).await?;
            codes = on_a_thread(move || with_codes(codes, found)).await?;
        }
        let found = self.select(read, filter, filter.channels_sql()).await?;
        on_a_thread(move || with_names(codes, found)).await
    }

    async fn with_numbers(
        &self,
        read: &mut Transaction<'_>,
        filter: &NumbersFilter,
        codes: Codes,
    ) -> Result<Codes, Error> {
        let found = self.select(read, filter, filter.tallies_sql()).await?;
        let span = filter.span;
        let codes = on_a_thread(move || with_tallies(codes, found, span)).await?;
        if filter.span == Span::Day || filter.from == filter.to {
            return Ok(codes);
        }
        let found = self.select(read, filter, filter.revisits_sql()).await?;
        on_a_thread(move || without_revisits(codes, found)).await
    }

    /// Each of these statements has the same values.
    async fn select(
        &self,
        read: &mut Transaction<'_>,
        filter: &NumbersFilter,
        sql: String,
    ) -> Result<Vec<AnyRow>, Error> {
        let query = filter.bind(sqlx::query(AssertSqlSafe(sql)).bind(self.db.appid()));
        Ok(query.fetch_all(&mut *read).await?)
    }
}

impl NumbersFilter {
    /// After the account the days, a scene and a group, and how many rows there may be. Not every
    /// statement uses all of them.
    fn bind<'q>(&'q self, query: Query<'q, Any, AnyArguments>) -> Query<'q, Any, AnyArguments> {
        query
            .bind(self.from.to_string())
            .bind(self.to.to_string())
            .bind(self.scene.as_ref().map(|scene| scene.value().to_string()))
            .bind(self.group.as_deref())
            .bind(i64::try_from(EventStore::MAX_ROWS + 1).unwrap_or(i64::MAX))
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
            "SELECT kind, scene FROM code WHERE appid = $1 AND {which} AND ticket IS NOT NULL LIMIT $6"
        )
    }

    /// The codes that have names.
    fn channels_sql(&self) -> String {
        let (scene, group) = (self.scene_sql(), self.group.as_ref());
        let group = group.map_or("", |_| " AND group_name = $5");
        format!(
            "SELECT kind, scene, label, group_name FROM channel
             WHERE appid = $1 AND (label IS NOT NULL OR group_name IS NOT NULL){scene}{group} LIMIT $6"
        )
    }

    fn tallies_sql(&self) -> String {
        let restricted = self.restricted_sql();
        match self.span {
            Span::Day => format!(
                "SELECT kind, scene, day, scans, people, new_followers, lost FROM tally
                 WHERE appid = $1 AND day BETWEEN $2 AND $3{restricted} LIMIT $6"
            ),
            Span::Total => format!(
                "SELECT kind, scene, CAST(SUM(scans) AS BIGINT) AS scans, CAST(SUM(people) AS BIGINT) AS people,
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
             FROM tally WHERE appid = $1 AND day BETWEEN $2 AND $3{restricted} {by_day} LIMIT $6"
        )
    }

    /// People who returned from a day of the range, and so are counted on an earlier day.
    fn revisits_sql(&self) -> String {
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
                format!(" AND scene = $4 AND kind IN ({}, '')", kinds(scene))
            }
            None => String::new(),
        }
    }

    fn rows(&self, codes: Codes) -> Vec<NumbersRow> {
        let rows = codes
            .into_iter()
            .flat_map(|(attribution, (channel, days))| {
                self.days().map(move |day| NumbersRow {
                    attribution: attribution.clone(),
                    channel: channel.clone(),
                    day,
                    numbers: days.get(&day).copied().unwrap_or_default(),
                })
            });
        rows.take(EventStore::MAX_ROWS + 1).collect()
    }

    fn sums(&self, found: &[AnyRow]) -> Result<Vec<Sums>, Error> {
        let nothing = |day| {
            let sums = Sums {
                day,
                ..Sums::default()
            };
            (day, sums)
        };
        let days = self.days().take(EventStore::MAX_ROWS + 1);
        let mut sums: BTreeMap<_, _> = days.map(nothing).collect();
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
        Ok(sums.into_values().take(EventStore::MAX_ROWS + 1).collect())
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

fn with_codes(mut codes: Codes, found: Vec<AnyRow>) -> Result<Codes, Error> {
    for found in found {
        codes.entry(columns::attribution(&found)?).or_default();
    }
    Ok(codes)
}

fn with_names(mut codes: Codes, found: Vec<AnyRow>) -> Result<Codes, Error> {
    for found in found {
        let names = channels::channel(&found)?;
        codes.entry(columns::attribution(&found)?).or_default().0 = names;
    }
    Ok(codes)
}

fn with_tallies(mut codes: Codes, found: Vec<AnyRow>, span: Span) -> Result<Codes, Error> {
    for found in found {
        let numbers = Numbers {
            scans: number(&found, "scans")?,
            people: number(&found, "people")?,
            new_followers: number(&found, "new_followers")?,
            lost: number(&found, "lost")?,
        };
        let day = match span {
            Span::Day => Some(row::day(&found.try_get::<String, _>("day")?)?),
            Span::Total => None,
        };
        let code = codes.entry(columns::attribution(&found)?).or_default();
        code.1.insert(day, numbers);
    }
    Ok(codes)
}

fn without_revisits(mut codes: Codes, found: Vec<AnyRow>) -> Result<Codes, Error> {
    for found in found {
        let code = codes.entry(columns::attribution(&found)?).or_default();
        let numbers = code.1.entry(None).or_default();
        let again = number(&found, "people")?;
        numbers.people = numbers.people.saturating_sub(again);
    }
    Ok(codes)
}

/// Reads or writes rows on a thread that may block: a hundred thousand take longer than others
/// should wait.
async fn on_a_thread<T: Send + 'static>(
    make: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let outcome = tokio::task::spawn_blocking(make).await;
    outcome.expect("rows are read without a panic")
}

fn number(found: &AnyRow, column: &str) -> Result<u64, Error> {
    let number: i64 = found.try_get(column)?;
    u64::try_from(number).map_err(|_| Error::BadRow("a negative number"))
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::clock::SystemClock;

    /// With a single thread that may block, which is held again after each of its jobs.
    #[test]
    fn rows_are_read_and_made_on_threads_that_may_block() {
        /// The rows of codes, names and tallies, and those of the answer.
        const JOBS: usize = 4;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = EventStore::in_memory(Arc::new(SystemClock)).await;
            let filter = NumbersFilter {
                scene: None,
                group: None,
                from: Date::constant(2026, 11, 1),
                to: Date::constant(2026, 11, 2),
                span: Span::Day,
            };
            // Connects.
            store.numbers(&filter).await.unwrap();
            let mut held = hold_thread();
            let mut numbers = pin!(store.numbers(&filter));
            for job in 1..=JOBS {
                // However slow the machine is, no more than one job is done between two holds.
                let early = timeout(MAY_GO_WRONG, &mut numbers).await;
                assert!(early.is_err(), "job {job} is not done on such a thread");
                let next = hold_thread();
                drop(std::mem::replace(&mut held, next));
            }
        });
    }

    /// How long something has the chance to go wrong.
    const MAY_GO_WRONG: Duration = Duration::from_millis(50);

    /// Blocks the thread that may block, once its jobs so far are done.
    fn hold_thread() -> mpsc::Sender<()> {
        let (held, released) = mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || released.recv());
        held
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
                    (filter.revisits_sql(), "revisit"),
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
        let all = NumbersFilter {
            scene: None,
            group: None,
            from: Date::MIN,
            to: Date::MAX,
            span: Span::Total,
        };
        let plan = store.db.plan(all.revisits_sql()).await;
        assert!(
            plan[0].contains("COVERING INDEX revisit_by_day"),
            "{plan:?}"
        );
        let plan = store.db.plan(all.codes_sql()).await;
        assert!(plan[0].contains("(appid=? AND kind=?)"), "{plan:?}");
    }
}
