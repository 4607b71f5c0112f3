//! Extractors: what handlers read of a request. Every rejection is a [`Problem`].
//!
//! [`Problem`]: crate::http::problem::Problem

pub(crate) mod authenticator;
pub(crate) mod body;
pub(crate) mod json;
pub(crate) mod key_holder;
pub(crate) mod prefetch;
pub(crate) mod query;
