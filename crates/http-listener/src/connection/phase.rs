//! The phases of a connection, and how long each may last.

use std::time::Duration;

use tokio::time::Instant;

use super::body_progress::RequestBodyProgress;
use crate::limits::Limits;

/// Duration of a lingering close; chosen: some round trips.
const LINGERING_TIMEOUT: Duration = Duration::from_secs(2);

/// Phase of a connection, by what it waits for or does. The TLS handshake belongs to `New`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits for the first byte.
    New,
    /// Waits for the rest of a head.
    Head,
    /// Waits for the body.
    Body,
    /// Handles the request.
    Handling,
    /// Waits for the client to take the response.
    Response {
        /// hyper has all of it.
        is_produced: bool,
    },
    /// Waits for the next request (keep-alive).
    Idle,
    /// Discards input until the client closes its half (lingering close).
    Lingering,
    /// Has ended.
    Closed,
}

impl Phase {
    /// Returns the deadline of a phase that starts now, if it is one that waits for the client.
    pub(super) fn deadline(self, limits: &Limits, body: RequestBodyProgress) -> Option<Instant> {
        let allowed = match self {
            Self::New | Self::Head => limits.header_timeout,
            Self::Body => return Some(body.deadline(limits)),
            Self::Response { .. } => limits.write_timeout,
            Self::Idle => limits.idle_timeout,
            Self::Lingering => LINGERING_TIMEOUT,
            Self::Handling | Self::Closed => return None,
        };
        Some(Instant::now() + allowed)
    }
}
