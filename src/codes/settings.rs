//! The operator's settings of the use case.

use std::time::Duration;

use super::freshness::Reuse;
use crate::access::{Mode, Rate};

/// The settings of issuing and minting.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// When a ticket that we have is good enough.
    pub reuse: Reuse,
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
