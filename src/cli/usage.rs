//! Wrong usage, which has an exit code of its own.

/// Arguments that parse but are invalid.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(String);

impl Usage {
    /// The same as clap's.
    pub(super) const EXIT_CODE: u8 = 2;

    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}
