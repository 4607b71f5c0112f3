//! `Minter`: the parts that temporary and permanent mints share, such as the cache, the gates and
//! the log line.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use wechat::MAX_CALL;
use wechat::scene::{CodeSpec, PermanentScene, Scene};
use wechat::ticket::IssuedCode;

use super::admission::Admission;
use super::breaker::Priority;
use super::cache::CodeCache;
use super::call::MintDependencies;
use super::error::MintError;
use super::request::{CodeRequest, Obtained, Source};
use super::settings::IssueSettings;
use super::sql::{CodeStore, REPEAT_AFTER};
use super::supplies::Supplies;
use super::unsaved::Unsaved;
use crate::access::Requester;
use crate::db;
use crate::telemetry;

/// How long a mint may take, even if no caller waits any more.
pub(crate) const MINT_TIMEOUT: Duration = Duration::from_secs(30);

/// One call, with all its attempts, fits into a mint.
const _: () = assert!(MAX_CALL.as_millis() < MINT_TIMEOUT.as_millis());

/// How far a replica's clock may be from the database's, so that a lease or an intent of one means
/// the same to another. Two replicas are then twice as far apart at most.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5);

/// A mint of unknown outcome has ended before another replica repeats it.
const _: () = assert!(
    MINT_TIMEOUT.as_secs() + 2 * CLOCK_TOLERANCE.as_secs() <= REPEAT_AFTER.as_secs(),
    "a mint may be repeated while it goes on"
);

/// How many mints of unknown outcome are remembered. Beyond it a caller only waits longer for the
/// same answer.
const MOST_ENDED_UNKNOWN: u64 = 10_000;

/// Mints codes, and keeps them in the cache and the database.
#[derive(Debug)]
pub(super) struct Minter {
    pub(super) deps: MintDependencies,
    pub(super) settings: IssueSettings,
    pub(super) admission: Admission,
    /// In front of the database. A mint puts its code here itself, in case no caller waits any
    /// more.
    pub(super) cache: CodeCache,
    pub(super) unsaved: Unsaved,
    /// Runs writes of results that no caller waits for any more.
    pub(super) tasks: TaskTracker,
    /// Permanent codes whose mint ended in this process without a known outcome, for as long as
    /// other replicas may take it for running.
    pub(super) ended_unknown: Cache<PermanentScene, ()>,
    /// Permanent codes that were made and are not in the ledger yet.
    pub(super) unwritten: Cache<PermanentScene, ()>,
}

impl Minter {
    pub(super) fn new(deps: MintDependencies, settings: IssueSettings, tasks: TaskTracker) -> Self {
        let admission = Admission::new(settings, &deps.clock);
        Self {
            deps,
            settings,
            admission,
            cache: CodeCache::new(settings.cache_entries),
            unsaved: Unsaved::default(),
            tasks,
            ended_unknown: Cache::builder()
                .max_capacity(MOST_ENDED_UNKNOWN)
                .time_to_live(MINT_TIMEOUT)
                .build(),
            unwritten: Cache::new(MOST_ENDED_UNKNOWN),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.deps.clock.now()
    }

    pub(super) fn store(&self) -> &CodeStore {
        &self.deps.store
    }

    /// The code of a request, if the cache has one that satisfies it.
    pub(super) fn cached(&self, request: &CodeRequest) -> Option<Obtained> {
        let known = self.cache.get(&request.spec.scene())?;
        self.satisfies(&known, request).then_some(Obtained {
            code: known,
            source: Source::Memory,
        })
    }

    pub(super) fn satisfies(&self, code: &IssuedCode, request: &CodeRequest) -> bool {
        request.is_met_by(code, self.settings.reuse, self.now())
    }

    pub(super) fn floor(&self, code: &IssuedCode, request: &CodeRequest) -> Duration {
        self.settings.reuse.floor(code, request.spec.lifetime())
    }

    /// Obtains the stored code or a new one, and caches it. Logs the mint once for all who wait.
    pub(super) async fn obtain(
        &self,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<Obtained, MintError> {
        let started = Instant::now();
        let result = match &request.spec {
            CodeSpec::Temporary { scene, .. } => self.temporary(scene, request, requester).await,
            CodeSpec::Permanent { scene } => self.permanent(scene, request).await,
        };
        let scene = request.spec.scene();
        match &result {
            Ok(minted) => {
                self.cache.keep(&scene, Arc::clone(&minted.code));
                if minted.source == Source::Minted {
                    log_mint(&scene, started.elapsed());
                }
            }
            Err(error) => error.log(&scene),
        }
        result
    }

    /// Writes the codes that were minted while the database was down.
    pub(super) async fn catch_up(&self) {
        if self.store().is_up() {
            // The database logs its own failure; what it did not take stays in memory.
            self.unsaved.flush(self.store()).await.ok();
        }
    }

    pub(super) async fn supplies(&self) -> Result<Supplies, db::Error> {
        let (anonymous, mints_today) = self.store().mints_today().await?;
        let stock = self.store().stock().await?;
        let permanent_limit = self.settings.permanent_limit;
        telemetry::permanent_stock(stock.used, permanent_limit);
        Ok(Supplies {
            mints_today,
            budget: self.admission.budget.a_day(),
            budget_left: self.admission.budget.left_after(anonymous),
            stock,
            permanent_limit,
        })
    }
}

fn log_mint(scene: &Scene, took: Duration) {
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // The service's own scenes are secrets of bindings.
    let logged_scene = Some(scene.value()).filter(|_| !scene.is_reserved());
    let scene_field = logged_scene.map(tracing::field::debug);
    tracing::info!(kind = %scene.kind(), scene = scene_field, duration_ms, "code created");
}

/// Returns the priority of a requester's calls: high for keys, low for visitors.
pub(super) fn priority(requester: Requester) -> Priority {
    match requester {
        Requester::Key => Priority::High,
        Requester::Visitor(_) => Priority::Low,
    }
}
