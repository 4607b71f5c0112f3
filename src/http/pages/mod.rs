//! The pages for people.

pub(crate) mod by_language;
pub(crate) mod console;
pub(crate) mod demo;
pub(crate) mod embed_script;
pub(crate) mod home;
pub(crate) mod robots;
mod snippets;
pub(crate) mod stats;
