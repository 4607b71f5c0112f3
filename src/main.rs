//! `wxqr`: arguments become a command, a command becomes an exit code.

mod cli;

use std::process::ExitCode;

/// Gives freed memory back to the operating system within some ten seconds. The system's allocator keeps what a flood of
/// requests has taken (`bench/held_bodies.py`).
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    }
}
