//! The listener as its clients see it, with a small router behind it.
#![expect(clippy::unwrap_used, reason = "a failed set-up step fails the test")]

mod client;
mod closing;
mod deadlines;
mod eviction;
mod pipelining;
mod requests;
mod server;
mod smuggling;
mod tls;
mod waiting;
