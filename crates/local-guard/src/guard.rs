//! The guard that a tool puts before its routes.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Uri};

use crate::check;
use crate::error::ForeignRequest;
use crate::hosts::TrustedHosts;

/// Refusals are logged at most this often: a page can send thousands of requests. Chosen.
const LOG_INTERVAL: Duration = Duration::from_mins(1);

/// Checks requests and logs refusals, at most one a minute. Clones share the rate limit of the log.
#[derive(Debug, Clone)]
pub struct OriginGuard {
    hosts: TrustedHosts,
    log: Arc<Mutex<RefusalLog>>,
}

impl OriginGuard {
    /// Accepts requests by the names of `hosts`.
    pub fn new(hosts: TrustedHosts) -> Self {
        Self {
            hosts,
            log: Arc::default(),
        }
    }

    /// Checks a request for a page, a control or an answer that holds a key.
    ///
    /// # Errors
    /// [`ForeignRequest`].
    pub fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), ForeignRequest> {
        let checked = check::page(&self.hosts, method, uri, headers);
        checked.inspect_err(|reason| self.log(*reason))
    }

    /// Checks a call that programs make by any host name, such as WeChat's API.
    ///
    /// # Errors
    /// [`ForeignRequest`].
    pub fn check_call(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ForeignRequest> {
        let checked = check::call(&self.hosts, uri, headers);
        checked.inspect_err(|reason| self.log(*reason))
    }

    fn log(&self, reason: ForeignRequest) {
        let mut log = self.log.lock().expect("no one panics while holding it");
        if let Some(unlogged) = log.due(Instant::now()) {
            tracing::warn!(%reason, unlogged, "a request was refused (logged once a minute at most)");
        }
    }
}

/// When the last refusal was logged, and how many were not since.
#[derive(Debug, Default)]
struct RefusalLog {
    last: Option<Instant>,
    unlogged: u64,
}

impl RefusalLog {
    /// Counts a refusal. If it is to be logged, returns how many were not since the last that was.
    fn due(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now - last < LOG_INTERVAL) {
            self.unlogged += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_logged_once_a_minute_and_the_others_are_counted() {
        let mut log = RefusalLog::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(log.due(at(0)), Some(0));
        assert_eq!(log.due(at(0)), None);
        assert_eq!(log.due(at(59)), None);
        assert_eq!(log.due(at(60)), Some(2));
        assert_eq!(log.due(at(61)), None);
        assert_eq!(log.due(at(500)), Some(1));
    }
}
