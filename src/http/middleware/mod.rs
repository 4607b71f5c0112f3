//! Middleware: one file for each thing that is done around every request, or around a group of
//! routes. `stack` puts the former together, `router` adds the latter.

pub(crate) mod access_log;
pub(crate) mod catch_panic;
pub(crate) mod cors;
mod labels;
mod metrics;
pub(crate) mod metrics_listener;
mod render_problems;
pub(crate) mod request_id;
pub(crate) mod request_limits;
pub(crate) mod same_origin;
mod security_headers;
pub(crate) mod stack;
mod trailing_slash;
