//! An open-loop load generator: visitors come at a steady pace whether the service keeps up or not.
//! In `cargo test` the number of requests in flight is bounded, so that a busy machine slows the
//! load down instead of overloading the service.

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::figures::sized;

/// Requests in flight at once in `cargo test`. With a sixteenth of a core each, a debug build still
/// answers within the 5 s that a visitor waits. In full size the load is not bounded: there the
/// pace is what is measured.
const MAX_IN_FLIGHT: usize = 16;

/// Visitors that send requests until they are stopped.
pub(crate) struct Paced {
    stop: CancellationToken,
    task: JoinHandle<Met>,
}

/// What the visitors met. A time counts from when the visitor was due, so that a queue in front of
/// the service shows.
#[derive(Debug, Default)]
pub(crate) struct Met {
    /// Of the served ones, sorted.
    pub(crate) times: Vec<Duration>,
    /// What went wrong for the others.
    pub(crate) failures: Vec<String>,
}

impl Paced {
    /// So many visitors a second, numbered from 0. `ask` returns what went wrong for one of them.
    pub(crate) fn start<F, Answered>(per_second: u32, ask: F) -> Self
    where
        F: Fn(usize) -> Answered + Send + 'static,
        Answered: Future<Output = Result<(), String>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = tokio::spawn(send_visitors(per_second, ask, stop.clone()));
        Self { stop, task }
    }

    /// Sends no more, and waits for the outstanding answers.
    pub(crate) async fn finish(self) -> Met {
        self.stop.cancel();
        self.task.await.unwrap()
    }
}

async fn send_visitors<F, Answered>(per_second: u32, ask: F, stop: CancellationToken) -> Met
where
    F: Fn(usize) -> Answered,
    Answered: Future<Output = Result<(), String>> + Send + 'static,
{
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    let mut met = Met::default();
    let mut visitors = JoinSet::new();
    let most = sized(MAX_IN_FLIGHT, usize::MAX);
    for number in 0.. {
        if visitors.len() >= most
            && let Some(visitor) = visitors.join_next().await
        {
            met.note(visitor.unwrap());
        }
        let due = tokio::select! {
            () = stop.cancelled() => break,
            due = ticks.tick() => due,
        };
        let answered = ask(number);
        visitors.spawn(async move { (answered.await, due.elapsed()) });
        while let Some(visitor) = visitors.try_join_next() {
            met.note(visitor.unwrap());
        }
    }
    while let Some(visitor) = visitors.join_next().await {
        met.note(visitor.unwrap());
    }
    met.times.sort_unstable();
    met
}

impl Met {
    fn note(&mut self, (answered, took): (Result<(), String>, Duration)) {
        match answered {
            Ok(()) => self.times.push(took),
            Err(failure) => self.failures.push(failure),
        }
    }

    /// The time that so many of a hundred did not exceed.
    pub(crate) fn percentile(&self, share: usize) -> Duration {
        self.times[(self.times.len() * share / 100).min(self.times.len() - 1)]
    }

    pub(crate) fn asked(&self) -> usize {
        self.times.len() + self.failures.len()
    }
}
