//! The thread of a writer to PostgreSQL.

use std::io;
use std::thread;

use tokio::runtime;

/// Runs the writer's task on a thread and a runtime of its own.
///
/// A transaction takes several round trips, and holds the account's lock. On the runtime of the
/// requests each answer of the server would wait until all tasks that are ready have been polled.
///
/// An output whose caller has left is dropped on this thread. What that starts, such as the release
/// of a lease, is a task of this runtime. It ends with the writer, which would execute no more
/// commands.
///
/// # Errors
/// When the system gives no thread, or no file descriptors for the runtime.
pub(super) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = thread::Builder::new().name("db-writer".to_owned());
    thread.spawn(move || runtime.block_on(task))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn the_task_has_a_thread_and_timers_of_its_own() {
        let (sender, name) = oneshot::channel();
        let task = async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let name = thread::current().name().map(str::to_owned);
            sender.send(name).unwrap();
        };
        spawn(task).unwrap();
        let name = name.blocking_recv().unwrap();
        assert_eq!(name.as_deref(), Some("db-writer"));
    }
}
