//! What stands around every request.

pub(crate) mod access_log;
pub(crate) mod request_limits;
pub(crate) mod same_origin;
