//! The limit of concurrent calls to WeChat, part of it reserved for keys.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::access::Requester;

/// WeChat's own bound is not known; chosen to be gentle.
pub(crate) const MAX_CONCURRENT_MINTS: usize = 64;

/// Reserved for keys, so that they are served while a crowd of visitors waits.
const FOR_KEYS: usize = 4;

/// Limits concurrent calls to WeChat.
#[derive(Debug)]
pub(super) struct UpstreamConcurrency {
    all: Semaphore,
    visitors: Semaphore,
}

/// The right to call WeChat, until it is dropped.
#[derive(Debug)]
pub(super) struct UpstreamPermit<'a> {
    _shared: SemaphorePermit<'a>,
    _visitors: Option<SemaphorePermit<'a>>,
}

impl UpstreamConcurrency {
    pub(super) fn new() -> Self {
        Self {
            all: Semaphore::new(MAX_CONCURRENT_MINTS),
            visitors: Semaphore::new(MAX_CONCURRENT_MINTS - FOR_KEYS),
        }
    }

    /// Waits for a permit, first come first served. Cancel safe.
    pub(super) async fn acquire(&self, requester: Requester) -> UpstreamPermit<'_> {
        const OPEN: &str = "the semaphores are never closed";
        // The visitors' permit first, so that a waiting visitor holds no place in the shared queue.
        let visitors = match requester {
            Requester::Key => None,
            Requester::Visitor(_) => Some(self.visitors.acquire().await.expect(OPEN)),
        };
        UpstreamPermit {
            _shared: self.all.acquire().await.expect(OPEN),
            _visitors: visitors,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::FutureExt;

    use super::*;
    use crate::access::Visitor;

    const VISITOR: Requester = Requester::Visitor(Visitor::V4(Ipv4Addr::LOCALHOST));

    #[tokio::test]
    async fn a_crowd_of_visitors_leaves_four_permits_for_keys() {
        let concurrency = UpstreamConcurrency::new();
        let mut visitors = Vec::new();
        while let Some(slot) = concurrency.acquire(VISITOR).now_or_never() {
            visitors.push(slot);
        }
        assert_eq!(visitors.len(), 60);

        let waiting = concurrency.acquire(VISITOR);
        let mut keys = Vec::new();
        while let Some(slot) = concurrency.acquire(Requester::Key).now_or_never() {
            keys.push(slot);
        }
        assert_eq!(keys.len(), 4);

        drop(visitors.pop());
        assert!(waiting.now_or_never().is_some(), "the next visitor");
    }
}
