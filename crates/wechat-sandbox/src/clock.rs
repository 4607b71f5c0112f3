//! The clock that the sandbox's user passes in.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

/// A source of wall-clock time. Clones share it.
///
/// The crate never asks the machine, so that a test can let tokens and codes expire.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Wraps a function that returns the present instant.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
