//! The rooms of wxqr, from the ground up. `ARCHITECTURE.md` has the drawing and the walk-throughs.

pub mod access;
pub mod account;
pub mod app;
pub mod bindings;
pub mod callback;
pub mod clock;
pub mod codes;
pub mod config;
pub mod doctor;
pub mod event;
pub mod flight;
pub mod form;
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
pub mod listen;
pub mod openid;
pub mod origin;
pub mod outbound;
pub mod pictures;
pub mod redact;
pub mod relay;
pub mod sandbox;
pub mod scans;
pub mod scene;
pub mod store;
pub mod tally;
pub mod telemetry;
pub mod text;
pub mod ticket;
pub mod token;
pub mod upkeep;
pub mod wechat;
