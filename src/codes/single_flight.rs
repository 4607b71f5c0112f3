//! Single flight: one task for each key, however many ask, and whoever hangs up.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// How long a failure answers for those who come right after it, so that waiters do not retry one by one.
const FAILURE_MEMORY: Duration = Duration::from_secs(1);

/// The flights under way, and those that failed a moment ago.
///
/// `A` says what a flight is about, so that a caller can tell whether its result will do.
pub struct Flights<K, A, T, E> {
    air: Arc<Mutex<Air<K, A, T, E>>>,
    tasks: TaskTracker,
}

type Air<K, A, T, E> = HashMap<K, Flight<A, T, E>>;

/// A flight that one caller started and any number wait for.
pub struct Flight<A, T, E> {
    /// What the flight was started for.
    pub about: A,
    landing: watch::Receiver<Option<Result<T, Arc<E>>>>,
}

impl<A: Clone, T, E> Clone for Flight<A, T, E> {
    fn clone(&self) -> Self {
        Self {
            about: self.about.clone(),
            landing: self.landing.clone(),
        }
    }
}

impl<A, T: Clone, E> Flight<A, T, E> {
    /// Waits for the result. Cancel safe: the flight goes on without its waiters.
    ///
    /// # Errors
    /// The flight's own failure, shared by all who waited, or [`Lost`].
    pub async fn landed(mut self) -> Result<Result<T, Arc<E>>, Lost> {
        let landed = self
            .landing
            .wait_for(Option::is_some)
            .await
            .map_err(|_| Lost)?;
        landed.clone().ok_or(Lost)
    }
}

impl<A, T, E> Flight<A, T, E> {
    /// The failure that a flight ended with and is remembered for.
    fn failure(&self) -> Option<Arc<E>> {
        let landed = self.landing.borrow();
        landed.as_ref()?.as_ref().err().cloned()
    }
}

/// The task of a flight panicked or was stopped with its runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task ended without a result")]
pub struct Lost;

impl<K, A, T, E> Flights<K, A, T, E>
where
    K: Hash + Eq + Clone + Send + 'static,
    A: Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    /// The tracker sees every flight, so that a shutdown can wait for them.
    pub fn new(tasks: TaskTracker) -> Self {
        Self {
            air: Arc::default(),
            tasks,
        }
    }

    /// How many flights are under way or remembered.
    pub fn len(&self) -> usize {
        self.air
            .lock()
            .expect("no one panics while holding the map")
            .len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Joins the flight of this key, or starts one in a task of its own. Tells whether it was started.
    pub fn join_or_start<F>(
        &self,
        key: &K,
        about: A,
        fly: impl FnOnce() -> F,
    ) -> (Flight<A, T, E>, bool)
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let joined = self.try_join_or_start(key, about, |_, _| true, || Ok::<_, Infallible>(fly()));
        joined.unwrap_or_else(|never| match never {})
    }

    /// The same for one who may not be allowed to start a flight, only to join. A failure that is remembered is joined
    /// where `concerns` says of what it was about and of it that it answers this caller too; else a new flight takes its
    /// place.
    ///
    /// # Errors
    /// What `fly` says. Nobody else hears of it.
    pub fn try_join_or_start<F, R>(
        &self,
        key: &K,
        about: A,
        concerns: impl FnOnce(&A, &E) -> bool,
        fly: impl FnOnce() -> Result<F, R>,
    ) -> Result<(Flight<A, T, E>, bool), R>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let mut air = self
            .air
            .lock()
            .expect("no one panics while holding the map");
        if let Some(flight) = air.get(key)
            && flight
                .failure()
                .is_none_or(|error| concerns(&flight.about, &error))
        {
            return Ok((flight.clone(), false));
        }
        let work = fly()?;
        let (land, landing) = watch::channel(None);
        let flight = Flight { about, landing };
        air.insert(key.clone(), flight.clone());
        let gone = Departure {
            air: Arc::clone(&self.air),
            key: key.clone(),
            landing: flight.landing.clone(),
        };
        let flight_task = async move {
            let result = work.await.map_err(Arc::new);
            let failed = result.is_err();
            land.send_replace(Some(result));
            if failed {
                tokio::time::sleep(FAILURE_MEMORY).await;
            }
            drop(gone);
        };
        // In the span of the request that started it, so that its log lines can be found.
        self.tasks.spawn(flight_task.in_current_span());
        Ok((flight, true))
    }
}

impl<K, A, T, E> fmt::Debug for Flights<K, A, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

/// Takes a flight off the map when its task ends, in whatever way. One that has taken its place stays.
struct Departure<K: Hash + Eq, A, T, E> {
    air: Arc<Mutex<Air<K, A, T, E>>>,
    key: K,
    landing: watch::Receiver<Option<Result<T, Arc<E>>>>,
}

