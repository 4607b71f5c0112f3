//! The numbers of a code as `/api/stats` and the CSV file write them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::http::api::attribution::AttributionBody;
use crate::statistics::{NumbersRow, Sums};

/// The numbers of a code, of a day or of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct StatsRow {
    /// Absent in a sum.
    #[serde(flatten)]
    pub(super) code: Option<AttributionBody>,
    /// The owner's name for the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    /// The group that the code belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
    /// `true` if the code is archived: it is out of lists, and counted as ever. Absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) archived: bool,
    /// The day, `YYYY-MM-DD`. Absent in a total.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) day: Option<String>,
    pub(super) scans: u64,
    /// Absent in a sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) people: Option<u64>,
    pub(super) new_followers: u64,
    pub(super) lost: u64,
    pub(super) net: i64,
}

impl From<NumbersRow> for StatsRow {
    fn from(row: NumbersRow) -> Self {
        let numbers = row.numbers;
        Self {
            code: Some(AttributionBody::from(&row.attribution)),
            label: row.channel.label,
            group: row.channel.group,
            archived: row.archived,
            day: row.day.map(|day| day.to_string()),
            scans: numbers.scans,
            people: Some(numbers.people),
            new_followers: numbers.new_followers,
            lost: numbers.lost,
            net: net(numbers.new_followers, numbers.lost),
        }
    }
}

impl From<Sums> for StatsRow {
    fn from(sums: Sums) -> Self {
        Self {
            code: None,
            label: None,
            group: None,
            archived: false,
            day: sums.day.map(|day| day.to_string()),
            scans: sums.scans,
            people: None,
            new_followers: sums.new_followers,
            lost: sums.lost,
            net: net(sums.new_followers, sums.lost),
        }
    }
}

/// New followers less losses.
pub(super) fn net(new_followers: u64, lost: u64) -> i64 {
    new_followers.cast_signed() - lost.cast_signed()
}
