//! Events become numbers: each is stored before it is acknowledged, counted once, and erased
//! after the retention period.
//!
//! Read [`EventRecorder::record`] first, then [`DeltaBuilder`].

mod privacy;
mod recorder;
mod relay;
mod sql;
mod tally;

pub use self::privacy::{EventId, Person, PersonKey, PersonKeyError};
pub use self::recorder::{EventRecorder, NotRecorded};
pub use self::relay::{Relay, RelayAnswer, RelayError, RelayedPush};
pub use self::sql::{
    DatedEvent, EventFilter, EventOrder, EventPage, EventStore, Granularity, Numbers,
    NumbersFilter, NumbersRow, NumbersRows, Receipt, Recorded, StoredEvent, Sums,
};
pub use self::tally::{
    AttributedEvent, Attribution, DeltaBuilder, FirstTouch, FollowerState, FollowerUpdate,
    PriorState, StatisticsDelta, Tally,
};

pub(crate) use self::recorder::RECORD_TIMEOUT;
pub(crate) use self::relay::{MAX_FORWARDED, RELAY_TIMEOUT};
pub(crate) use self::sql::{columns, person_key};
