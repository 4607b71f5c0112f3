//! Names and groups that the owner gives to scenes, and the list of codes.

mod sql;

pub use self::sql::{Channel, ChannelFilter, ChannelStore, ListedCode, Page};

pub(crate) use self::sql::channel;
