//! The end of temporary mints: save, count and release, in one step for all that wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use super::daily_counters::{ANONYMOUS, MINTS, add_to_today, refund_today};
use super::lease::{Lease, LeaseRow, release_leases};
use super::store::CodeStore;
use super::temporary::save_all;
use super::tickets::remember_all;
use crate::db::{BatchCommand, Error, Transaction, Urgency};

/// What is to be written after mints.
#[derive(Debug, Default)]
pub struct FinishMint {
    /// The code of a scene, which takes the place of the one before it.
    pub code: Option<(Scene, Arc<IssuedCode>)>,
    /// The lease that is no longer needed.
    pub lease: Option<Lease>,
    /// How many mints of the day are counted.
    pub mints: u64,
    /// How many mints of the day are counted as visitors', beyond the budget too.
    pub anonymous: u64,
    /// Whether a visitor's mint that was charged was not made. It goes to today, also if it was
    /// charged just before midnight.
    pub is_refunded: bool,
}

impl CodeStore {
    /// Writes what there is to write after a mint. Of two codes of a scene the one that was minted
    /// later stays, and the tickets of both are remembered. Cancel safe: all is written or nothing.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn finish(&self, mut mint: FinishMint) -> Result<(), Error> {
        let row = mint.lease.take().and_then(Lease::into_row);
        let now = self.db.now();
        self.db.execute(Finish { mint, row, now }).await
    }

    /// Keeps a temporary code, as [`CodeStore::finish`] does.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn save(&self, scene: &Scene, code: &IssuedCode) -> Result<(), Error> {
        let save = FinishMint {
            code: Some((scene.clone(), Arc::new(code.clone()))),
            ..FinishMint::default()
        };
        self.finish(save).await
    }

    /// Releases a lease, and refunds what was charged with it.
    pub(super) async fn release(&self, row: LeaseRow, is_refunded: bool) -> Result<(), Error> {
        let (row, now) = (Some(row), self.db.now());
        let mint = FinishMint {
            is_refunded,
            ..FinishMint::default()
        };
        self.db.execute(Finish { mint, row, now }).await
    }
}

struct Finish {
    mint: FinishMint,
    /// The row of the lease.
    row: Option<LeaseRow>,
    now: Timestamp,
}

impl BatchCommand for Finish {
    type Output = ();

    const URGENCY: Urgency = Urgency::First;

    async fn execute_all(commands: &[Self], write: &mut Transaction<'_>) -> Result<Vec<()>, Error> {
        let codes: Vec<_> = commands
            .iter()
            .filter_map(|finish| finish.mint.code.as_ref())
            .collect();
        save_all(write, &latest(&codes)).await?;
        let codes = codes.iter().map(|(scene, code)| (scene, &**code));
        remember_all(write, codes).await?;
        if let Some(last) = commands.last() {
            let mints = commands.iter().map(|finish| finish.mint.mints).sum();
            let anonymous = commands.iter().map(|finish| finish.mint.anonymous).sum();
            let refunded = commands
                .iter()
                .filter(|finish| finish.mint.is_refunded)
                .count();
            let counts = [(MINTS, mints), (ANONYMOUS, anonymous)];
            add_to_today(write, last.now, &counts).await?;
            refund_today(write, last.now, refunded).await?;
        }
        let rows: Vec<_> = commands
            .iter()
            .filter_map(|finish| finish.row.as_ref())
            .collect();
        release_leases(write, &rows).await?;
        Ok(vec![(); commands.len()])
    }
}

/// The code of each scene that was minted last.
fn latest<'a>(codes: &[&'a (Scene, Arc<IssuedCode>)]) -> Vec<(&'a Scene, &'a IssuedCode)> {
    let mut latest: BTreeMap<_, &IssuedCode> = BTreeMap::new();
    for (scene, code) in codes {
        let kept = latest.entry(scene).or_insert(code);
        if kept.minted_at() <= code.minted_at() {
            *kept = code;
        }
    }
    latest.into_iter().collect()
}
