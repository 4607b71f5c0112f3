//! Names, groups and replies that the owner gives to scenes, and the list of codes.

mod channel;
mod filter;
mod label_sort;
mod sql;

pub use self::channel::{Change, Channel, ChannelChange, ChannelRecord, Group, ListedCode};
pub use self::filter::{ChannelFilter, Order, OrderKey, Position, PositionKey};
pub use self::sql::{ChannelStore, KnownScene, Page};

pub(crate) use self::sql::{channel, refresh_search_keys, reply, reply_column};
