//! Content negotiation.

pub(crate) mod format;
pub(crate) mod view;