impl<K: Hash + Eq, A, T, E> Drop for Departure<K, A, T, E> {
    fn drop(&mut self) {
        let mut air = self
            .air
            .lock()
            .expect("no one panics while holding the map");
        let is_ours = |flight: &Flight<A, T, E>| flight.landing.same_channel(&self.landing);
        if air.get(&self.key).is_some_and(is_ours) {
            air.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Ready;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    type Test = Flights<&'static str, (), usize, String>;

    #[tokio::test]
    async fn all_who_ask_meanwhile_share_one_task() {
        let flights = Test::new(TaskTracker::new());
        let gate = Arc::new(Semaphore::new(0));
        let runs = Arc::new(AtomicUsize::new(0));
        let waiters: Vec<_> = (0..100)
            .map(|_| {
                let (gate, runs) = (Arc::clone(&gate), Arc::clone(&runs));
                let fly = || async move {
                    let _permit = gate.acquire().await;
                    Ok(runs.fetch_add(1, Ordering::SeqCst))
                };
                flights.join_or_start(&"key", (), fly).0.landed()
            })
            .collect();
        gate.add_permits(1);
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap().unwrap(), 0);
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn who_may_not_start_a_flight_may_join_one_and_disturbs_nobody() {
        let flights = Test::new(TaskTracker::new());
        let refused = || Err::<Ready<Result<usize, String>>, _>("not you");
        assert_eq!(
            flights
                .try_join_or_start(&"key", (), |(), _| true, refused)
                .err(),
            Some("not you")
        );
        let (flight, started) = flights.join_or_start(&"key", (), || async { Ok(1) });
        assert!(started, "the refusal is not remembered");
        let joined = flights.try_join_or_start(&"key", (), |(), _| true, refused);
        assert!(joined.is_ok_and(|(_, started)| !started));
        assert_eq!(flight.landed().await.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_does_not_stop_the_task() {
        let tasks = TaskTracker::new();
        let flights = Test::new(tasks.clone());
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let (first, _) = flights.join_or_start(&"key", (), || async move {
            let _permit = held.acquire().await;
            Ok(7)
        });
        drop(first);
        let (second, started) = flights.join_or_start(&"key", (), || async { Ok(8) });
        assert!(!started, "the first flight goes on");
        gate.add_permits(1);
        assert_eq!(second.landed().await.unwrap().unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_remembered_for_a_second() {
        let flights = Test::new(TaskTracker::new());
        let fail = || async { Err("no".to_owned()) };
        let (flight, _) = flights.join_or_start(&"key", (), fail);
        assert_eq!(*flight.landed().await.unwrap().unwrap_err(), "no");

        tokio::time::sleep(FAILURE_MEMORY / 2).await;
        let (again, started) = flights.join_or_start(&"key", (), || async { Ok(1) });
        assert!(!started);
        assert!(again.landed().await.unwrap().is_err());

        tokio::time::sleep(FAILURE_MEMORY).await;
        let (anew, started) = flights.join_or_start(&"key", (), || async { Ok(1) });
        assert!(started);
        assert_eq!(anew.landed().await.unwrap().unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_that_does_not_concern_a_caller_is_replaced() {
        let flights = Flights::<&'static str, u8, usize, String>::new(TaskTracker::new());
        let (failed, _) = flights.join_or_start(&"key", 1, || async { Err("no".to_owned()) });
        assert!(failed.landed().await.unwrap().is_err());
        let gate = Arc::new(Semaphore::new(0));
        let held = Arc::clone(&gate);
        let fly = || {
            Ok::<_, Infallible>(async move {
                let _permit = held.acquire().await;
                Ok(2)
            })
        };
        let concerns = |about: &u8, error: &String| *about >= 2 || error != "no";
        let (anew, started) = flights
            .try_join_or_start(&"key", 2, concerns, fly)
            .unwrap_or_else(|never| match never {});
        assert!(started);

        // The memory of the first ends meanwhile, and takes nothing away.
        tokio::time::sleep(FAILURE_MEMORY * 2).await;
        let (joined, started) = flights.join_or_start(&"key", 3, || async { Ok(3) });
        assert!(!started);
        gate.add_permits(1);
        assert_eq!(anew.landed().await.unwrap().unwrap(), 2);
        assert_eq!(joined.landed().await.unwrap().unwrap(), 2);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_for_the_waiters_and_frees_the_key() {
        let tasks = TaskTracker::new();
        let flights = Test::new(tasks.clone());
        let (flight, _) = flights.join_or_start(&"key", (), || async { panic!("a defect") });
        assert_eq!(flight.landed().await.unwrap_err(), Lost);
        tasks.close();
        tasks.wait().await;
        assert!(flights.is_empty());
    }
}
