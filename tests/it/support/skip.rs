//! A test that cannot be made here says so.

use std::io::Write as _;

/// Says why a test does nothing; fails where the variable `require` is set, as in `.ci/run`.
///
/// It is written past the harness, which swallows what a passing test prints.
pub(crate) fn skip(why: &str, require: &str) {
    let required = std::env::var_os(require).is_some();
    assert!(!required, "{require} is set, but {why}");
    let said = format!("skipped: {why}\n");
    std::io::stderr().write_all(said.as_bytes()).unwrap();
}
