//! The two languages of the service: Chinese and English.

pub(crate) mod lang;
pub(crate) mod message;
