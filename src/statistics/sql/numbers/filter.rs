//! Which numbers are asked for, and the statements that read them.

use jiff::civil::Date;
use sqlx::Any;
use sqlx::any::AnyArguments;
use sqlx::query::Query;

use crate::codes::SceneFilter;
use crate::codes::columns::kinds;
use crate::statistics::sql::row_budget;

/// Whether numbers are by day or in total. People do not add up over days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// A row for each day.
    Day,
    /// One row.
    Total,
}

/// Selects the codes and days of statistics. An absent field does not restrict.
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
    pub granularity: Granularity,
}

impl NumbersFilter {
    /// Binds, after the account, the days, the scene, the group and the row limit. Not every
    /// statement uses all of them.
    pub(super) fn bind<'q>(
        &'q self,
        query: Query<'q, Any, AnyArguments>,
    ) -> Query<'q, Any, AnyArguments> {
        query
            .bind(self.from.to_string())
            .bind(self.to.to_string())
            .bind(self.scene.as_ref().map(|scene| scene.value().to_string()))
            .bind(self.group.as_deref())
            .bind(i64::try_from(self.max_codes() + 1).unwrap_or(i64::MAX))
    }

    /// How many codes an answer may have.
    pub(super) fn max_codes(&self) -> usize {
        row_budget::MAX_ROWS / self.day_count()
    }

    /// How many rows each code has.
    pub(super) fn day_count(&self) -> usize {
        match self.granularity {
            Granularity::Total => 1,
            Granularity::Day => {
                let days = (self.to - self.from).get_days();
                usize::try_from(days).unwrap_or(0) + 1
            }
        }
    }

    /// Builds the query for the codes of a scene, or else for the permanent ones.
    pub(super) fn codes_sql(&self) -> String {
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

    pub(super) fn channels_sql(&self) -> String {
        let (scene, group) = (self.scene_sql(), self.group.as_ref());
        let group = group.map_or("", |_| " AND group_name = $5");
        format!(
            "SELECT kind, scene, label, group_name, archived FROM channel
             WHERE appid = $1 AND (label IS NOT NULL OR group_name IS NOT NULL){scene}{group} LIMIT $6"
        )
    }

    pub(super) fn tallies_sql(&self) -> String {
        let restricted = self.restricted_sql();
        match self.granularity {
            Granularity::Day => format!(
                "SELECT kind, scene, day, scans, people, new_followers, lost FROM tally
                 WHERE appid = $1 AND day BETWEEN $2 AND $3{restricted}"
            ),
            Granularity::Total => format!(
                "SELECT kind, scene, CAST(NULL AS TEXT) AS day,
                   CAST(SUM(scans) AS BIGINT) AS scans, CAST(SUM(people) AS BIGINT) AS people,
                   CAST(SUM(new_followers) AS BIGINT) AS new_followers, CAST(SUM(lost) AS BIGINT) AS lost
                 FROM tally WHERE appid = $1 AND day BETWEEN $2 AND $3{restricted}
                 GROUP BY kind, scene LIMIT $6"
            ),
        }
    }

    /// Builds the query for the sums. Without a row SQL sums up to NULL, which becomes 0.
    pub(super) fn sums_sql(&self) -> String {
        let restricted = self.restricted_sql();
        let (day, by_day) = match self.granularity {
            Granularity::Day => ("day", "GROUP BY day"),
            Granularity::Total => ("CAST(NULL AS TEXT) AS day", ""),
        };
        format!(
            "SELECT {day}, CAST(COALESCE(SUM(scans), 0) AS BIGINT) AS scans,
               CAST(COALESCE(SUM(new_followers), 0) AS BIGINT) AS new_followers,
               CAST(COALESCE(SUM(lost), 0) AS BIGINT) AS lost
             FROM tally WHERE appid = $1 AND day BETWEEN $2 AND $3{restricted} {by_day}"
        )
    }

    /// Builds the query for people who returned from a day of the range: they are counted on an
    /// earlier day.
    pub(super) fn returning_sql(&self) -> String {
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

    pub(super) fn days(&self) -> impl Iterator<Item = Option<Date>> + use<> {
        let (from, to) = (self.from, self.to);
        let (first, days) = match self.granularity {
            Granularity::Total => (Some(None), None),
            Granularity::Day => {
                let later = |day: &Date| day.tomorrow().ok();
                let days = std::iter::successors(Some(from), later);
                (None, Some(days.take_while(move |day| *day <= to).map(Some)))
            }
        };
        first.into_iter().chain(days.into_iter().flatten())
    }
}
