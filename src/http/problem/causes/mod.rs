//! Converts each room's error into a problem: one `match` for each, which decides the status and
//! how much of the cause strangers may know.

mod access;
mod bindings;
mod body;
mod codes;
mod database;
mod files;
mod origin;
mod pictures;
mod statistics;
mod values;
mod wechat;

use std::time::Duration;

/// `Retry-After` once WeChat or this service was too busy. Chosen: WeChat's document says only
/// "later".
const BUSY_RETRY: Duration = Duration::from_secs(5);
