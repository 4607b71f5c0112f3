//! The minimum data rate of responses that take long.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Limits;

/// How much of a response the socket has taken in which time.
///
/// A socket takes some MB that its client has not read. They give a silent client no time, because
/// it must also go on taking.
#[derive(Debug, Clone, Copy)]
pub(super) struct ResponseProgress {
    started: Instant,
    last: Instant,
    /// Bytes on the wire, with heads and the framing of chunks.
    sent: usize,
}

impl ResponseProgress {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            last: now,
            sent: 0,
        }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.last = Instant::now();
        self.sent = self.sent.saturating_add(bytes);
    }

    /// Returns when the response becomes too slow or stands still too long, if no more of it is
    /// taken.
    pub(super) fn deadline(self, limits: &Limits) -> Instant {
        let sent = u32::try_from(self.sent).unwrap_or(u32::MAX);
        let extension = Duration::from_secs(sent.into()) / limits.min_write_rate.max(1);
        self.last.min(self.started + extension) + limits.write_timeout
    }
}
