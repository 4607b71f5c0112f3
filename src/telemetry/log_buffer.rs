//! Takes the log off the threads that log: lines are appended to a bounded buffer, and a thread of
//! its own writes them.
//!
//! A reader that stops reading standard error, such as a full pipe to a log collector, therefore
//! blocks that thread only. Lines that do not fit are dropped and counted.

use std::io::{self, ErrorKind, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Bytes that wait to be written, about 6000 lines of requests. Chosen: a collector that pauses for
/// a second loses nothing.
const MAX_BYTES: usize = 2 * 1024 * 1024;

/// How long a line waits for others to be written with it. Chosen: a hundred writes a second at
/// most; the delay is shorter than a person sees.
const LINGER: Duration = Duration::from_millis(10);

/// A buffer of more bytes than this is not kept once it is written.
const KEPT_BYTES: usize = 64 * 1024;

/// The end of the buffer that lines are appended to. Its clones share the buffer.
#[derive(Debug, Clone, Default)]
pub(super) struct LogBuffer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Wakes the writer.
    appended: Condvar,
    /// Wakes those who wait in [`LogBuffer::flush`].
    written: Condvar,
    /// The thread that writes, whose reports always fit.
    writer: OnceLock<ThreadId>,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// Bytes appended since the start.
    appended: u64,
    /// Bytes since the start that were written, or could not be.
    written: u64,
    /// Lines that were lost and not reported yet.
    lost: u64,
    /// Whether the last write failed.
    is_broken: bool,
    /// Whether the writer must not wait for more lines.
    is_urgent: bool,
}

impl State {
    /// Whether lost lines can be reported now: not while writes fail, which would lose the report.
    fn is_report_due(&self) -> bool {
        self.lost > 0 && !self.is_broken
    }
}

impl LogBuffer {
    /// Starts the thread that writes to `out`. It calls `report` with the number of lines that were
    /// lost, once it can write again.
    pub(super) fn start(out: impl Write + Send + 'static, report: fn(u64)) -> io::Result<Self> {
        let buffer = Self::default();
        let writer = LogWriter {
            shared: Arc::clone(&buffer.0),
            out,
            report,
        };
        let thread = thread::Builder::new().name("log-writer".to_owned());
        thread.spawn(move || writer.run())?;
        Ok(buffer)
    }

    /// Appends a line. One that does not fit is lost.
    pub(super) fn append(&self, line: &[u8]) {
        let mut state = self.0.lock();
        let length = state.lines.len() + line.len();
        if length > MAX_BYTES && !self.0.is_writer() {
            state.lost += 1;
            drop(state);
            super::log_lines_lost(1);
            return;
        }
        let was_empty = state.lines.is_empty();
        state.lines.extend_from_slice(line);
        state.appended += line.len() as u64;
        drop(state);
        if was_empty || is_plenty(length) {
            self.0.appended.notify_one();
        }
    }

    /// Waits until the lines so far are written, and the lost ones reported if that is possible,
    /// but no longer than `timeout`.
    pub(super) fn flush(&self, timeout: Duration) {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.lock();
        let mut end = state.appended;
        while state.written < end || state.is_report_due() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            // The report is a line too.
            let is_report_due = state.is_report_due();
            state.is_urgent = true;
            self.0.appended.notify_one();
            let waited = self.0.written.wait_timeout(state, left);
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if is_report_due {
                end = state.appended;
            }
        }
    }
}

/// One call is one line.
impl Write for LogBuffer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_writer(&self) -> bool {
        self.writer.get() == Some(&thread::current().id())
    }

    /// Waits for lines, and exchanges them for an empty buffer. Returns at once where a report is
    /// due.
    fn take(&self, empty: Vec<u8>) -> Vec<u8> {
        let waited = self.appended.wait_while(self.lock(), |state| {
            state.lines.is_empty() && !state.is_report_due()
        });
        let state = waited.unwrap_or_else(PoisonError::into_inner);
        let waited = self.appended.wait_timeout_while(state, LINGER, |state| {
            !state.is_urgent && !is_plenty(state.lines.len())
        });
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_urgent = false;
        mem::replace(&mut state.lines, empty)
    }
}

/// Whether so many bytes are written without waiting for more.
fn is_plenty(bytes: usize) -> bool {
    bytes >= MAX_BYTES / 8
}

/// The end of the buffer that is written out.
struct LogWriter<W> {
    shared: Arc<Shared>,
    out: W,
    report: fn(u64),
}

impl<W: Write> LogWriter<W> {
    fn run(mut self) {
        self.shared.writer.get_or_init(|| thread::current().id());
        let mut buffer = Vec::new();
        // How many lost lines the report names that is in the buffer.
        let mut reported = 0;
        loop {
            let mut lines = self.shared.take(buffer);
            let reported_before = mem::replace(&mut reported, self.report_lost());
            let unwritten = self.write(&lines);
            self.finish(lines.len(), unwritten, reported_before);
            lines.clear();
            lines.shrink_to(KEPT_BYTES);
            buffer = lines;
        }
    }

    /// Reports what was lost, and returns how many lines. The report is appended to the buffer,
    /// like any line.
    fn report_lost(&self) -> u64 {
        let state = self.shared.lock();
        let lost = if state.is_report_due() { state.lost } else { 0 };
        drop(state);
        if lost > 0 {
            (self.report)(lost);
            self.shared.lock().lost -= lost;
        }
        lost
    }

    /// Returns the number of lines that could not be written.
    fn write(&mut self, mut bytes: &[u8]) -> u64 {
        while !bytes.is_empty() {
            match self.out.write(bytes) {
                Ok(written @ 1..) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another process has made the pipe that it shares with this one non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(LINGER),
                Ok(_) | Err(_) => {
                    return bytes.split_inclusive(|&byte| byte == b'\n').count() as u64;
                }
            }
        }
        0
    }

    /// Records a write. Its report of lost lines may be among the lines that could not be written:
    /// what it named is then reported again.
    fn finish(&self, length: usize, unwritten: u64, reported: u64) {
        let mut state = self.shared.lock();
        state.written += length as u64;
        if unwritten > 0 {
            super::log_lines_lost(unwritten);
            state.lost += unwritten + reported;
        }
        state.is_broken = unwritten > 0;
        drop(state);
        self.shared.written.notify_all();
    }
}

#[cfg(test)]
mod tests;
