//! Middleware: one file for each thing that is done around every request, or around a group of
//! routes. `router` has their order.

pub(crate) mod access_log;
pub(crate) mod catch_panic;
pub(crate) mod cors;
mod labels;
pub(crate) mod metrics;
pub(crate) mod negotiate;
pub(crate) mod render_problems;
pub(crate) mod request_id;
pub(crate) mod request_limits;
pub(crate) mod same_origin;
pub(crate) mod security_headers;
pub(crate) mod trailing_slash;
