//! The start of temporary mints: look up, lease and charge, batched in one transaction.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use wechat::Api;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use super::daily_counters::{ANONYMOUS, add_to_today, find_today, value_today};
use super::entries::{Entry, entries, find_entries};
use super::lease::{Lease, LeaseRow, find_held, held, take_leases_later};
use super::stops::{Stop, find_stop, stop};
use super::store::CodeStore;
use crate::db::{BatchCommand, Error, Transaction};

/// Parameters of [`CodeStore::begin_mint`], which asks for the right to mint a temporary code.
pub struct BeginMint {
    pub scene: Scene,
    /// Whether a stored code makes the mint needless.
    pub is_good_enough: Box<dyn Fn(&IssuedCode) -> bool + Send + Sync>,
    /// How long the lease lasts at most, if it is not released before.
    pub length: Duration,
    /// The visitors' mints of a day, if a visitor asks: the mint is charged to it.
    pub budget: Option<u64>,
}

impl fmt::Debug for BeginMint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BeginMint")
            .field("scene", &self.scene)
            .finish_non_exhaustive()
    }
}

/// Answer to [`BeginMint`]: the stored code, and whether the caller may mint.
#[derive(Debug)]
pub struct Begun {
    /// The stored code of the scene, expired or not.
    pub known: Option<IssuedCode>,
    pub grant: MintGrant,
}

/// Whether a caller may mint: needless, granted, leased elsewhere, or beyond the budget.
#[derive(Debug)]
pub enum MintGrant {
    /// No mint is needed: the stored code is good enough.
    Needless,
    /// A mint is allowed, and charged.
    Granted {
        /// Keeps other replicas from minting the scene.
        lease: Lease,
        /// What the replicas know of stopped calls.
        stop: Option<Stop>,
    },
    /// Another replica mints the scene.
    Leased,
    /// The visitors' mints of the day are used up.
    BudgetExhausted,
}

impl CodeStore {
    /// Asks for the right to mint a temporary code. Cancel safe: a lease that no caller gets is
    /// released.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn begin_mint(&self, mint: BeginMint) -> Result<Begun, Error> {
        let begin = Begin {
            store: self.clone(),
            now: self.db.now(),
            mint,
        };
        self.db.execute(begin).await
    }
}

struct Begin {
    store: CodeStore,
    now: Timestamp,
    mint: BeginMint,
}

impl BatchCommand for Begin {
    type Output = Begun;

    // All processes with the file are on one machine, so a failure of its power ends the mint too.
    const IS_SYNCED: bool = false;

    async fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> Result<Vec<Begun>, Error> {
        let Some(Begin { now, .. }) = commands.first() else {
            return Ok(Vec::new());
        };
        let scenes: BTreeSet<_> = commands.iter().map(|begin| &begin.mint.scene).collect();
        let names: Vec<_> = scenes.iter().map(|scene| lease_name(scene)).collect();
        let queries = [
            find_entries(write, scenes),
            find_held(write, &names, *now),
            vec![find_today(write.appid(), ANONYMOUS, *now)],
            vec![find_stop(write.appid(), Api::Create.as_str())],
        ];
        let [found, leases, used, stopped] = write.fetch_each(queries).await?;
        let entries = entries(&found)?;
        let needs: Vec<_> = commands
            .iter()
            .map(|begin| begin.needs_one(&entries))
            .collect();
        let minting: Vec<_> = commands
            .iter()
            .enumerate()
            .filter(|(index, _)| needs[*index])
            .collect();
        let mut rights = Rights {
            leases: HashMap::new(),
            used: value_today(&used)?,
            stop: stopped.first().map(stop).transpose()?,
        };
        rights.take(&minting, &held(&leases)?, *now, write).await?;
        let begun = commands.iter().enumerate().map(|(index, begin)| Begun {
            known: begin.known(&entries).cloned(),
            grant: if needs[index] {
                rights.of(index, begin)
            } else {
                MintGrant::Needless
            },
        });
        Ok(begun.collect())
    }
}

impl Begin {
    fn known<'a>(&self, entries: &'a HashMap<Scene, Entry>) -> Option<&'a IssuedCode> {
        match entries.get(&self.mint.scene)? {
            Entry::Code(code) => Some(code),
            Entry::Intent { .. } => None,
        }
    }

    fn needs_one(&self, entries: &HashMap<Scene, Entry>) -> bool {
        let known = self.known(entries);
        !known.is_some_and(|code| (self.mint.is_good_enough)(code))
    }

    fn lease_row(&self) -> LeaseRow {
        let until = self.now + self.mint.length;
        LeaseRow::new(lease_name(&self.mint.scene), until, self.is_charged())
    }

    fn is_charged(&self) -> bool {
        self.mint.budget.is_some()
    }

    fn is_within(&self, used: u64) -> bool {
        self.mint.budget.is_none_or(|budget| used < budget)
    }
}

