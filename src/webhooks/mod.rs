//! Sends events to the owner's programs as they are stored (Standard Webhooks).
//!
//! Nothing is queued: a row has the sequence number of the last event that was delivered, as
//! `/api/scans` counts them. Read [`Sender::step`] first. It must not know HTTP as it is served.

mod backoff;
mod batch;
mod body;
mod failure_log;
mod monitor;
mod progress;
mod receiver;
mod receiver_url;
mod sender;
mod signature;
mod sql;

pub(crate) use self::backoff::LONGEST as LONGEST_BACKOFF;
pub use self::monitor::{Lag, Monitor, WebhookHealth, WebhookStatus};
pub use self::progress::{AttemptFailure, Progress};
pub use self::receiver::FailureReason;
pub(crate) use self::receiver::TIMEOUT as RECEIVER_TIMEOUT;
pub use self::receiver_url::{ReceiverUrl, ReceiverUrlError};
pub use self::sender::{Sender, WebhookSettings};
pub use self::signature::{SigningSecrets, SigningSecretsError};
pub use self::sql::WebhookStore;
