//! Bad days: WeChat hangs, somebody else takes the token again and again, replicas come and go while visitors ask.
//!
//! `FULL_SIZE=1` runs it in the sizes of `docs/reliability.md`.
#![expect(clippy::unwrap_used, reason = "a failed set-up step fails the test")]

#[expect(dead_code, reason = "every test program uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod hang;
mod restarts;
mod theft;
