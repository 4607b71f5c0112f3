//! The SQL of statistics: recording events, listing them, sums, retention.

pub(crate) mod columns;
mod events;
mod numbers;
pub(crate) mod person_key;
mod recording;
mod retention;
mod row_budget;
mod store;

pub use self::events::{
    DatedEvent, EventFilter, EventOrder, EventPage, Receipt, Recorded, StoredEvent,
};
pub use self::numbers::{Granularity, Numbers, NumbersFilter, NumbersRow, NumbersRows, Sums};
pub use self::store::EventStore;
