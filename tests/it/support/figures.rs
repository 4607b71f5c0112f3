//! What a test measured, for `docs/reliability.md`, which `bench/reliability.py` writes.
//!
//! A test asserts what is certain on any machine. How fast a machine is, and how large a test is
//! run on it, are figures: each comes with what is promised, and the report says whether the
//! promise was kept.

use std::fmt::{Debug, Display};
use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

/// Set to any value, it runs the tests of attacks and bad days in full size: minutes instead of
/// seconds.
const FULL_SIZE: &str = "FULL_SIZE";

/// Names the file that gets the figures, one JSON object a line. Without it they are printed.
const FILE: &str = "RELIABILITY_FIGURES";

/// The size that a test has in `cargo test`, or its full one.
pub(crate) fn sized<T>(small: T, full: T) -> T {
    if std::env::var_os(FULL_SIZE).is_some() {
        full
    } else {
        small
    }
}

/// Whether something took less than it may. In `cargo test` the machine may be busy with something
/// else, so that it only detects a hang; in full size the promise itself is checked.
pub(crate) fn in_time(took: Duration, promised: Duration) -> bool {
    took < sized(super::TIMEOUT, promised)
}

/// The figures of one fault. Written when they are dropped, unless the test fails.
pub(crate) struct Figures {
    fault: String,
    test: String,
    lines: Vec<Value>,
}

impl Figures {
    /// What was done to the service, and how much of it.
    pub(crate) fn of(fault: impl Into<String>) -> Self {
        // The harness names a test's thread after the test.
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        Self {
            fault: fault.into(),
            test: format!("{}::{name}", env!("CARGO_CRATE_NAME")),
            lines: Vec::new(),
        }
    }

    /// Something that was measured, and nothing is promised about.
    pub(crate) fn report(&mut self, what: &str, measured: impl Display) {
        let line = json!({"what": what, "measured": measured.to_string()});
        self.lines.push(line);
    }

    /// Something that is promised, and whether the promise was kept.
    pub(crate) fn promise(
        &mut self,
        what: &str,
        promised: impl Display,
        measured: impl Display,
        kept: bool,
    ) {
        let line = json!({
            "what": what, "promised": promised.to_string(), "measured": measured.to_string(), "kept": kept,
        });
        self.lines.push(line);
    }

    /// A number that is promised to be exactly that.
    pub(crate) fn exactly(&mut self, what: &str, promised: usize, measured: usize) {
        self.promise(
            what,
            grouped(promised),
            grouped(measured),
            promised == measured,
        );
    }

    /// A number that is promised to be that at most.
    pub(crate) fn at_most(&mut self, what: &str, promised: usize, measured: usize) {
        let limit = format!("at most {}", grouped(promised));
        self.promise(what, limit, grouped(measured), measured <= promised);
    }

    /// A time that is promised to be shorter than that.
    pub(crate) fn within(&mut self, what: &str, promised: Duration, measured: Duration) {
        let limit = format!("under {} ms", promised.as_millis());
        self.promise(what, limit, millis(measured), measured < promised);
    }
}

impl Drop for Figures {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let row = json!({"fault": self.fault, "test": self.test, "lines": self.lines});
        write(&row).unwrap();
    }
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are for whoever asks for them"
)]
fn write(row: &Value) -> std::io::Result<()> {
    let Some(file) = std::env::var_os(FILE) else {
        println!("{row:#}");
        return Ok(());
    };
    let mut file = std::fs::File::options()
        .append(true)
        .create(true)
        .open(file)?;
    // One write: other tests append at the same time.
    file.write_all(format!("{row}\n").as_bytes())
}

/// Prints a figure that is in no report, for a run of this test alone.
#[expect(
    clippy::print_stdout,
    reason = "the figures are for whoever asks for them"
)]
pub(crate) fn report(what: &str, figure: impl Debug) {
    println!("{what}: {figure:?}");
}

/// `12345` as `12,345`.
pub(crate) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
