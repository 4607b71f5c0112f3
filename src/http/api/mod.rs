//! `/api`: JSON for programs that hold a key.

pub(crate) mod account;
mod attachment;
mod attribution;
pub(crate) mod bindings;
pub(crate) mod codes;
pub(crate) mod groups;
pub(crate) mod me;
mod query;
mod reply_body;
pub(crate) mod scans;
pub(crate) mod stats;
