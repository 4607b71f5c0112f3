//! The minimum data rate of request bodies.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::Limits;

/// How much of a request's body has come since its start, and by when more has to (minimum data
/// rate).
#[derive(Debug, Clone, Copy)]
pub(super) struct RequestBodyProgress {
    started: Instant,
    /// Bytes on the wire, with the framing of chunks.
    received: usize,
}

impl RequestBodyProgress {
    pub(super) fn start() -> Self {
        Self {
            started: Instant::now(),
            received: 0,
        }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.received = self.received.saturating_add(bytes);
    }

    /// Returns when the body becomes too slow or exceeds its timeout, if no more of it comes.
    pub(super) fn deadline(self, limits: &Limits) -> Instant {
        let received = u32::try_from(self.received).unwrap_or(u32::MAX);
        let extension = Duration::from_secs(received.into()) / limits.min_body_rate.max(1);
        self.started + limits.body_timeout.min(limits.body_grace + extension)
    }
}
