//! Write-behind for mints that were made while the database was down.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use super::sql::{CodeStore, FinishMint};
use crate::db;

/// The most codes that are held. A bound on memory, chosen; those beyond it a restart would mint
/// again, and their scans are of an unknown code.
const MAX_HELD: usize = 10_000;

/// Temporary codes and counts to be written once the database is back.
#[derive(Debug, Default)]
pub(super) struct Unsaved(Mutex<Missed>);

#[derive(Debug, Default)]
struct Missed {
    /// In the order in which they were minted. An older one of the same scene is held too: it may
    /// be scanned.
    codes: VecDeque<(Scene, Arc<IssuedCode>)>,
    is_full: bool,
    mints: u64,
    anonymous: u64,
}

impl Unsaved {
    /// Holds a code, and counts its mint.
    pub(super) fn hold(&self, scene: &Scene, code: Arc<IssuedCode>, is_visitors: bool) {
        let mut missed = self.missed();
        missed.mints += 1;
        missed.anonymous += u64::from(is_visitors);
        if missed.codes.len() < MAX_HELD {
            missed.codes.push_back((scene.clone(), code));
        } else if !mem::replace(&mut missed.is_full, true) {
            tracing::warn!(
                held = MAX_HELD,
                "too many codes wait to be written to the database: scans of further codes will be unattributed"
            );
        }
    }

    /// Writes what the database missed. What fails stays. Not cancel safe: a number may count
    /// twice.
    pub(super) async fn flush(&self, store: &CodeStore) -> Result<(), db::Error> {
        self.flush_counts(store).await?;
        self.flush_codes(store).await
    }

    async fn flush_counts(&self, store: &CodeStore) -> Result<(), db::Error> {
        let (mints, anonymous) = {
            let missed = self.missed();
            (missed.mints, missed.anonymous)
        };
        if (mints, anonymous) == (0, 0) {
            return Ok(());
        }
        let counts = FinishMint {
            mints,
            anonymous,
            ..FinishMint::default()
        };
        store.finish(counts).await?;
        let mut missed = self.missed();
        missed.mints -= mints;
        missed.anonymous -= anonymous;
        Ok(())
    }

    async fn flush_codes(&self, store: &CodeStore) -> Result<(), db::Error> {
        while let Some((scene, code)) = self.first_code() {
            store.save(&scene, &code).await?;
            let mut missed = self.missed();
            // A concurrent flush may have removed it.
            let is_first = |(_, first): &mut (Scene, Arc<IssuedCode>)| Arc::ptr_eq(first, &code);
            missed.codes.pop_front_if(is_first);
            missed.is_full &= !missed.codes.is_empty();
        }
        Ok(())
    }

    fn first_code(&self) -> Option<(Scene, Arc<IssuedCode>)> {
        self.missed().codes.front().cloned()
    }

    fn missed(&self) -> MutexGuard<'_, Missed> {
        self.0.lock().expect("no one panics while holding the list")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use wechat::scene::TemporaryScene;
    use wechat::ticket::Life;

    use super::*;
    use crate::clock::ManualClock;

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
    async fn everything_is_flushed_once() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = CodeStore::in_memory(clock).await;
        let unsaved = Unsaved::default();
        let scenes = ["1", "2"].map(scene);
        for scene in &scenes {
            unsaved.hold(scene, code("first"), false);
        }
        unsaved.hold(&scenes[1], code("second"), true);
        for _ in 0..2 {
            unsaved.flush(&store).await.unwrap();
            assert_eq!(store.mints_today().await.unwrap(), (1, 3));
        }
        for (scene, ticket) in scenes.iter().zip(["first", "second"]) {
            let found = store.find(scene).await.unwrap().unwrap();
            assert_eq!(found.ticket.as_str(), ticket);
        }
        assert!(unsaved.missed().codes.is_empty());
    }

    #[tokio::test]
    async fn a_scan_of_an_older_code_of_the_scene_is_known_too() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = CodeStore::in_memory(clock).await;
        let unsaved = Unsaved::default();
        let scene = scene("1");
        for ticket in ["older", "newer"] {
            unsaved.hold(&scene, code(ticket), false);
        }
        unsaved.flush(&store).await.unwrap();
        for ticket in ["older", "newer"] {
            let ticket = ticket.parse().unwrap();
            let scan_of = store.scene_of(&ticket).await;
            assert_eq!(scan_of.as_deref(), Some("1"), "{ticket:?}");
        }
    }

    #[tokio::test]
    async fn what_the_store_does_not_take_is_held() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = CodeStore::in_memory(clock).await;
        store.close().await;
        let unsaved = Unsaved::default();
        unsaved.hold(&scene("1"), code("kept"), false);
        assert!(unsaved.flush(&store).await.is_err());
        let missed = unsaved.missed();
        assert_eq!((missed.mints, missed.codes.len()), (1, 1));
    }
}
