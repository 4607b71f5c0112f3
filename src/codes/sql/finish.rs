//! The end of temporary mints: save, count and release, batched in one transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use super::daily_counters::{ANONYMOUS, MINTS, add_to_today, refund_today};
use super::lease::{Lease, LeaseRow, release_leases, release_leases_later};
use super::store::CodeStore;
use super::temporary::save_all;
use super::tickets::{NewTicket, record_tickets};
use crate::db::{BatchCommand, Error, Transaction, Urgency};

/// Parameters of [`CodeStore::finish_mint`]: the code to store and count, and the lease to release.
#[derive(Debug, Default)]
pub struct FinishMint {
    /// The code that was minted, whose mint is counted.
    pub minted: Option<MintedCode>,
    /// The lease that is no longer needed. What was charged with it is refunded, unless its charge
    /// is kept.
    pub lease: Option<Lease>,
    /// Mints of the day that are counted without a code: a repeat counts them again.
    pub uncounted: UncountedMints,
}

/// A temporary code that was minted.
#[derive(Debug, Clone)]
pub struct MintedCode {
    pub scene: Scene,
    /// The code, which takes the place of the one before it.
    pub code: Arc<IssuedCode>,
    /// Whether it is counted as a visitor's too, beyond the budget if need be.
    pub is_visitors: bool,
}

/// Mints to be counted for the day without their codes, which are not stored: the write-behind
/// queue was full, the database can never take the code, or it was the doctor's.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct UncountedMints {
    /// Of keys and visitors together.
    pub mints: u64,
    /// Those among them that are visitors'.
    pub anonymous: u64,
}

impl UncountedMints {
    /// Adds the mint of a code that is not stored.
    pub fn add(&mut self, minted: &MintedCode) {
        self.mints += 1;
        self.anonymous += u64::from(minted.is_visitors);
    }
}

impl CodeStore {
    /// Stores and counts a minted code, and releases its lease. Of two codes of a scene the one
    /// that was minted later stays, and the tickets of both are remembered. A code that is written
    /// again counts once. Cancel safe: all is written or nothing, and the lease is released soon.
    ///
    /// # Errors
    /// When the database cannot be used. Then the lease is released by the next chance.
    pub async fn finish_mint(&self, mint: FinishMint) -> Result<(), Error> {
        let finish = Finish {
            minted: mint.minted,
            row: mint.lease.as_ref().and_then(Lease::row).cloned(),
            uncounted: mint.uncounted,
            now: self.db.now(),
        };
        self.db.execute(finish).await?;
        if let Some(lease) = mint.lease {
            lease.forget();
        }
        Ok(())
    }

    /// Keeps a temporary code, as [`CodeStore::finish_mint`] does.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn save(&self, scene: &Scene, code: &IssuedCode) -> Result<(), Error> {
        let minted = MintedCode {
            scene: scene.clone(),
            code: Arc::new(code.clone()),
            is_visitors: false,
        };
        let save = FinishMint {
            minted: Some(minted),
            ..FinishMint::default()
        };
        self.finish_mint(save).await
    }

    /// Releases a lease, and refunds what was charged with it. A repeat refunds nothing.
    pub(super) async fn release(&self, row: LeaseRow) -> Result<(), Error> {
        let release = Finish {
            minted: None,
            row: Some(row),
            uncounted: UncountedMints::default(),
            now: self.db.now(),
        };
        self.db.execute(release).await
    }
}

struct Finish {
    minted: Option<MintedCode>,
    row: Option<LeaseRow>,
    uncounted: UncountedMints,
    now: Timestamp,
}

impl BatchCommand for Finish {
    type Output = ();

    const URGENCY: Urgency = Urgency::First;

    async fn execute_all(commands: &[Self], write: &mut Transaction<'_>) -> Result<Vec<()>, Error> {
        let Some(Finish { now, .. }) = commands.last() else {
            return Ok(Vec::new());
        };
        let minted = commands.iter().filter_map(|finish| finish.minted.as_ref());
        let minted: Vec<_> = minted.collect();
        save_all(write, &latest(&minted)).await?;
        let tickets = minted.iter().map(|minted| minted.new_ticket());
        record_tickets(write, *now, tickets).await?;
        let rows = commands.iter().filter_map(|finish| finish.row.as_ref());
        let (charged, free): (Vec<_>, Vec<_>) = rows.partition(|row| row.is_charged);
        release_leases_later(write, &free).await?;
        // A lease that is gone was refunded before.
        let refunded = release_leases(write, &charged).await?;
        let uncounted = uncounted(commands);
        let counts = [(MINTS, uncounted.mints), (ANONYMOUS, uncounted.anonymous)];
        add_to_today(write, *now, &counts).await?;
        refund_today(write, *now, refunded).await?;
        Ok(vec![(); commands.len()])
    }
}

impl MintedCode {
    fn new_ticket(&self) -> NewTicket<'_> {
        NewTicket {
            scene: &self.scene,
            code: &self.code,
            counters: if self.is_visitors {
                &[MINTS, ANONYMOUS]
            } else {
                &[MINTS]
            },
        }
    }
}

/// The code of each scene that was minted last.
fn latest<'a>(minted: &[&'a MintedCode]) -> Vec<(&'a Scene, &'a IssuedCode)> {
    let mut latest: BTreeMap<_, &IssuedCode> = BTreeMap::new();
    for MintedCode { scene, code, .. } in minted {
        let kept = latest.entry(scene).or_insert(code);
        if kept.minted_at() <= code.minted_at() {
            *kept = code;
        }
    }
    latest.into_iter().collect()
}

/// Sums up the mints that are counted without codes.
fn uncounted(commands: &[Finish]) -> UncountedMints {
    let mut sum = UncountedMints::default();
    for Finish { uncounted, .. } in commands {
        sum.mints += uncounted.mints;
        sum.anonymous += uncounted.anonymous;
    }
    sum
}
