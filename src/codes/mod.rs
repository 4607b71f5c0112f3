//! A scene becomes a code: cache, single flight, admission and budget, mints, access token, circuit
//! breaker.
//!
//! Read [`Codes::issue`] first. However many ask for a scene at once, in whichever replica, one
//! task mints it, and it goes on when they hang up. It must not know HTTP.

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

pub use self::breaker::{
    CircuitBreaker, Fault, HIGH_PRIORITY_PROBE_INTERVAL, Open, Permit, Priority,
};
pub use self::call::Parts;
pub use self::error::{BudgetExhausted, Error, MintError};
pub use self::freshness::Reuse;
pub use self::request::{Freshness, Issued, Source};
pub use self::scene_filter::{SceneFilter, SceneFilterError};
pub use self::service::Codes;
pub use self::settings::Settings;
pub use self::single_flight::{Call, SingleFlight, TaskAborted};
pub use self::sql::{
    BeginMint, Begun, CodeStore, FinishMint, ImportConflict, Imported, Intent, Lease, Minted,
    REPEAT_AFTER, Reservation, Right, Stock, Stop, Uncounted,
};
pub use self::supplies::Supplies;
pub use self::token::{Death, Replaced, TokenError, Tokens};

pub(crate) use self::admission::MAX_CONCURRENT_MINTS;
pub(crate) use self::sql::columns;
