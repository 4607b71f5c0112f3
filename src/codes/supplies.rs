//! What is left of the day's mints and of the permanent stock.

use super::sql::Stock;

/// Mints of today, and the stock of permanent codes, with their limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supplies {
    /// Mints of today, those of visitors and of API keys.
    pub mints_today: u64,
    /// Mints that visitors may cause in a day.
    pub budget: u64,
    /// Mints that visitors may still cause today.
    pub budget_left: u64,
    /// Permanent codes in the ledger, and among them those whose mint has no known outcome.
    pub stock: Stock,
    /// Permanent codes at which the ledger refuses more.
    pub permanent_limit: u64,
}

impl Supplies {
    /// Permanent codes that may still be created.
    pub fn permanent_left(&self) -> u64 {
        self.permanent_limit.saturating_sub(self.stock.used)
    }
}
