//! How many mints call WeChat at once.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::access::Requester;

/// WeChat's own bound is not known; chosen to be gentle.
pub(crate) const MAX_CONCURRENT_MINTS: usize = 64;

/// Slots that visitors never take, so that keys are served while a crowd waits.
const FOR_KEYS: usize = 4;

/// The rights to call WeChat.
#[derive(Debug)]
pub(super) struct Slots {
    all: Semaphore,
    visitors: Semaphore,
}

/// The right to call WeChat, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot<'a> {
    _of_all: SemaphorePermit<'a>,
    _of_visitors: Option<SemaphorePermit<'a>>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            all: Semaphore::new(MAX_CONCURRENT_MINTS),
            visitors: Semaphore::new(MAX_CONCURRENT_MINTS - FOR_KEYS),
        }
    }

    /// Waits for a slot, first come first served. Cancel safe.
    pub(super) async fn take(&self, requester: Requester) -> Slot<'_> {
        const OPEN: &str = "the semaphores are never closed";
        // The visitors' own first: one who waits for it must not stand in the line of the keys.
        let of_visitors = match requester {
            Requester::Key => None,
            Requester::Visitor(_) => Some(self.visitors.acquire().await.expect(OPEN)),
        };
        Slot {
            _of_all: self.all.acquire().await.expect(OPEN),
            _of_visitors: of_visitors,
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
    async fn a_crowd_of_visitors_leaves_four_slots_for_keys() {
        let slots = Slots::new();
        let mut visitors = Vec::new();
        while let Some(slot) = slots.take(VISITOR).now_or_never() {
            visitors.push(slot);
        }
        assert_eq!(visitors.len(), 60);

        let waiting = slots.take(VISITOR);
        let mut keys = Vec::new();
        while let Some(slot) = slots.take(Requester::Key).now_or_never() {
            keys.push(slot);
        }
        assert_eq!(keys.len(), 4);

        drop(visitors.pop());
        assert!(waiting.now_or_never().is_some(), "the next visitor's turn");
    }
}
