//! Write-behind for mints that were made while the database was down.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::future::join_all;

use super::sql::{CodeStore, FinishMint, MintedCode, UncountedMints};
use crate::db;
use crate::telemetry::Causes;

/// The most codes that are held. A bound on memory, chosen; those beyond it a restart would mint
/// again, and their scans are of an unknown code.
const MAX_HELD: usize = 10_000;

/// How many codes are written at once, so that they share a commit. Chosen: few, so that the
/// results of mints beside them do not wait long where the database is slow.
const AT_ONCE: usize = 8;

/// Write-behind queue: temporary codes and counts to be written once the database is back.
#[derive(Debug, Default)]
pub(super) struct Unsaved(Mutex<PendingWrites>);

#[derive(Debug, Default)]
struct PendingWrites {
    /// In the order in which they were minted. An older one of the same scene is held too: it may
    /// be scanned.
    codes: VecDeque<MintedCode>,
    /// Beyond the codes that are held.
    uncounted: UncountedMints,
}

impl Unsaved {
    /// Holds a code, whose mint is to be counted.
    pub(super) fn hold(&self, minted: MintedCode) {
        let mut pending = self.pending();
        if pending.codes.len() < MAX_HELD {
            pending.codes.push_back(minted);
            return;
        }
        if pending.uncounted == UncountedMints::default() {
            tracing::warn!(
                held = MAX_HELD,
                "too many codes wait to be written to the database: scans of further codes will be unattributed"
            );
        }
        pending.uncounted.add(&minted);
    }

    /// Writes the held codes and counts. Codes that fail stay, and count once however often they
    /// are written; one that the database can never take is only counted. Cancel safe.
    pub(super) async fn flush(&self, store: &CodeStore) -> Result<(), db::Error> {
        loop {
            let oldest = self.oldest();
            if oldest.is_empty() {
                return self.flush_uncounted(store).await;
            }
            let saves = oldest.iter().map(|minted| {
                store.finish_mint(FinishMint {
                    minted: Some(minted.clone()),
                    ..FinishMint::default()
                })
            });
            let results = join_all(saves).await;
            for (minted, result) in oldest.iter().zip(&results) {
                match result {
                    Ok(()) => {
                        self.remove(minted);
                    }
                    Err(error) if error.is_data_error() => self.give_up(minted, error),
                    Err(_) => {}
                }
            }
            let mut failures = results.into_iter().filter_map(Result::err);
            if let Some(failure) = failures.find(|error| !error.is_data_error()) {
                return Err(failure);
            }
        }
    }

    /// Removes a code that is one of the oldest. Says whether it was held: a concurrent flush may
    /// have removed it.
    fn remove(&self, minted: &MintedCode) -> bool {
        let mut pending = self.pending();
        let is_it = |held: &MintedCode| Arc::ptr_eq(&held.code, &minted.code);
        let place = pending.codes.iter().take(AT_ONCE).position(is_it);
        place.is_some_and(|place| pending.codes.remove(place).is_some())
    }

    fn give_up(&self, minted: &MintedCode, error: &db::Error) {
        if self.remove(minted) {
            tracing::error!(
                kind = %minted.scene.kind(),
                error = %Causes(error),
                "a code cannot be written to the database: its scans will be unattributed"
            );
            self.pending().uncounted.add(minted);
        }
    }

    /// Counts the mints whose codes are not held, in one try: without a code, a repeat would count
    /// them twice.
    async fn flush_uncounted(&self, store: &CodeStore) -> Result<(), db::Error> {
        let uncounted = mem::take(&mut self.pending().uncounted);
        if uncounted == UncountedMints::default() {
            return Ok(());
        }
        let count = FinishMint {
            uncounted,
            ..FinishMint::default()
        };
        store.finish_mint(count).await
    }

    fn oldest(&self) -> Vec<MintedCode> {
        self.pending().codes.iter().take(AT_ONCE).cloned().collect()
    }

