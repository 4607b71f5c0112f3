//! The permanent ledger, with write-ahead intents. WeChat gives an account 100 000 permanent codes
//! for its life and deletes none, so an intent is written before the call and counts from then on,
//! and a result is written before the answer.

mod intent;
mod outcome;
mod recording;
mod reserve;
mod stock;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use wechat::scene::{PermanentScene, Scene};
use wechat::ticket::IssuedCode;

pub use self::intent::Intent;
use self::outcome::{Confirm, Withdraw};
pub(super) use self::recording::{NewEntry, record_all};
use self::reserve::Reserve;
pub use self::reserve::{REPEAT_AFTER, ReserveOutcome};
pub use self::stock::Stock;
use super::store::CodeStore;
use crate::db::Error;

impl CodeStore {
    /// Asks to mint a permanent code for a key of this name. At most `limit` codes and intents are
    /// counted. Cancel safe: an intent that no caller gets is withdrawn.
    ///
    /// # Errors
    /// When the database cannot be used: then nothing was reserved, or it is withdrawn by the next
    /// chance.
    pub async fn reserve(
        &self,
        scene: &PermanentScene,
        limit: u64,
        created_by: Option<Arc<str>>,
    ) -> Result<ReserveOutcome, Error> {
        let reserve = Reserve {
            store: self.clone(),
            scene: Scene::Permanent(scene.clone()),
            limit,
            created_by,
            now: self.db.now(),
            executions: AtomicU32::new(0),
        };
        Ok(self.db.execute(reserve).await?.deliver())
    }

    /// Writes the result of a mint, and counts the mint. The first one that is stored wins, and it
    /// is what comes back.
    ///
    /// # Errors
    /// When the database cannot be used. The code exists at WeChat then, so the call is to be
    /// repeated until it succeeds.
    pub async fn confirm(&self, intent: &Intent, code: &IssuedCode) -> Result<IssuedCode, Error> {
        let confirm = Confirm {
            intent: intent.clone(),
            code: code.clone(),
            now: self.db.now(),
        };
        self.db.execute(confirm).await
    }

    /// Takes an intent back, because the call certainly made no code. After a repeat it is as
    /// before that, because the call before it may have made one. Withdrawn again, nothing
    /// changes.
    ///
    /// # Errors
    /// When the database cannot be used: the intent stays and counts.
    pub async fn withdraw(&self, intent: &Intent) -> Result<(), Error> {
        self.db.execute(Withdraw(intent.clone())).await
    }
}
