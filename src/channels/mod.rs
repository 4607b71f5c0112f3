//! What the owner calls a scene, and the list of codes.

mod sql;

pub use self::sql::{Channel, ChannelFilter, ChannelStore, ListedCode, Page};

pub(crate) use self::sql::channel;
