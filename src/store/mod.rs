//! Where codes are kept. In memory: what it holds is lost at a restart.
//!
//! Read [`Store`] first. Callers see three verbs: find, save, lease. They must not learn what is behind them, and nothing
//! here knows WeChat or HTTP.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;

use crate::clock::Clock;
use crate::scene::Scene;
use crate::ticket::IssuedCode;

/// The codes that were minted, one for each scene: the last.
#[derive(Debug)]
pub struct Store {
    clock: Arc<dyn Clock>,
    /// Bounded: the codes that were asked for least are dropped first.
    temporary: Cache<Scene, Arc<IssuedCode>>,
    /// Not bounded but by the account's stock: a permanent code must never be minted twice.
    permanent: Mutex<HashMap<Scene, Arc<IssuedCode>>>,
    leases: Arc<Mutex<HashMap<Scene, Timestamp>>>,
}

/// The store cannot be used now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot be used: {0}")]
pub struct Error(pub String);

impl Store {
    /// An empty store that holds at most `entries` temporary codes.
    pub fn in_memory(entries: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            temporary: Cache::new(entries),
            permanent: Mutex::default(),
            leases: Arc::default(),
        }
    }

    /// The code of a scene, dead or alive. Cancel safe.
    ///
    /// # Errors
    /// When the store cannot be used.
    #[expect(clippy::unused_async, reason = "a store on a disk waits here")]
    pub async fn find(&self, scene: &Scene) -> Result<Option<Arc<IssuedCode>>, Error> {
        Ok(match scene {
            Scene::Temporary(_) => self.temporary.get(scene),
            Scene::Permanent(_) => self.permanent().get(scene).cloned(),
        })
    }

    /// Keeps a code. A permanent scene keeps the first that is stored, a temporary one the last; what is kept comes back.
    /// Cancel safe: it is kept or it is not.
    ///
    /// # Errors
    /// When the store cannot be used.
    #[expect(clippy::unused_async, reason = "a store on a disk waits here")]
    pub async fn save(&self, scene: &Scene, code: IssuedCode) -> Result<Arc<IssuedCode>, Error> {
        let code = Arc::new(code);
        Ok(match scene {
            Scene::Temporary(_) => {
                self.temporary.insert(scene.clone(), Arc::clone(&code));
                code
            }
            Scene::Permanent(_) => {
                Arc::clone(self.permanent().entry(scene.clone()).or_insert(code))
            }
        })
    }

    /// Takes the right to mint a scene, for at most `length`; none if another holds it. Dropping the lease gives it back.
    ///
    /// # Errors
    /// When the store cannot be used.
    #[expect(clippy::unused_async, reason = "a store on a disk waits here")]
    pub async fn lease(&self, scene: &Scene, length: Duration) -> Result<Option<Lease>, Error> {
        let now = self.clock.now();
        let mut leases = self
            .leases
            .lock()
            .expect("no one panics while holding the map");
        if leases.get(scene).is_some_and(|&until| now < until) {
            return Ok(None);
        }
        leases.insert(scene.clone(), now + length);
        Ok(Some(Lease {
            leases: Arc::clone(&self.leases),
            scene: scene.clone(),
        }))
    }

    fn permanent(&self) -> std::sync::MutexGuard<'_, HashMap<Scene, Arc<IssuedCode>>> {
        self.permanent
            .lock()
            .expect("no one panics while holding the map")
    }
}

/// The right to mint one scene, while it is held.
#[derive(Debug)]
pub struct Lease {
    leases: Arc<Mutex<HashMap<Scene, Timestamp>>>,
    scene: Scene,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.leases
            .lock()
            .expect("no one panics while holding the map")
            .remove(&self.scene);
    }
}
