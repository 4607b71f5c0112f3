//! Content negotiation (RFC 9110, 12): which representation and which language a client gets.

pub(crate) mod format;
mod language;
pub(crate) mod view;
mod weighted;
