//! What a caller may measure and log.

use std::time::Duration;

use super::api::Api;
use super::error::Error;

/// Called after each attempt. It must not block.
pub type Observer = fn(&Attempt<'_>);

/// One attempt at a call, retries included.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The API that was called.
    pub api: Api,
    /// Which attempt of the call this was, from 1.
    pub number: u32,
    /// Why it failed; `None` if it succeeded.
    pub error: Option<&'a Error>,
    /// How long it took.
    pub took: Duration,
}

impl Attempt<'_> {
    /// The metrics label: `ok`, an errcode, or the kind of failure.
    pub fn outcome(&self) -> String {
        self.error.map_or_else(|| "ok".to_owned(), Error::outcome)
    }
}