/// The leases of a batch, and what is left for its other mints.
struct Rights {
    /// Those that were taken, by the index of their command in the batch.
    leases: HashMap<usize, LeaseRow>,
    /// The visitors' mints of the day before these.
    used: u64,
    stop: Option<Stop>,
}

impl Rights {
    /// Takes one lease for each scene that has none, and for visitors no more than the budget has
    /// left, and charges these.
    async fn take(
        &mut self,
        minting: &[(usize, &Begin)],
        held: &HashSet<String>,
        now: Timestamp,
        write: &mut Transaction<'_>,
    ) -> Result<(), Error> {
        let candidates = candidates(minting, held, self.used).into_iter();
        let taken: Vec<_> = candidates
            .map(|(index, begin)| (index, begin.lease_row()))
            .collect();
        let rows: Vec<_> = taken.iter().map(|(_, row)| row).collect();
        take_leases_later(write, &rows).await?;
        let charged = rows.iter().filter(|row| row.is_charged).count();
        let charged = u64::try_from(charged).unwrap_or(u64::MAX);
        add_to_today(write, now, &[(ANONYMOUS, charged)]).await?;
        self.leases = taken.into_iter().collect();
        Ok(())
    }

    fn of(&mut self, index: usize, begin: &Begin) -> MintGrant {
        if let Some(row) = self.leases.remove(&index) {
            MintGrant::Granted {
                lease: Lease::new(begin.store.clone(), row),
                stop: self.stop,
            }
        } else if begin.is_within(self.used) {
            // Another replica or another mint has the lease, or one of these mints had the last of
            // the budget.
            MintGrant::Leased
        } else {
            MintGrant::BudgetExhausted
        }
    }
}

/// The name of a scene's lease.
fn lease_name(scene: &Scene) -> String {
    scene.to_string()
}

