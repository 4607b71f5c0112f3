//! Limits of a file that its reader states in errors.

/// The largest number of rows below the headings.
pub const MAX_ROWS: usize = 10_000;

/// The largest number of cells of a row. Chosen.
pub(super) const MAX_CELLS: usize = 100;

/// What a workbook may unpack to, in bytes: with 10,000 rows of the longest names it has some 8
/// MiB.
pub const MAX_UNPACKED: usize = 16 * 1024 * 1024;