    fn pending(&self) -> MutexGuard<'_, PendingWrites> {
        self.0.lock().expect("no one panics while holding the list")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use wechat::scene::{Scene, TemporaryScene};
    use wechat::ticket::{IssuedCode, Life};

    use super::*;
    use crate::clock::ManualClock;

    fn scene(id: &str) -> Scene {
        Scene::Temporary(TemporaryScene::Id(id.parse().unwrap()))
    }

    fn minted(scene: &Scene, ticket: &str, is_visitors: bool) -> MintedCode {
        let life = "60".parse().unwrap();
        let code = IssuedCode {
            ticket: ticket.parse().unwrap(),
            url: "http://weixin.qq.com/q/1".parse().unwrap(),
            life: Life::Temporary {
                minted_at: Timestamp::UNIX_EPOCH,
                asked: life,
                granted: life,
            },
        };
        MintedCode {
            scene: scene.clone(),
            code: Arc::new(code),
            is_visitors,
        }
    }

    #[tokio::test]
    async fn everything_is_flushed_once() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = CodeStore::in_memory(clock).await;
        let unsaved = Unsaved::default();
        let scenes = ["1", "2"].map(scene);
        let codes = [
            minted(&scenes[0], "one", false),
            minted(&scenes[1], "first", false),
            minted(&scenes[1], "second", true),
        ];
        for _ in 0..2 {
            // The second time, as after a commit whose outcome was unknown.
            for code in &codes {
                unsaved.hold(code.clone());
            }
            unsaved.flush(&store).await.unwrap();
            assert_eq!(store.mints_today().await.unwrap(), (1, 3));
        }
        for (scene, ticket) in scenes.iter().zip(["one", "second"]) {
            let found = store.find(scene).await.unwrap().unwrap();
            assert_eq!(found.ticket.as_str(), ticket);
        }
        assert!(unsaved.pending().codes.is_empty());
    }

    #[tokio::test]
    async fn a_scan_of_an_older_code_of_the_scene_is_known_too() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = CodeStore::in_memory(clock).await;
        let unsaved = Unsaved::default();
        let scene = scene("1");
        for ticket in ["older", "newer"] {
            unsaved.hold(minted(&scene, ticket, false));
        }
        unsaved.flush(&store).await.unwrap();
        for ticket in ["older", "newer"] {
            let ticket = ticket.parse().unwrap();
            let scan_of = store.scene_of(&ticket).await;
            assert_eq!(scan_of.as_deref(), Some("1"), "{ticket:?}");
        }
    }

    #[tokio::test]
    async fn a_code_that_can_never_be_written_is_counted_and_holds_up_no_other() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = CodeStore::in_memory(clock).await;
        let unsaved = Unsaved::default();
        for n in 0..AT_ONCE + 2 {
            let mut bad = minted(&scene(&format!("1{n}")), &format!("bad-{n}"), true);
            // The database takes no permanent code here.
            bad.code = Arc::new(IssuedCode {
                life: Life::Permanent,
                ..(*bad.code).clone()
            });
            unsaved.hold(bad);
            let good = minted(&scene(&format!("2{n}")), &format!("good-{n}"), false);
            unsaved.hold(good);
        }
        unsaved.flush(&store).await.unwrap();
        assert!(unsaved.pending().codes.is_empty());
        let each = AT_ONCE as u64 + 2;
        assert_eq!(store.mints_today().await.unwrap(), (each, 2 * each));
        for n in 0..AT_ONCE + 2 {
            let found = store.find(&scene(&format!("2{n}"))).await.unwrap();
            assert!(found.is_some(), "{n}");
        }
    }

    #[tokio::test]
    async fn what_the_database_does_not_take_is_held() {
        let clock = Arc::new(ManualClock::starting_at(Timestamp::UNIX_EPOCH));
        let store = CodeStore::in_memory(clock).await;
        store.close().await;
        let unsaved = Unsaved::default();
        unsaved.hold(minted(&scene("1"), "kept", false));
        assert!(unsaved.flush(&store).await.is_err());
        assert_eq!(unsaved.pending().codes.len(), 1);
    }
}
