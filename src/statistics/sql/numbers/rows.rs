//! The rows of an answer: collected from several statements, and made when they are taken.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jiff::civil::Date;
use sqlx::Row as _;
use sqlx::any::AnyRow;
use tokio::sync::OwnedSemaphorePermit;

use super::filter::NumbersFilter;
use crate::channels::{self, Channel};
use crate::db::{Error, row};
use crate::statistics::sql::columns::{self, number};
use crate::statistics::tally::Attribution;

/// The counts of a code, on a day or over several: scans, people, new followers, and those of them
/// lost.
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

/// The listed codes with their names and numbers, in order. Rows are many, so they are kept small.
#[derive(Debug, Default)]
pub(super) struct CountedCodes {
    codes: BTreeMap<Attribution, CountedCode>,
    /// The names of groups, each once.
    groups: HashSet<Arc<str>>,
}

#[derive(Debug, Default)]
struct CountedCode {
    label: Option<Box<str>>,
    group: Option<Arc<str>>,
    archived: bool,
    /// In any order; those that are not there are zero.
    numbers: Vec<(Option<Date>, Numbers)>,
}

impl CountedCodes {
    pub(super) fn len(&self) -> usize {
        self.codes.len()
    }

    pub(super) fn add_code(&mut self, found: &AnyRow) -> Result<(), Error> {
        self.code(found)?.archived = is_archived(found)?;
        Ok(())
    }

    pub(super) fn add_names(&mut self, found: &AnyRow) -> Result<(), Error> {
        let Channel { label, group } = channels::channel(found)?;
        let group = group.map(|group| self.shared(group));
        let code = self.code(found)?;
        code.label = label.map(String::into_boxed_str);
        code.group = group;
        code.archived = is_archived(found)?;
        Ok(())
    }

    pub(super) fn add_tally(&mut self, found: &AnyRow) -> Result<(), Error> {
        let numbers = Numbers {
            scans: number(found, "scans")?,
            people: number(found, "people")?,
            new_followers: number(found, "new_followers")?,
            lost: number(found, "lost")?,
        };
        let day = found.try_get::<Option<String>, _>("day")?;
        let day = day.map(|day| row::day(&day)).transpose()?;
        let code = self.code(found)?;
        if day.is_none() {
            code.numbers.reserve_exact(1);
        }
        code.numbers.push((day, numbers));
        Ok(())
    }

    /// Subtracts returning people, who are counted on an earlier day.
    pub(super) fn subtract_returning(&mut self, found: &AnyRow) -> Result<(), Error> {
        let again = number(found, "people")?;
        for (_, numbers) in &mut self.code(found)?.numbers {
            numbers.people = numbers.people.saturating_sub(again);
        }
        Ok(())
    }

    fn code(&mut self, found: &AnyRow) -> Result<&mut CountedCode, Error> {
        Ok(self.codes.entry(columns::attribution(found)?).or_default())
    }

    fn shared(&mut self, group: String) -> Arc<str> {
        if let Some(known) = self.groups.get(group.as_str()) {
            return Arc::clone(known);
        }
        let group = Arc::from(group);
        self.groups.insert(Arc::clone(&group));
        group
    }

    pub(super) fn into_rows(
        self,
        filter: &NumbersFilter,
        budget: OwnedSemaphorePermit,
    ) -> NumbersRows {
        let filter = filter.clone();
        let codes = self.codes.into_iter();
        let rows = codes.flat_map(move |(attribution, code)| code.rows(attribution, filter.days()));
        NumbersRows {
            rows: Box::new(rows),
            _budget: budget,
        }
    }
}

fn is_archived(found: &AnyRow) -> Result<bool, Error> {
    Ok(found.try_get::<i64, _>("archived")? != 0)
}

impl CountedCode {
    fn rows(
        self,
        attribution: Attribution,
        days: impl Iterator<Item = Option<Date>>,
    ) -> impl Iterator<Item = NumbersRow> {
        let channel = Channel {
            label: self.label.map(String::from),
            group: self.group.map(|group| group.to_string()),
        };
        let mut numbers = self.numbers;
        numbers.sort_unstable_by_key(|(day, _)| *day);
        days.map(move |day| {
            let found = numbers.binary_search_by_key(&day, |(day, _)| *day);
            NumbersRow {
                attribution: attribution.clone(),
                channel: channel.clone(),
                archived: self.archived,
                day,
                numbers: found.map_or_else(|_| Numbers::default(), |at| numbers[at].1),
            }
        })
    }
}

/// The rows of an answer, which are made one by one. What is taken is not in memory any more.
pub struct NumbersRows {
    rows: Box<dyn Iterator<Item = NumbersRow> + Send>,
    _budget: OwnedSemaphorePermit,
}

impl Iterator for NumbersRows {
    type Item = NumbersRow;

    fn next(&mut self) -> Option<NumbersRow> {
        self.rows.next()
    }
}

impl fmt::Debug for NumbersRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NumbersRows").finish_non_exhaustive()
    }
}
