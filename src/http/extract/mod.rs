//! What handlers read of a request.

pub(crate) mod caller;
pub(crate) mod query;
pub(crate) mod scene_params;
