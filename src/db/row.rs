//! Decodes times of rows.

use jiff::Timestamp;
use jiff::civil::Date;

use super::error::Error;

pub(crate) fn instant(milliseconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| Error::BadRow("an instant"))
}

/// Decodes a day, such as `2026-11-22`.
pub(crate) fn day(text: &str) -> Result<Date, Error> {
    text.parse().map_err(|_| Error::BadRow("a day"))
}
