//! The pages for people.

pub(crate) mod demo;
pub(crate) mod home;
pub(crate) mod stats;
