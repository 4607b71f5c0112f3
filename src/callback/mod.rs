//! What the operator gets to know of WeChat's pushes: counts, the last rejection, and its remedy.
//!
//! [`History`] is the type to read first. How a push is read is the crate `wechat`.

mod advice;
mod history;

pub use self::advice::{action, reason};
pub use self::history::{History, LastRefusal, Summary};
