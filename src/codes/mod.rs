//! Codes: a wish becomes the code that we have, or a new one.
//!
//! Read [`Codes::issue`] first. Free of HTTP. However many ask for a scene at once, in whichever replica, one task mints
//! it, and it goes on when they hang up.

mod awaited;
mod breaker;
mod call;
mod error;
mod freshness;
mod known;
mod lookup;
mod mint;
mod pace_log;
mod payment;
mod permanent;
mod request;
mod service;
mod settings;
mod single_flight;
mod slots;
mod sql;
mod supplies;
mod temporary;
mod token;
mod unsaved;

pub use self::breaker::{Account, Fault, KEY_PROBE_EVERY, Pass, Priority, Stopped};
pub use self::call::Parts;
pub use self::error::{BudgetExhausted, Error, MintError};
pub use self::freshness::Reuse;
pub use self::request::{Served, Source, Standing};
pub use self::service::Codes;
pub use self::settings::Settings;
pub use self::single_flight::{Flight, Flights, Lost};
pub use self::sql::{
    CodeStore, ImportConflict, Imported, Intent, Lease, REPEAT_AFTER, Reservation, Stock, Stop,
};
pub use self::supplies::Supplies;
pub use self::token::{Death, Error as TokenError, Replaced, Tokens};

pub(crate) use self::slots::MAX_CONCURRENT_MINTS;
pub(crate) use self::sql::columns;
