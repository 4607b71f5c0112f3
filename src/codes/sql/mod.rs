//! The SQL of codes: what outlives the process, and what replicas agree on.

mod access_token;
mod begin;
pub(crate) mod columns;
mod daily_counters;
mod entries;
mod finish;
#[cfg(test)]
mod fixture;
mod importing;
mod inserting;
mod lease;
mod ledger;
mod stops;
mod store;
mod temporary;
mod tickets;

pub use self::begin::{BeginMint, Begun, MintGrant};
pub use self::finish::{FinishMint, MintedCode, UncountedMints};
pub use self::importing::{ImportConflict, Imported};
pub(crate) use self::lease::LEASE_POLL;
pub use self::lease::Lease;
pub use self::ledger::{Intent, REPEAT_AFTER, ReserveOutcome, Stock};
pub use self::stops::Stop;
pub use self::store::CodeStore;
