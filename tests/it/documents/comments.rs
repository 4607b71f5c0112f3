//! How comments are laid out, which stable rustfmt leaves alone.

use std::ffi::OsStr;
use std::path::Path;

use crate::support::files::texts_below;

/// The width of rustfmt's code.
const COLUMNS: usize = 100;

#[test]
fn comments_wrap_at_100_columns() {
    let sources = ["src", "crates", "tests", "fuzz/fuzz_targets"];
    for (path, text) in sources.into_iter().flat_map(texts_below) {
        if Path::new(&path).extension() != Some(OsStr::new("rs")) {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            let is_comment = line.trim_start().starts_with("//");
            let columns = line.chars().count();
            // A word cannot be wrapped, such as an address, nor a row of a table.
            let mut words = line.split_whitespace().skip(1);
            let is_whole = words.next() == Some("|") || words.next().is_none();
            assert!(
                !is_comment || columns <= COLUMNS || is_whole,
                "{path}:{number} has {columns} columns: cargo +nightly fmt --all -- --config \
                 wrap_comments=true,comment_width={COLUMNS}"
            );
        }
    }
}
