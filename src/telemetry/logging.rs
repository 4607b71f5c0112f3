//! Logging: its set-up, what may be logged, and the flush at the end of the process.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use super::json_lines::{JsonFields, JsonLines};
use super::log_buffer::LogBuffer;

/// How long the end of the process waits for a standard error that is not read. Chosen.
const LAST_FLUSH: Duration = Duration::from_secs(1);

/// How long a thread that panics waits until the panic's line is written. Chosen: a second panic
/// would end the process, and with it the buffer.
const PANIC_FLUSH: Duration = Duration::from_millis(100);

/// The log of the process, once it is started.
static LOG: OnceLock<LogBuffer> = OnceLock::new();

/// The crates of this workspace that log below a warning.
const OWN_CRATES: [&str; 3] = ["wxqr", "http_listener", "wechat_sandbox"];

#[derive(Debug, Clone)]
pub struct LogSettings {
    /// A filter in the syntax of `tracing_subscriber::EnvFilter`.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, otherwise JSON.
    Auto,
    Text,
    Json,
}

/// Starts logging to standard error, for the whole process. A second call does nothing.
///
/// Lines are written by a thread of their own; [`flush_log`] waits for it.
pub fn start_logging(settings: &LogSettings) {
    let log = LOG.get_or_init(|| {
        LogBuffer::start(io::stderr(), report_loss).expect("a process may start a thread")
    });
    let terminal = io::stderr().is_terminal();
    let as_text = match settings.format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let lines = layer().with_writer(|| log.clone()).with_ansi(terminal);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if as_text {
        lines.boxed()
    } else {
        lines.fmt_fields(JsonFields).event_format(JsonLines).boxed()
    };
    // The filter was validated with the settings.
    let filter = EnvFilter::new(&settings.filter).and(filter_fn(is_safe_to_log));
    Registry::default()
        .with(lines.with_filter(filter))
        .try_init()
        .ok();
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!(
            place = panic.location().map(tracing::field::display),
            "a task panicked: this is a bug"
        );
        log.flush(PANIC_FLUSH);
    }));
}

fn report_loss(lines: u64) {
    tracing::warn!(
        lines,
        "log lines were lost: standard error was not read in time"
    );
}

/// Waits until all lines so far are written, for a second at most. The last that a process does.
pub fn flush_log() {
    if let Some(log) = LOG.get() {
        log.flush(LAST_FLUSH);
    }
}

/// Writes a message of a command to standard error, after the log lines so far. Ignores errors.
pub fn print_message(message: impl Display) {
    if let Some(log) = LOG.get() {
        log.append(format!("{message}\n").as_bytes());
        log.flush(LAST_FLUSH);
    } else {
        writeln!(io::stderr().lock(), "{message}").ok();
    }
}

/// Suppresses the debug output of libraries, whatever the filter says: it contains URLs and
/// headers, and so access tokens. The database driver's warnings quote parameters of the database
/// URL; only its slow statements are logged, which contain no values.
fn is_safe_to_log(event: &Metadata<'_>) -> bool {
    let target = event.target();
    if target.starts_with("sqlx") && target != "sqlx::query" {
        return false;
    }
    OWN_CRATES.iter().any(|own| target.starts_with(own)) || *event.level() <= Level::WARN
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const CHILD: &str = "WXQR_TEST_ABORTS_AFTER_A_PANIC";

    /// The process that [`a_panic_is_written_before_the_process_can_end`] starts; nothing
    /// otherwise.
    #[test]
    fn aborts_after_a_panic() {
        if std::env::var_os(CHILD).is_none() {
            return;
        }
        start_logging(&LogSettings {
            filter: "info".to_owned(),
            format: LogFormat::Json,
        });
        let panicked = std::thread::spawn(|| unreachable!("a panic")).join();
        assert!(panicked.is_err());
        std::process::abort();
    }

    #[test]
    fn a_panic_is_written_before_the_process_can_end() {
        let (_, module) = module_path!().split_once("::").unwrap();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::aborts_after_a_panic")])
            .arg("--nocapture")
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("a task panicked"), "{said}");
    }
}
