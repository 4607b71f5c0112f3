//! What the store has missed: mints that were made while it could not be used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::scene::Scene;
use crate::store::{self, Store};
use crate::ticket::IssuedCode;

/// How many codes are held for the store. A bound on memory, chosen; what is beyond it a restart would mint again.
const MOST_HELD: usize = 10_000;

/// Temporary codes and numbers to be written down once the store is back.
#[derive(Debug, Default)]
pub(super) struct Unsaved(Mutex<Missed>);

#[derive(Debug, Default)]
struct Missed {
    codes: HashMap<Scene, Arc<IssuedCode>>,
    mints: u64,
    anonymous: u64,
}

impl Unsaved {
    /// Holds a code. A later one of the same scene takes its place.
    pub(super) fn hold(&self, scene: &Scene, code: Arc<IssuedCode>) {
        let mut missed = self.missed();
        if missed.codes.len() < MOST_HELD || missed.codes.contains_key(scene) {
            missed.codes.insert(scene.clone(), code);
        }
    }

    /// Counts a mint of the day.
    pub(super) fn count_mint(&self) {
        self.missed().mints += 1;
    }

    /// Counts a mint that a visitor caused.
    pub(super) fn count_anonymous(&self) {
        self.missed().anonymous += 1;
    }

    /// Tells the store what it missed. What it does not take is held on. Not cancel safe: a number may count twice.
    pub(super) async fn tell(&self, store: &Store) -> Result<(), store::Error> {
        let (mints, anonymous) = {
            let missed = self.missed();
            (missed.mints, missed.anonymous)
        };
        if mints > 0 {
            store.count_mints(mints).await?;
            self.missed().mints -= mints;
        }
        if anonymous > 0 {
            store.count_anonymous_mints(anonymous).await?;
            self.missed().anonymous -= anonymous;
        }
        self.tell_codes(store).await
    }

    async fn tell_codes(&self, store: &Store) -> Result<(), store::Error> {
        while let Some((scene, code)) = self.any_code() {
            store.save(&scene, &code).await?;
            let mut missed = self.missed();
            // A later one may have come meanwhile.
            if missed
                .codes
                .get(&scene)
                .is_some_and(|held| Arc::ptr_eq(held, &code))
            {
                missed.codes.remove(&scene);
            }
        }
        Ok(())
    }

    fn any_code(&self) -> Option<(Scene, Arc<IssuedCode>)> {
        let missed = self.missed();
        let (scene, code) = missed.codes.iter().next()?;
        Some((scene.clone(), Arc::clone(code)))
    }

    fn missed(&self) -> MutexGuard<'_, Missed> {
        self.0.lock().expect("no one panics while holding the list")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::ManualClock;
    use crate::scene::TemporaryScene;
    use crate::ticket::Life;

    fn scene(id: &str) -> Scene {
        Scene::Temporary(TemporaryScene::Id(id.parse().unwrap()))
    }

    fn code(ticket: &str) -> Arc<IssuedCode> {
        let life = "60".parse().unwrap();
        Arc::new(IssuedCode {
            ticket: ticket.parse().unwrap(),
            url: "http://weixin.qq.com/q/1".parse().unwrap(),
            life: Life::Temporary {
                minted_at: Timestamp::UNIX_EPOCH,
                asked: life,
                granted: life,
            },
        })
    }

    #[tokio::test]
    async fn the_store_learns_everything_once() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = Store::in_memory(clock).await;
        let unsaved = Unsaved::default();
        let scenes = ["1", "2"].map(scene);
        for scene in &scenes {
            unsaved.hold(scene, code("first"));
        }
        unsaved.hold(&scenes[1], code("second"));
        (0..3).for_each(|_| unsaved.count_mint());
        unsaved.count_anonymous();
        for _ in 0..2 {
            unsaved.tell(&store).await.unwrap();
            assert_eq!(store.mints_today().await.unwrap(), (1, 3));
        }
        for (scene, ticket) in scenes.iter().zip(["first", "second"]) {
            let found = store.find(scene).await.unwrap().unwrap();
            assert_eq!(found.ticket.as_str(), ticket);
        }
        assert!(unsaved.missed().codes.is_empty());
    }

    #[tokio::test]
    async fn what_the_store_does_not_take_is_held() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = Store::in_memory(clock).await;
        store.close().await;
        let unsaved = Unsaved::default();
        unsaved.count_mint();
        unsaved.hold(&scene("1"), code("kept"));
        assert!(unsaved.tell(&store).await.is_err());
        let missed = unsaved.missed();
        assert_eq!((missed.mints, missed.codes.len()), (1, 1));
    }
}
