//! The signals that stop a command.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use wxqr::telemetry::print_message;

/// Resolves at the first SIGTERM or SIGINT. A second signal exits at once.
pub(super) fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (asked, stop) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        wait_for_one(&mut terminate, &mut interrupt).await;
        asked.send(()).ok();
        wait_for_one(&mut terminate, &mut interrupt).await;
        print_message("wxqr: stopped at once by a second signal");
        std::process::exit(1);
    });
    Ok(async move { stop.await.expect("the task sends before it can end") })
}

async fn wait_for_one(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
