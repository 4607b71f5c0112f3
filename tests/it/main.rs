//! The program from outside: through a listener, by its command line, in a browser; its database
//! against every engine; its documents against what they describe. One folder a subject;
//! `CONTRIBUTING.md` says which test goes where.
//!
//! `FULL_SIZE=1` runs attacks and bad days in the sizes of `docs/reliability.md`.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed set-up step fails the test"
)]

mod support;

mod bindings;
mod browser;
mod callback;
mod cli;
mod codes;
mod documents;
mod failure;
mod hostile;
mod http;
mod limits;
mod sandbox;
mod secrets;
mod statistics;
mod store;
mod webhooks;
