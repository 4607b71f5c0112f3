//! Single flight: one task for each key, however many callers ask for it.
//!
//! The task does not end when its callers hang up, and a failure is remembered for a moment
//! (negative caching). It must not know what is called.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// How long a failure answers later callers too, so that waiters do not retry one after another.
const FAILURE_MEMORY: Duration = Duration::from_secs(1);

/// Deduplicates calls: those in flight, and those that failed a moment ago.
///
/// `A` is the context of a call, by which a caller sees whether its result will do.
pub struct SingleFlight<K, A, T, E> {
    calls: Arc<Mutex<Calls<K, A, T, E>>>,
    tasks: TaskTracker,
}

type Calls<K, A, T, E> = HashMap<K, Call<A, T, E>>;

/// A call in flight, which one caller started and any number await.
pub struct Call<A, T, E> {
    /// What the call was started for.
    pub context: A,
    result: watch::Receiver<Option<Result<T, Arc<E>>>>,
}

impl<A: Clone, T, E> Clone for Call<A, T, E> {
    fn clone(&self) -> Self {
        Self {
            context: self.context.clone(),
            result: self.result.clone(),
        }
    }
}

impl<A, T: Clone, E: From<TaskAborted>> Call<A, T, E> {
    /// Waits for the result. Cancel safe: the call goes on without its waiters.
    ///
    /// # Errors
    /// The call's own failure, shared by all who waited; that of [`TaskAborted`] after a panic.
    pub async fn wait(mut self) -> Result<T, Arc<E>> {
        let outcome = self.result.wait_for(Option::is_some).await;
        let outcome = outcome.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| Err(Arc::new(TaskAborted.into())))
    }
}

impl<A, T, E> Call<A, T, E> {
    /// The remembered failure of a call that has ended.
    fn failure(&self) -> Option<Arc<E>> {
        let outcome = self.result.borrow();
        outcome.as_ref()?.as_ref().err().cloned()
    }
}

/// The task of a call panicked or was stopped with its runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task ended without a result")]
pub struct TaskAborted;

impl<K, A, T, E> SingleFlight<K, A, T, E>
where
    K: Hash + Eq + Clone + Send + 'static,
    A: Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// Creates one without calls. Calls run on `tasks`, so that a shutdown can wait for them.
    pub fn new(tasks: TaskTracker) -> Self {
        Self {
            calls: Arc::default(),
            tasks,
        }
    }

    /// Counts the calls in flight and the failures that are remembered.
    pub fn len(&self) -> usize {
        self.calls
            .lock()
            .expect("no one panics while holding the map")
            .len()
    }

    /// Whether nothing is in flight or remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Joins the call of a key, or starts one in a task of its own. Says whether it was started.
    pub fn join_or_start<F>(
        &self,
        key: &K,
        context: A,
        start: impl FnOnce() -> F,
    ) -> (Call<A, T, E>, bool)
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let joined =
            self.try_join_or_start(key, context, |_, _| true, || Ok::<_, Infallible>(start()));
        joined.unwrap_or_else(|never| match never {})
    }

    /// Like [`SingleFlight::join_or_start`], but `start` may refuse. A remembered failure is joined
    /// where `concerns` says that it answers this caller too; otherwise a new call takes its place.
    ///
    /// # Errors
    /// The refusal of `start`, which goes to this caller only.
    pub fn try_join_or_start<F, R>(
        &self,
        key: &K,
        context: A,
        concerns: impl FnOnce(&A, &E) -> bool,
        start: impl FnOnce() -> Result<F, R>,
    ) -> Result<(Call<A, T, E>, bool), R>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut calls = self
            .calls
            .lock()
            .expect("no one panics while holding the map");
        if let Some(call) = calls.get(key)
            && call
                .failure()
                .is_none_or(|error| concerns(&call.context, &error))
        {
            return Ok((call.clone(), false));
        }
        // Boxed at once: it is large, and each future around it would move it.
        let work = Box::pin(start()?);
        let (sender, result) = watch::channel(None);
        let call = Call { context, result };
        calls.insert(key.clone(), call.clone());
        let remove = RemoveOnDrop {
            calls: Arc::clone(&self.calls),
            key: key.clone(),
            result: call.result.clone(),
        };
        let task = async move {
            let result = work.await.map_err(Arc::new);
            let failed = result.is_err();
            sender.send_replace(Some(result));
            if failed {
                tokio::time::sleep(FAILURE_MEMORY).await;
            }
            drop(remove);
        };
        // In the span of the request that started it, so that its log lines can be found.
        self.tasks.spawn(task.in_current_span());
        Ok((call, true))
    }
}

impl<K, A, T, E> fmt::Debug for SingleFlight<K, A, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}

/// Removes a call from the map when its task ends, by panic too, unless another has taken its
/// place.
struct RemoveOnDrop<K: Hash + Eq, A, T, E> {
    calls: Arc<Mutex<Calls<K, A, T, E>>>,
    key: K,
    result: watch::Receiver<Option<Result<T, Arc<E>>>>,
}

