//! Events become numbers: how they are recorded, what the API answers, and whether a recount
//! agrees.

mod api;
mod recording;
mod recount;
mod speed;
