//! What somebody who means harm can do to the service: use up the account's quota or stock, put a script into a page or a
//! header into an answer, make it slow for others.
//!
//! `FULL_SIZE=1` runs it in the sizes of `docs/reliability.md`.
#![expect(clippy::unwrap_used, reason = "a failed set-up step fails the test")]

#[expect(dead_code, reason = "every test program uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod budget;
mod impostor;
mod injection;
mod markup;
mod minute_limit;
mod payloads;
mod permanent;
mod pictures;
mod smuggling;