impl<K: Hash + Eq, A, T, E> Drop for RemoveOnDrop<K, A, T, E> {
    fn drop(&mut self) {
        let mut calls = self
            .calls
            .lock()
            .expect("no one panics while holding the map");
        let is_ours = |call: &Call<A, T, E>| call.result.same_channel(&self.result);
        if calls.get(&self.key).is_some_and(is_ours) {
            calls.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Ready;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    type Test = SingleFlight<&'static str, (), usize, Failure>;

    #[derive(Debug, PartialEq, Eq)]
    enum Failure {
        Own,
        Aborted(TaskAborted),
    }

    impl From<TaskAborted> for Failure {
        fn from(aborted: TaskAborted) -> Self {
            Self::Aborted(aborted)
        }
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_task() {
        let single_flight = Test::new(TaskTracker::new());
        let gate = Arc::new(Semaphore::new(0));
        let runs = Arc::new(AtomicUsize::new(0));
        let waiters: Vec<_> = (0..100)
            .map(|_| {
                let (gate, runs) = (Arc::clone(&gate), Arc::clone(&runs));
                let start = || async move {
                    let _permit = gate.acquire().await;
                    Ok(runs.fetch_add(1, Ordering::SeqCst))
                };
                single_flight.join_or_start(&"key", (), start).0.wait()
            })
            .collect();
        gate.add_permits(1);
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), 0);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_caller_that_may_not_start_a_call_may_join_one() {
        let single_flight = Test::new(TaskTracker::new());
        let refused = || Err::<Ready<Result<usize, Failure>>, _>("not you");
        assert_eq!(
            single_flight
                .try_join_or_start(&"key", (), |(), _| true, refused)
                .err(),
            Some("not you")
        );
        let (call, started) = single_flight.join_or_start(&"key", (), || async { Ok(1) });
        assert!(started, "the refusal is not remembered");
        let joined = single_flight.try_join_or_start(&"key", (), |(), _| true, refused);
        assert!(joined.is_ok_and(|(_, started)| !started));
        assert_eq!(call.wait().await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_does_not_stop_the_task() {
        let tasks = TaskTracker::new();
        let single_flight = Test::new(tasks.clone());
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let (first, _) = single_flight.join_or_start(&"key", (), || async move {
            let _permit = held.acquire().await;
            Ok(7)
        });
        drop(first);
        let (second, started) = single_flight.join_or_start(&"key", (), || async { Ok(8) });
        assert!(!started, "the first call goes on");
        gate.add_permits(1);
        assert_eq!(second.wait().await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_remembered_for_a_second() {
        let single_flight = Test::new(TaskTracker::new());
        let fail = || async { Err(Failure::Own) };
        let (call, _) = single_flight.join_or_start(&"key", (), fail);
        assert_eq!(*call.wait().await.unwrap_err(), Failure::Own);

        tokio::time::sleep(FAILURE_MEMORY / 2).await;
        let (again, started) = single_flight.join_or_start(&"key", (), || async { Ok(1) });
        assert!(!started);
        assert!(again.wait().await.is_err());

        tokio::time::sleep(FAILURE_MEMORY).await;
        let (anew, started) = single_flight.join_or_start(&"key", (), || async { Ok(1) });
        assert!(started);
        assert_eq!(anew.wait().await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_does_not_concern_a_caller_is_replaced() {
        let single_flight =
            SingleFlight::<&'static str, u8, usize, Failure>::new(TaskTracker::new());
        let (failed, _) = single_flight.join_or_start(&"key", 1, || async { Err(Failure::Own) });
        assert!(failed.wait().await.is_err());
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let start = || {
            Ok::<_, Infallible>(async move {
                let _permit = held.acquire().await;
                Ok(2)
            })
        };
        let concerns = |context: &u8, error: &Failure| *context >= 2 || *error != Failure::Own;
        let (anew, started) = single_flight
            .try_join_or_start(&"key", 2, concerns, start)
            .unwrap_or_else(|never| match never {});
        assert!(started);

        // The memory of the first ends meanwhile, and takes nothing away.
        tokio::time::sleep(FAILURE_MEMORY * 2).await;
        let (joined, started) = single_flight.join_or_start(&"key", 3, || async { Ok(3) });
        assert!(!started);
        gate.add_permits(1);
        assert_eq!(anew.wait().await.unwrap(), 2);
        assert_eq!(joined.wait().await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_for_the_waiters_and_frees_the_key() {
        let tasks = TaskTracker::new();
        let single_flight = Test::new(tasks.clone());
        let (call, _) = single_flight.join_or_start(&"key", (), || async { panic!("a defect") });
        let failure = call.wait().await.unwrap_err();
        assert_eq!(*failure, Failure::Aborted(TaskAborted));
        tasks.close();
        tasks.wait().await;
        assert!(single_flight.is_empty());
    }
}
