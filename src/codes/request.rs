//! A wish for a code, and what it gets.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::scene::{CodeSpec, Lifetime};
use crate::ticket::IssuedCode;

/// A wish for a code, and when it came.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) spec: CodeSpec,
    pub(super) arrived: Timestamp,
}

impl Wish {
    /// The same for a code that lives at least so long.
    pub(super) fn for_at_least(&self, longest: Option<Lifetime>) -> Self {
        let mut longer = self.clone();
        if let CodeSpec::Temporary { lifetime, .. } = &mut longer.spec {
            *lifetime = longest.map_or(*lifetime, |longest| longest.max(*lifetime));
        }
        longer
    }
}

/// A code, and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Minted {
    pub(super) code: Arc<IssuedCode>,
    pub(super) source: Source,
}

/// Where a code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This process knew it.
    Memory,
    /// The store knew it: from before a restart, or from another replica.
    Store,
    /// It was made for this caller.
    Minted,
    /// It was made for another caller, who came first.
    Joined,
}

impl Source {
    /// The name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Minted => "minted",
            Self::Joined => "joined",
        }
    }
}

/// A code for a caller.
#[derive(Debug, Clone)]
pub struct Served {
    /// The code.
    pub code: Arc<IssuedCode>,
    /// What it may be used for by a cache.
    pub standing: Standing,
    /// Where it came from.
    pub source: Source,
}

/// How good a served code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Good for such a wish until this little of its life is left (zero for a permanent code).
    Fresh {
        /// The freshness floor of the wish.
        floor: Duration,
    },
    /// Alive, but served only because a new one cannot be had: not to be kept.
    Stale,
}
