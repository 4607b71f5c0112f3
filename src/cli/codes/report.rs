//! What is written about rows: lines of values that are separated by tabs, for people and programs.

use std::io;

use super::super::output::print;
use super::failure::CallFailure;
use super::printable::printable;
use super::rows::Row;

/// A row that has no code.
#[derive(Debug)]
pub(super) struct Failed {
    row: Row,
    reason: String,
}

impl Failed {
    /// A row that the service refuses to plan.
    pub(super) fn invalid(row: Row) -> Self {
        let reason = printable(row.problem.as_deref().unwrap_or_default());
        Self { row, reason }
    }

    /// A row whose code could not be made.
    pub(super) fn of(row: Row, failure: &CallFailure) -> Self {
        let reason = failure.to_string();
        Self { row, reason }
    }
}

/// Writes a line for each failed row, in the order of the file.
pub(super) fn print_failed(mut failed: Vec<Failed>) -> io::Result<()> {
    failed.sort_by_key(|failed| failed.row.line);
    for Failed { row, reason } in failed {
        print(format_args!("{}\t{}\t{reason}", row.line, row.name()))?;
    }
    Ok(())
}

/// Writes a line for each row: what would become of it.
pub(super) fn print_plan(rows: &[Row]) -> io::Result<()> {
    for row in rows {
        let (line, status, name) = (row.line, row.status.as_str(), row.name());
        match &row.problem {
            Some(reason) => print(format_args!(
                "{line}\t{status}\t{name}\t{}",
                printable(reason)
            ))?,
            None => print(format_args!("{line}\t{status}\t{name}"))?,
        }
    }
    Ok(())
}
