//! Standard output: data, and usage hints.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes data to standard output.
pub(super) fn print(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes usage hints to standard output, and ignores errors: `head -1` closes the pipe after the
/// first line, and the process must go on.
pub(super) fn introduce(text: impl Display) {
    print(text).ok();
}
