//! Cells and headings of a sheet that is written.

/// A cell of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// No value: the cell is left out.
    Empty,
    /// A text, whatever it looks like: digits stay, and no formula is one.
    Text(&'a str),
    /// A whole number.
    Number(i64),
    /// A day, as the number of days since 1970-01-01.
    Day(i32),
    /// A time of a day to the second, as seconds since 1970-01-01 00:00 by the clock on the wall.
    Time(i64),
}

/// How wide a column is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// A number or a word.
    Narrow,
    /// A name or a time.
    Middle,
    /// An address.
    Wide,
}

/// A heading and the width of its column.
#[derive(Debug, Clone, Copy)]
pub struct Heading<'a> {
    /// The heading itself, shown in the first row.
    pub text: &'a str,
    /// Width of the column below it.
    pub width: Width,
}
