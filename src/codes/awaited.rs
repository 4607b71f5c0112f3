//! The lifetimes that waiting callers need: the next mint of a scene asks for the longest of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use wechat::scene::{Lifetime, Scene};

/// A multiset of lifetimes for each scene that has waiting callers.
///
/// A mint for a short lifetime is of no use to a caller who needs a longer one. Without this, a few
/// callers who keep starting short ones would starve that caller.
#[derive(Debug, Default)]
pub(super) struct AwaitedLifetimes(Mutex<HashMap<Scene, BTreeMap<Lifetime, usize>>>);

/// One lifetime that is waited for, until it is dropped.
#[derive(Debug)]
pub(super) struct Awaited {
    all: Arc<AwaitedLifetimes>,
    scene: Scene,
    lifetime: Lifetime,
}

impl AwaitedLifetimes {
    pub(super) fn add(self: &Arc<Self>, scene: &Scene, lifetime: Lifetime) -> Awaited {
        let mut map = self.map();
        let lifetimes = map.entry(scene.clone()).or_default();
        *lifetimes.entry(lifetime).or_default() += 1;
        Awaited {
            all: Arc::clone(self),
            scene: scene.clone(),
            lifetime,
        }
    }

    /// Returns the longest awaited lifetime of a scene.
    pub(super) fn longest(&self, scene: &Scene) -> Option<Lifetime> {
        self.map().get(scene)?.keys().next_back().copied()
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Scene, BTreeMap<Lifetime, usize>>> {
        self.0.lock().expect("no one panics while holding the map")
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        let mut map = self.all.map();
        let Some(lifetimes) = map.get_mut(&self.scene) else {
            return;
        };
        if let Some(waiting) = lifetimes.get_mut(&self.lifetime) {
            *waiting -= 1;
            if *waiting == 0 {
                lifetimes.remove(&self.lifetime);
            }
        }
        if lifetimes.is_empty() {
            map.remove(&self.scene);
        }
    }
}

#[cfg(test)]
mod tests {
    use wechat::scene::TemporaryScene;

    use super::*;

    #[test]
    fn the_longest_lifetime_counts_while_a_caller_waits_for_it() {
        let awaited = Arc::<AwaitedLifetimes>::default();
        let [one, other] = ["1", "2"].map(|id| {
            let id = id.parse().unwrap();
            Scene::Temporary(TemporaryScene::Id(id))
        });
        let add = |seconds: u64| awaited.add(&one, seconds.try_into().unwrap());
        let longest = || awaited.longest(&one).map(Lifetime::as_secs);
        let (short, long, long_too) = (add(1), add(7200), add(7200));
        assert_eq!((longest(), awaited.longest(&other)), (Some(7200), None));
        drop(long);
        assert_eq!(longest(), Some(7200));
        drop(long_too);
        assert_eq!(longest(), Some(1));
        drop(short);
        assert!(awaited.map().is_empty(), "nothing is kept");
    }
}
