//! The SQL of channels: names, groups, and the list of codes by them.

mod columns;
mod conditions;
mod count;
mod groups;
mod known;
mod list;
mod naming;
mod search_keys;
mod statement;
mod store;

pub use self::known::KnownScene;
pub use self::list::Page;
pub use self::store::ChannelStore;

pub(crate) use self::columns::{channel, reply, reply_column};
pub(crate) use self::search_keys::refresh_search_keys;
