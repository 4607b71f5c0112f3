//! A request for a code, and its result.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use wechat::scene::{CodeSpec, Lifetime};
use wechat::ticket::IssuedCode;

use super::freshness::ReuseShare;
use crate::access::Key;

/// A request for a code: what is asked for, when it came, and with which API key. Who is charged
/// for a mint is not in it: that is the `Requester`.
#[derive(Debug, Clone)]
pub(super) struct CodeRequest {
    pub(super) spec: CodeSpec,
    pub(super) arrived: Timestamp,
    /// The key that asks, if any.
    pub(super) key: Option<Arc<Key>>,
}

impl CodeRequest {
    /// Whether a code may be served to the request at `now`.
    pub(super) fn is_met_by(&self, code: &IssuedCode, reuse: ReuseShare, now: Timestamp) -> bool {
        reuse.is_fresh(code, self.spec.lifetime(), self.arrived, now)
    }

    /// Returns the request with its lifetime raised to `longest`, if that is longer.
    pub(super) fn for_at_least(&self, longest: Option<Lifetime>) -> Self {
        let mut longer = self.clone();
        if let CodeSpec::Temporary { lifetime, .. } = &mut longer.spec {
            *lifetime = longest.map_or(*lifetime, |longest| longest.max(*lifetime));
        }
        longer
    }
}

/// A code that was obtained for a request, and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Obtained {
    pub(super) code: Arc<IssuedCode>,
    pub(super) source: Source,
}

/// Where a code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This process's cache.
    Memory,
    /// The database knew it: from before a restart, or from another replica.
    Database,
    /// It was made for this caller.
    Minted,
    /// It was made for another caller, who came first.
    Joined,
}

impl Source {
    /// The name in metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Database => "store",
            Self::Minted => "minted",
            Self::Joined => "joined",
        }
    }
}

/// A code that is issued to a caller, with its freshness.
#[derive(Debug, Clone)]
pub struct Issued {
    pub code: Arc<IssuedCode>,
    /// Whether a cache may keep it.
    pub freshness: Freshness,
    pub source: Source,
}

/// Whether an issued code is fresh, and by which freshness floor, or served stale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Good for such a request until so little of its lifetime is left; zero for a permanent code.
    Fresh {
        /// The freshness floor of the request.
        floor: Duration,
    },
    /// Unexpired but below its floor, served because a new one cannot be obtained (serve-stale):
    /// not to be cached.
    Stale,
}
