//! How comments are laid out, which stable rustfmt leaves alone.

use std::ffi::OsStr;
use std::path::Path;

use crate::support::files::{read, texts_below};

/// The width of rustfmt's code.
const COLUMNS: usize = 100;

/// What begins a comment in a file, if its comments are checked.
fn marker(path: &str) -> Option<&'static str> {
    match Path::new(path).extension().and_then(OsStr::to_str) {
        Some("rs" | "js") => Some("//"),
        Some("toml") => Some("#"),
        _ => None,
    }
}

fn wrap_at_100_columns(path: &str, text: &str, marker: &str) {
    for (number, line) in (1..).zip(text.lines()) {
        let is_comment = line.trim_start().starts_with(marker);
        let columns = line.chars().count();
        // A word cannot be wrapped, such as an address, nor a row of a table.
        let mut words = line.split_whitespace().skip(1);
        let is_whole = words.next() == Some("|") || words.next().is_none();
        assert!(
            !is_comment || columns <= COLUMNS || is_whole,
            "{path}:{number} has {columns} columns; in Rust: cargo +nightly fmt --all -- --config \
             wrap_comments=true,comment_width={COLUMNS}"
        );
    }
}

#[test]
fn comments_wrap_at_100_columns() {
    let sources = ["src", "crates", "tests", "fuzz/fuzz_targets", "templates"];
    for folder in sources {
        for (path, text) in texts_below(folder) {
            if let Some(marker) = marker(&path) {
                wrap_at_100_columns(&format!("{folder}/{path}"), &text, marker);
            }
        }
    }
    for file in [
        ".ci/run",
        ".env.example",
        "Cargo.toml",
        "Dockerfile",
        "compose.yaml",
        "deny.toml",
    ] {
        wrap_at_100_columns(file, &read(file), "#");
    }
}