/// The first mint of each scene without a lease that the budget allows.
fn candidates<'a>(
    minting: &[(usize, &'a Begin)],
    held: &HashSet<String>,
    used: u64,
) -> Vec<(usize, &'a Begin)> {
    let mut scenes = HashSet::new();
    let mut used = used;
    let mut candidates = Vec::with_capacity(minting.len());
    for &(index, begin) in minting {
        let scene = &begin.mint.scene;
        let is_held = held.contains(&lease_name(scene));
        if !is_held && begin.is_within(used) && scenes.insert(scene) {
            used += u64::from(begin.is_charged());
            candidates.push((index, begin));
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::join_all;
    use wechat::scene::TemporaryScene;
    use wechat::ticket::Life;

    use super::*;
    use crate::clock::SystemClock;
    use crate::codes::sql::fixture::Fails;
    use crate::codes::sql::{FinishMint, MintedCode};
    use crate::db::Command;

    fn grant(begun: Result<Begun, Error>) -> MintGrant {
        begun.unwrap().grant
    }

    fn mint(budget: Option<u64>) -> BeginMint {
        mint_of("7", budget)
    }

    fn mint_of(id: &str, budget: Option<u64>) -> BeginMint {
        BeginMint {
            scene: Scene::Temporary(TemporaryScene::Id(id.parse().unwrap())),
            is_good_enough: Box::new(|_| false),
            length: Duration::from_mins(1),
            budget,
        }
    }

    async fn store() -> CodeStore {
        CodeStore::in_memory(Arc::new(SystemClock)).await
    }

    #[tokio::test]
    async fn a_lease_stands_although_its_first_transaction_was_rolled_back() {
        let store = store().await;
        let (begun, failed) = tokio::join!(store.begin_mint(mint(None)), store.db.execute(Fails));
        assert!(failed.is_err());
        let _held = begun.unwrap();
        // The release of the lease that was rolled back is executed before this.
        for _ in 0..3 {
            let again = store.begin_mint(mint(None)).await.unwrap();
            assert!(matches!(again.grant, MintGrant::Leased), "{again:?}");
        }
    }

    #[tokio::test]
    async fn a_lease_goes_to_the_mint_that_is_charged_for_it() {
        for (budgets, want) in [
            // One scene: a visitor beyond the budget, and a key.
            (
                [("7", Some(0)), ("7", None), ("8", None)],
                ["exhausted", "granted", "granted"],
            ),
            // The last of the budget goes to the first visitor, the lease of the second to a key.
            (
                [("7", Some(1)), ("8", Some(1)), ("8", None)],
                ["granted", "leased", "granted"],
            ),
            // One scene within the budget: the first visitor is charged.
            (
                [("7", Some(1)), ("7", None), ("7", Some(1))],
                ["granted", "leased", "leased"],
            ),
        ] {
            let store = store().await;
            let begun = budgets.map(|(scene, budget)| store.begin_mint(mint_of(scene, budget)));
            let grants = join_all(begun).await.into_iter().map(grant);
            // Dropped leases would be released.
            let grants: Vec<_> = grants.collect();
            let got = grants.iter().map(|grant| match grant {
                MintGrant::Needless => "needless",
                MintGrant::Granted { .. } => "granted",
                MintGrant::Leased => "leased",
                MintGrant::BudgetExhausted => "exhausted",
            });
            assert_eq!(got.collect::<Vec<_>>(), want, "{budgets:?}");
            let charged = budgets.iter().zip(want);
            let charged =
                charged.filter(|((_, budget), got)| budget.is_some() && *got == "granted");
            let (visitors, _) = store.mints_today().await.unwrap();
            assert_eq!(visitors, charged.count() as u64, "{budgets:?}");
        }
    }

    #[tokio::test]
    async fn the_budget_and_the_leases_hold_for_all_mints_of_a_transaction() {
        let store = store().await;
        let begin_all = |ids: Vec<usize>, budget: Option<u64>| {
            let mints = ids.into_iter().map(|id| mint_of(&id.to_string(), budget));
            join_all(mints.map(|mint| store.begin_mint(mint)))
        };
        // After it a group may have 32 commands.
        let _held = begin_all((101..=116).collect(), None).await;
        // The last one asks for the scene of the first.
        let begun = begin_all((1..=20).chain([1]).collect(), Some(18)).await;
        let grants: Vec<_> = begun.into_iter().map(grant).collect();
        let granted: Vec<_> = grants
            .iter()
            .map(|grant| matches!(grant, MintGrant::Granted { .. }))
            .collect();
        assert_eq!(granted, [vec![true; 18], vec![false; 3]].concat());
        assert_eq!(store.mints_today().await.unwrap().0, 18);
        let again = grant(store.begin_mint(mint_of("1", None)).await);
        assert!(matches!(again, MintGrant::Leased), "{again:?}");
    }

    #[tokio::test]
    async fn a_dropped_lease_is_released_and_its_charge_refunded() {
        let store = store().await;
        let begun = store.begin_mint(mint(Some(1))).await.unwrap();
        assert!(
            matches!(begun.grant, MintGrant::Granted { .. }),
            "{begun:?}"
        );
        assert_eq!(store.mints_today().await.unwrap().0, 1);
        drop(begun);
        // The release is a task of its own, so it may come after some of these.
        for _ in 0..100 {
            let again = store.begin_mint(mint(Some(1))).await.unwrap();
            if matches!(again.grant, MintGrant::Granted { .. }) {
                return assert_eq!(store.mints_today().await.unwrap().0, 1);
            }
        }
        unreachable!("neither released nor refunded");
    }

    #[tokio::test]
    async fn a_release_that_is_repeated_refunds_once() {
        let store = store().await;
        let [first, second] = [mint_of("1", Some(5)), mint_of("2", Some(5))];
        let [first, second] = [
            store.begin_mint(first).await,
            store.begin_mint(second).await,
        ]
        .map(grant);
        let (MintGrant::Granted { lease, .. }, MintGrant::Granted { .. }) = (first, &second) else {
            unreachable!("both may mint")
        };
        let row = lease.row().unwrap().clone();
        lease.forget();
        for _ in 0..2 {
            store.release(row.clone()).await.unwrap();
            assert_eq!(store.mints_today().await.unwrap().0, 1);
        }
    }

    /// Never ends, as where the database does not answer.
    struct Hangs;

    impl Command for Hangs {
        type Output = ();

        async fn execute(&self, _: &mut Transaction<'_>) -> Result<(), Error> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_release_is_repeated_until_the_database_takes_it() {
        let store = store().await;
        let MintGrant::Granted { lease, .. } = grant(store.begin_mint(mint(None)).await) else {
            unreachable!("it may mint")
        };
        store.db.execute(Hangs).await.unwrap_err();
        assert!(!store.is_up());
        drop(lease);
        // The release is a task of its own, which finds the database down.
        tokio::task::yield_now().await;
        store.db.ping().await.unwrap();
        let released = async {
            while !matches!(
                grant(store.begin_mint(mint(None)).await),
                MintGrant::Granted { .. }
            ) {}
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), released).await;
        in_time.expect("it is released before the lease ends");
    }

    /// A code that the database does not take.
    fn bad_code() -> MintedCode {
        MintedCode {
            scene: mint(None).scene,
            code: Arc::new(IssuedCode {
                ticket: "ticket".parse().unwrap(),
                url: "http://weixin.qq.com/q/1".parse().unwrap(),
                life: Life::Permanent,
            }),
            is_visitors: false,
        }
    }

    #[tokio::test]
    async fn a_lease_whose_finish_failed_is_released_soon_and_its_charge_kept() {
        let store = store().await;
        let MintGrant::Granted { lease, .. } = grant(store.begin_mint(mint(Some(2))).await) else {
            unreachable!("it may mint")
        };
        let finish = FinishMint {
            minted: Some(bad_code()),
            lease: Some(lease.with_charge_kept()),
            ..FinishMint::default()
        };
        store.finish_mint(finish).await.unwrap_err();
        // The release is a task of its own, so it may come after some of these.
        for _ in 0..100 {
            if let MintGrant::Granted { .. } = grant(store.begin_mint(mint(None)).await) {
                return assert_eq!(store.mints_today().await.unwrap().0, 1);
            }
        }
        unreachable!("not released");
    }
}
