//! The library of wxqr, module by module. `ARCHITECTURE.md` describes them, and
//! `docs/walkthroughs.md` follows requests through them.

pub mod access;
pub mod app;
pub mod bindings;
pub mod callback;
pub mod channels;
pub mod clock;
pub mod codes;
pub mod config;
pub mod db;
pub mod doctor;
pub mod form;
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod outbound;
pub mod pictures;
pub mod redact;
pub mod remedy;
pub mod statistics;
pub mod telemetry;
pub mod text;
pub mod webhooks;
