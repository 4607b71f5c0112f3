//! `wxqr`: runs the command that the arguments name.

mod cli;

use std::process::ExitCode;

/// jemalloc returns freed memory to the operating system within about ten seconds; glibc's
/// allocator keeps the peak of a burst of requests (`bench/held_bodies.py`).
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let code = match cli::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::report(&error),
    };
    wxqr::telemetry::flush_log();
    code
}
