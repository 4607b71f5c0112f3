//! How far events are delivered, and how it goes, as the replicas share it.

use jiff::Timestamp;

use super::receiver::FailureReason;

/// The state of the deliveries, which all replicas share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The sequence number of the last event that the receiver has.
    pub delivered_seq: u64,
    /// The sequence number of the last event of the batch that is being sent, or sent again.
    pub batch_end: Option<u64>,
    /// When the last batch was delivered.
    pub delivered_at: Option<Timestamp>,
    /// Attempts that failed since the last delivery.
    pub failures: u32,
    /// The last failure, which deliveries after it do not remove.
    pub last_failure: Option<AttemptFailure>,
    /// When the next attempt is, while there are failures.
    pub next_attempt_at: Timestamp,
}

/// When and why an attempt to deliver a batch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptFailure {
    pub at: Timestamp,
    pub reason: FailureReason,
}
