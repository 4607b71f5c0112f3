//! The start of temporary mints: look up, lease and charge, in one step for all that wait.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use wechat::Api;
use wechat::scene::Scene;
use wechat::ticket::IssuedCode;

use super::daily_counters::{ANONYMOUS, add_to_today, used_today};
use super::lease::{Lease, LeaseRow, take_leases};
use super::stops::{Stop, find_stop};
use super::store::CodeStore;
use super::temporary::find_all;
use crate::db::{BatchCommand, Error, Transaction};

/// Asks for the right to mint a temporary code.
pub struct BeginMint {
    /// The scene of the code.
    pub scene: Scene,
    /// Whether a stored code makes the mint needless.
    pub is_good_enough: Box<dyn Fn(&IssuedCode) -> bool + Send + Sync>,
    /// How long the right lasts at most.
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

/// What a mint finds.
#[derive(Debug)]
pub struct Begun {
    /// The stored code of the scene, dead or alive.
    pub known: Option<IssuedCode>,
    /// Whether the caller may mint.
    pub right: Right,
}

/// Whether a caller may mint.
#[derive(Debug)]
pub enum Right {
    /// It has no need to: the stored code is good enough.
    Needless,
    /// It may, and is charged.
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
    /// When the store cannot be used.
    pub async fn begin(&self, mint: BeginMint) -> Result<Begun, Error> {
        let begin = Begin {
            store: self.clone(),
            now: self.db.now(),
            row: LeaseRow::new(mint.scene.to_string()),
            mint,
        };
        self.db.execute(begin).await
    }
}

struct Begin {
    store: CodeStore,
    now: Timestamp,
    row: LeaseRow,
    mint: BeginMint,
}

impl BatchCommand for Begin {
    type Output = Begun;

    async fn execute_all(
        commands: &[Self],
        write: &mut Transaction<'_>,
    ) -> Result<Vec<Begun>, Error> {
        let scenes = commands.iter().map(|begin| &begin.mint.scene).collect();
        let known = find_all(write, scenes).await?;
        let needy: Vec<_> = commands
            .iter()
            .filter(|begin| !begin.is_needless(&known))
            .collect();
        let rights = Rights::decide(&needy, write).await?;
        let begun = commands.iter().map(|begin| Begun {
            known: known.get(&begin.mint.scene).cloned(),
            right: if begin.is_needless(&known) {
                Right::Needless
            } else {
                rights.of(begin)
            },
        });
        Ok(begun.collect())
    }
}

impl Begin {
    fn is_needless(&self, known: &HashMap<Scene, IssuedCode>) -> bool {
        let known = known.get(&self.mint.scene);
        known.is_some_and(|code| (self.mint.is_good_enough)(code))
    }

    fn is_within(&self, used: u64) -> bool {
        self.mint.budget.is_none_or(|budget| used < budget)
    }
}

/// What the mints of a group may do.
#[derive(Default)]
struct Rights {
    /// The holders that got their lease.
    holders: HashSet<String>,
    /// The visitors' mints of the day before this group.
    used: u64,
    stop: Option<Stop>,
}

impl Rights {
    /// One lease for each scene, and to visitors no more than the budget has left. Only leases that
    /// are got are charged.
    async fn decide(needy: &[&Begin], write: &mut Transaction<'_>) -> Result<Self, Error> {
        let Some(first) = needy.first() else {
            return Ok(Self::default());
        };
        let used = if needy.iter().any(|begin| begin.mint.budget.is_some()) {
            used_today(write, ANONYMOUS, first.now).await?
        } else {
            0
        };
        let candidates = candidates(needy, used);
        let rows: Vec<_> = candidates.iter().map(|begin| &begin.row).collect();
        let until = first.now + first.mint.length;
        let holders = take_leases(write, &rows, first.now, until).await?;
        let charged = candidates
            .iter()
            .filter(|begin| begin.mint.budget.is_some() && holders.contains(&begin.row.holder));
        let charged = u64::try_from(charged.count()).unwrap_or(u64::MAX);
        add_to_today(write, first.now, &[(ANONYMOUS, charged)]).await?;
        Ok(Self {
            stop: find_stop(write, Api::Create.as_str()).await?,
            holders,
            used,
        })
    }

    fn of(&self, begin: &Begin) -> Right {
        if self.holders.contains(&begin.row.holder) {
            Right::Granted {
                lease: Lease::new(begin.store.clone(), begin.row.clone()),
                stop: self.stop,
            }
        } else if begin.is_within(self.used) {
            // By another replica, or by another mint of the group.
            Right::Leased
        } else {
            Right::BudgetExhausted
        }
    }
}

/// The first mint of each scene that the budget allows.
fn candidates<'a>(needy: &[&'a Begin], used: u64) -> Vec<&'a Begin> {
    let mut scenes = HashSet::new();
    let mut used = used;
    let mut candidates = Vec::with_capacity(needy.len());
    for begin in needy {
        if begin.is_within(used) && scenes.insert(&begin.mint.scene) {
            used += u64::from(begin.mint.budget.is_some());
            candidates.push(*begin);
        }
    }
    candidates
}
