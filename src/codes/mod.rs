//! A scene becomes a code: cache, single flight, admission and budget, mints, access token, circuit
//! breaker.
//!
//! However many ask for a scene at once, in whichever replica, one task mints it, and it goes on
//! when they hang up. It must not know HTTP.
//!
//! [`Codes::issue`] is the beginning: the code of the cache, or a mint that the caller joins or
//! starts (`service`), or a stale code. A mint is in `temporary` and `permanent`: a permit to call
//! WeChat (`admission`, with a table of all gates), the lease and the charge in one write
//! ([`CodeStore::begin_mint`]), the call (`call`), and the code, its count and the end of the lease
//! in another ([`CodeStore::finish_mint`]).

mod account_fault;
mod admission;
mod awaited;
mod breaker;
mod budget;
mod cache;
mod call;
mod cooldown;
mod error;
mod freshness;
mod lookup;
mod mint;
mod pace_log;
mod permanent;
mod probes;
mod request;
mod scene_filter;
mod service;
mod settings;
mod single_flight;
mod sql;
mod supplies;
mod temporary;
mod token;
mod unsaved;

pub use self::account_fault::AccountFault;
pub use self::breaker::{
    BreakerOpen, CircuitBreaker, HIGH_PRIORITY_PROBE_INTERVAL, PROBE_INTERVAL, Permit, Priority,
};
pub use self::call::MintDependencies;
pub use self::error::{BudgetExhausted, Error, MintError};
pub use self::freshness::ReuseShare;
pub use self::mint::CLOCK_TOLERANCE;
pub use self::request::{Freshness, Issued, Source};
pub use self::scene_filter::{KindFilter, SceneFilter, SceneFilterError};
pub use self::service::Codes;
pub use self::settings::IssueSettings;
pub use self::single_flight::{Call, SingleFlight, TaskAborted};
pub use self::sql::{
    BeginMint, Begun, CodeStore, FinishMint, ImportConflict, Imported, Intent, Lease, MintGrant,
    MintedCode, REPEAT_AFTER, ReserveOutcome, Stock, Stop, UncountedMints,
};
pub use self::supplies::Supplies;
pub use self::token::{FORCED_APART, TokenError, TokenRefusal, Tokens};

pub(crate) use self::admission::MAX_CONCURRENT_MINTS;
pub(crate) use self::mint::MINT_TIMEOUT;
pub(crate) use self::sql::columns;
