//! Why a call of the database failed.

use std::sync::Arc;

use super::driver_error;

/// Why a call failed: no answer in time, overload, an error of the driver, or an unreadable row. It
/// is in the log already, and never names the database's address.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No answer within [`DEADLINE`](super::DEADLINE): the database is taken to be down, and calls
    /// fail instead of queueing.
    #[error("the database does not answer in time")]
    Timeout,
    /// Nothing was executed within [`ACQUIRE_TIMEOUT`](super::ACQUIRE_TIMEOUT), because no
    /// connection was free or too many writes waited; or statistics that took longer than
    /// [`LONG_READ_DEADLINE`](super::LONG_READ_DEADLINE), or a removal of old rows that took
    /// longer than [`DEADLINE`](super::DEADLINE).
    #[error("the database is overloaded")]
    Busy,
    /// The database could not be reached, or refused every call, or this one, such as after too
    /// long a wait for a lock.
    #[error("the database failed")]
    Failed(#[source] Arc<sqlx::Error>),
    /// A row that this version cannot have written.
    #[error("the database holds a row that cannot be read: {0}")]
    BadRow(&'static str),
}

impl Error {
    /// Whether a value or a row may be the reason, rather than a lock, a full queue or silence: the
    /// same call fails again, and others do not.
    pub fn is_data_error(&self) -> bool {
        match self {
            Self::BadRow(_) => true,
            Self::Failed(error) => driver_error::is_data_error(error),
            Self::Busy | Self::Timeout => false,
        }
    }

    /// Whether a lock was not acquired in time.
    pub(super) fn is_lock_timeout(&self) -> bool {
        match self {
            Self::Failed(error) => driver_error::is_lock_timeout(error),
            Self::Busy | Self::Timeout | Self::BadRow(_) => false,
        }
    }

    /// Whether the whole database is of no use, rather than to this call.
    pub(super) fn is_connection_error(&self) -> bool {
        match self {
            Self::Timeout => true,
            Self::Failed(error) => driver_error::is_connection_error(error),
            Self::Busy | Self::BadRow(_) => false,
        }
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(Arc::new(driver_error::without_source_line(error)))
    }
}
