//! The sandbox, which imitates WeChat: its calls, its phone, and the commands `wxqr sandbox` and
//! `wxqr demo`.

mod calls;
mod command;
mod phone;

use std::sync::Arc;

use wxqr::clock::ManualClock;

const APP_SECRET: &str = "sandbox-secret-of-the-tests";

/// When the clock of these tests starts.
const START: &str = "2026-11-22T04:00:00Z";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::starting_at(START.parse().unwrap()))
}
