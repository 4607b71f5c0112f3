//! Python, as an independent reader of what the service writes.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::skip::skip;

/// Runs Python with these arguments, and the input at its standard input; none without Python.
pub(crate) fn python<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
    input: &[u8],
) -> Option<Output> {
    let child = Command::new("python3")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        skip("there is no python3", "REQUIRE_PYTHON");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    // Beside the reading of its output, so that neither pipe fills up.
    let output = std::thread::scope(|scope| {
        // A script that ends early does not read all.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    });
    Some(output)
}
