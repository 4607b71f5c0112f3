//! Statistics: how many scanned, followed and left, by code and day.

use jiff::civil::Date;

use super::events::Attribution;
use super::Channel;

/// What happened by one code, on a day or over several.
///
/// *scans*: scans by followers, and follows through the code. *people*: distinct persons among them. *new followers*:
/// follows through a code, once per person, for the code that brought them first. *lost*: of those, the ones away now.
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

/// Whether numbers are told for each day or for all days together. People are not additive over days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// A row for each day.
    Day,
    /// One row.
    Total,
}

/// Which numbers. What is not given does not restrict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumbersFilter {
    /// Codes that carry this scene: its text, and whether it is a number.
    pub scene: Option<(String, bool)>,
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
