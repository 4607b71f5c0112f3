//! Counts of WeChat's pushes and the last rejection with its remedy, for the operator.
//!
//! [`History`] is the type to read first. How a push is read is the crate `wechat`.

mod advice;
mod history;

pub use self::advice::{action, likely_cause};
pub use self::history::{History, LastRejection, Summary};
