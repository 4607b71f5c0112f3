//! What the operator sets for issuing and minting codes.

use std::time::Duration;

use super::freshness::ReuseShare;
use crate::access::{Mode, Rate};

/// What the operator sets for issuing and minting.
#[derive(Debug, Clone, Copy)]
pub struct IssueSettings {
    /// Share of the requested lifetime that a known code must have left to be reused.
    pub reuse: ReuseShare,
    /// What one visitor waits at most, all calls and retries together.
    pub timeout: Duration,
    /// The most codes that are kept in memory.
    pub cache_entries: u64,
    /// Who may mint temporary codes without a key.
    pub mode: Mode,
    /// How often one visitor may mint, in this process.
    pub visitor_rate: Rate,
    /// How often all visitors together may mint, in this process.
    pub visitor_pace: Rate,
    /// Mints that visitors may cause in a China day, over all replicas.
    pub anonymous_budget: u64,
    /// Permanent codes at which the ledger refuses more.
    pub permanent_limit: u64,
}

#[cfg(test)]
impl IssueSettings {
    /// Settings that refuse nothing.
    pub(super) fn unlimited() -> Self {
        let rate: Rate = "1000000/1s".parse().expect("it is a rate");
        Self {
            reuse: "0.5".parse().expect("it is a share"),
            timeout: Duration::from_secs(4),
            cache_entries: 100,
            mode: Mode::Open,
            visitor_rate: rate,
            visitor_pace: rate,
            anonymous_budget: u64::MAX,
            permanent_limit: u64::MAX,
        }
    }
}
