//! The two languages of the pages.

pub(crate) mod lang;
pub(crate) mod message;
