//! What WeChat pushes, from the callback to the numbers.
#![expect(clippy::unwrap_used, reason = "a failed set-up step fails the test")]

#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test program uses a part of it")]
mod support;

mod bindings;
mod bodies;
mod callback;
mod kills;
mod pace;
mod recording;
mod refusals;
mod relay;
mod secrecy;
mod service;
