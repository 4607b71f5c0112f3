//! Issues codes: the one we have if it is fresh enough, else a new one, else a stale one.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;
use wechat::Api;
use wechat::scene::{CodeSpec, Lifetime, PermanentScene, Scene};
use wechat::ticket::{IssuedCode, Life};

use super::awaited::AwaitedLifetimes;
use super::call::MintDependencies;
use super::error::{Error, MintError, is_free};
use super::lookup::Lookups;
use super::mint::Minter;
use super::request::{CodeRequest, Freshness, Issued, Obtained, Source};
use super::settings::IssueSettings;
use super::single_flight::{Call, SingleFlight};
use super::sql::Imported;
use super::supplies::Supplies;
use crate::access::{Caller, Key, MissingPermission, Mode, Requester};
use crate::db;
use crate::telemetry;

/// The least remaining lifetime of a code that is served stale.
const MIN_REMAINING: Duration = Duration::from_secs(10);

/// How long a caller that timed out waits for a last read of the database.
const LAST_READ_TIMEOUT: Duration = Duration::from_millis(300);

type MintCalls = SingleFlight<Scene, Option<Lifetime>, Obtained, MintError>;

/// A mint in flight; its context is the lifetime that it was started for.
type MintCall = Call<Option<Lifetime>, Obtained, MintError>;

/// Issues codes: a cached one, a new one, or a stale one. The entry point of this room; one is made
/// at start and shared.
#[derive(Debug)]
pub struct Codes {
    minter: Arc<Minter>,
    /// Visitors' mints and keys' are apart, so that a key never joins a mint that a visitor's
    /// empty budget or long lifetime stops.
    visitors_mints: Mints,
    keys_mints: Mints,
    look_ups: Lookups,
    mode: Mode,
    timeout: Duration,
}

/// The mints in flight for visitors or for keys.
#[derive(Debug)]
struct Mints {
    calls: MintCalls,
    awaited: Arc<AwaitedLifetimes>,
}

impl Mints {
    fn new(tasks: TaskTracker) -> Self {
        Self {
            calls: SingleFlight::new(tasks),
            awaited: Arc::default(),
        }
    }
}

impl Codes {
    /// Creates the service. Mints run on `tasks`, so that a shutdown can wait for them.
    pub fn new(deps: MintDependencies, settings: IssueSettings, tasks: TaskTracker) -> Self {
        Self {
            mode: settings.mode,
            minter: Arc::new(Minter::new(deps, settings, tasks.clone())),
            visitors_mints: Mints::new(tasks.clone()),
            keys_mints: Mints::new(tasks),
            look_ups: Lookups::new(),
            timeout: settings.timeout,
        }
    }

    /// Issues the code for a request: the known one if it is fresh enough, else a new one, else a
    /// known one that has not expired (serve-stale). Cancel safe: a mint goes on without its
    /// caller.
    ///
    /// # Errors
    /// [`Error`], if there is no unexpired code to serve.
    pub async fn issue(&self, spec: &CodeSpec, caller: &Caller) -> Result<Issued, Error> {
        let requester = match spec {
            CodeSpec::Temporary { .. } => caller.authorize_mint(self.mode),
            CodeSpec::Permanent { .. } => caller.authorize_permanent_mint(),
        };
        self.issue_to(spec, requester, caller.key.clone()).await
    }

    /// Returns the code of a scene to a key, however little of its lifetime is left, unless it is
    /// about to end. Creates none. Cancel safe.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn existing(&self, scene: &Scene) -> Result<Option<Issued>, Error> {
        let kept = |code: Arc<IssuedCode>, source: Source| {
            telemetry::code_lookup(source.as_str());
            let floor = match code.life {
                Life::Permanent => Duration::ZERO,
                Life::Temporary { .. } => MIN_REMAINING,
            };
            Issued {
                code,
                freshness: Freshness::Fresh { floor },
                source,
            }
        };
        if let Some(code) = self.unexpired(self.minter.cache.get(scene)) {
            return Ok(Some(kept(code, Source::Memory)));
        }
        // Not by the lookups of callers who may not mint, which a crowd of strangers may use up.
        let unexpired = self.unexpired(self.minter.read_stored(scene).await?);
        Ok(unexpired.map(|code| kept(code, Source::Database)))
    }

    /// Issues a code to the account's owner, who may mint every code and is not charged.
    ///
    /// # Errors
    /// [`Error`], if there is no unexpired code to serve.
    pub async fn issue_for_owner(&self, spec: &CodeSpec) -> Result<Issued, Error> {
        self.issue_to(spec, Ok(Requester::Key), None).await
    }

    async fn issue_to(
        &self,
        spec: &CodeSpec,
        requester: Result<Requester, MissingPermission>,
        key: Option<Arc<Key>>,
    ) -> Result<Issued, Error> {
        let request = CodeRequest {
            spec: spec.clone(),
            arrived: self.minter.now(),
            key,
        };
        if let Some(minted) = self.minter.cached(&request) {
            return Ok(self.issued(minted, &request));
        }
        // Boxed, so that the future of a request for a known code is small.
        let obtained = Box::pin(self.obtain(&request, requester));
        let obtained = tokio::time::timeout(self.timeout, obtained).await;
        match obtained.unwrap_or(Err(Error::Timeout)) {
            Ok(minted) => Ok(self.issued(minted, &request)),
            Err(error) => self.serve_stale(&request.spec.scene(), error).await,
        }
    }

    /// Obtains a code: by a mint, or from the database if the requester may not mint or a limit
    /// refuses.
    async fn obtain(
        &self,
        request: &CodeRequest,
        requester: Result<Requester, MissingPermission>,
    ) -> Result<Obtained, Error> {
        let refusal = match requester {
            Err(needed) => Error::MintNotAllowed(needed),
            Ok(requester) => match self.join_mints(request, requester).await {
                Err(refusal @ (Error::RateLimited(_) | Error::BudgetExhausted(_))) => refusal,
                result => return result,
            },
        };
        self.look_up(request).await?.ok_or(refusal)
    }

    /// Reads the stored code for a caller who may not mint. It is cached even if it is too old for
    /// the request, because it may be served stale.
    async fn look_up(&self, request: &CodeRequest) -> Result<Option<Obtained>, Error> {
        let scene = request.spec.scene();
        if let Some(code) = self.look_ups.find(&scene, self.minter.store()).await? {
            self.minter.cache.keep(&scene, code);
        }
        let found = self.minter.cached(request);
        Ok(found.map(|minted| Obtained {
            source: Source::Database,
            ..minted
        }))
    }

    /// Joins mints of the scene until one was asked for at least this request's lifetime: at the
    /// latest the one that this request starts. A failure whose cause is another request is not
    /// returned.
    async fn join_mints(
        &self,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<Obtained, Error> {
        let scene = request.spec.scene();
        let mints = self.mints(requester);
        // Registered after the first mint whose lifetime is too short, so that the next one asks
        // for at least this lifetime.
        let mut awaited = None;
        loop {
            let (call, started) = self.join_or_start(request, requester)?;
            let context = call.context;
            let long_enough = context >= request.spec.lifetime();
            if !long_enough && awaited.is_none() {
                let lifetime = request.spec.lifetime();
                awaited = lifetime.map(|lifetime| mints.awaited.add(&scene, lifetime));
            }
            match call.wait().await {
                Ok(minted) if started => return Ok(minted),
                Ok(minted) if long_enough || self.minter.satisfies(&minted.code, request) => {
                    return Ok(Obtained {
                        source: Source::Joined,
                        ..minted
                    });
                }
                Err(error) if started || error.concerns(context, request) => {
                    return Err(Error::Mint(error));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Joins a mint in flight, which costs nothing, or starts one, which takes a token of the
    /// visitor's rate.
    fn join_or_start(
        &self,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<(MintCall, bool), Error> {
        let mints = self.mints(requester);
        let in_flight = mints.calls.len();
        let scene = request.spec.scene();
        let ours = request.for_at_least(mints.awaited.longest(&scene));
        let lifetime = ours.spec.lifetime();
        let start = || {
            let rate_token = self.minter.admission.start(requester, in_flight)?;
            let minter = Arc::clone(&self.minter);
            let awaited = lifetime.map(|lifetime| mints.awaited.add(&scene, lifetime));
            Ok(async move {
                let result = minter.obtain(&ours, requester).await;
                drop(awaited);
                if let Some(rate_token) = rate_token.filter(|_| is_free(&result)) {
                    rate_token.refund();
                }
                result
            })
        };
        let concerns =
            |context: &Option<Lifetime>, error: &MintError| error.concerns(*context, request);
        mints
            .calls
            .try_join_or_start(&scene, lifetime, concerns, start)
    }

    fn mints(&self, requester: Requester) -> &Mints {
        match requester {
            Requester::Key => &self.keys_mints,
            Requester::Visitor(_) => &self.visitors_mints,
        }
    }

    /// Serves an unexpired code instead of an error, from memory or from the database.
    async fn serve_stale(&self, scene: &Scene, error: Error) -> Result<Issued, Error> {
        let stale = match self.unexpired(self.minter.cache.get(scene)) {
            Some(code) => Some((code, Source::Memory)),
            None => self
                .unexpired(self.last_read(scene, &error).await)
                .map(|code| (code, Source::Database)),
        };
        telemetry::code_lookup(if stale.is_some() { "stale" } else { "refused" });
        stale
            .map(|(code, source)| Issued {
                code,
                freshness: Freshness::Stale,
                source,
            })
            .ok_or(error)
    }

    fn unexpired(&self, code: Option<Arc<IssuedCode>>) -> Option<Arc<IssuedCode>> {
        let now = self.minter.now();
        code.filter(|code| code.left(now).is_none_or(|left| left >= MIN_REMAINING))
    }

    /// Reads the database, for a request that did not get as far as that.
    async fn last_read(&self, scene: &Scene, error: &Error) -> Option<Arc<IssuedCode>> {
        let store = self.minter.store();
        if !matches!(error, Error::Timeout | Error::TooMany) || !store.is_up() {
            return None;
        }
        let read = self.look_ups.find(scene, store);
        let found = tokio::time::timeout(LAST_READ_TIMEOUT, read).await.ok()?;
        found.ok().flatten()
    }

    fn issued(&self, minted: Obtained, request: &CodeRequest) -> Issued {
        telemetry::code_lookup(minted.source.as_str());
        let floor = self.minter.floor(&minted.code, request);
        Issued {
            code: minted.code,
            freshness: Freshness::Fresh { floor },
            source: minted.source,
        }
    }

    /// Records a permanent code that was minted elsewhere. What is recorded already is not changed.
    ///
    /// # Errors
    /// When something else is recorded, or the database cannot be used: then nothing was recorded.
    pub async fn import(
        &self,
        scene: &PermanentScene,
        code: IssuedCode,
        caller: &Caller,
    ) -> Result<Issued, Error> {
        let created_by = caller.key.as_ref().map(|key| key.name().into());
        let import = self.minter.store().import(scene, &code, created_by);
        let source = match import.await? {
            Imported::New => Source::Minted,
            Imported::Known => Source::Database,
            Imported::Conflict(conflict) => return Err(Error::ImportConflict(conflict)),
        };
        let code = Arc::new(code);
        self.minter
            .cache
            .keep(&Scene::Permanent(scene.clone()), Arc::clone(&code));
        Ok(Issued {
            code,
            freshness: Freshness::Fresh {
                floor: Duration::ZERO,
            },
            source,
        })
    }

    /// Counts the mints of this process that are in flight, or failed within the last second.
    pub fn mints_in_flight(&self) -> usize {
        self.keys_mints.calls.len() + self.visitors_mints.calls.len()
    }

    /// Writes the codes and counts that the database missed while it was down. Does nothing while
    /// it still is.
    pub async fn catch_up(&self) {
        self.minter.catch_up().await;
    }

    /// Reads which calls the replicas have stopped or resumed, for the metrics: without a mint this
    /// process would not see it.
    pub async fn refresh_stops(&self) {
        for api in [Api::Token, Api::Create] {
            self.minter.deps.breaker.refresh(api).await;
        }
    }

    /// Reads what is left of the day's visitors' mints and of the permanent stock; also sets the
    /// gauges of the stock.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn supplies(&self) -> Result<Supplies, db::Error> {
        self.minter.supplies().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<F>(
        _: impl Fn(&'static Codes, &'static CodeSpec, &'static Caller) -> F,
    ) -> usize {
        size_of::<F>()
    }

    #[test]
    fn the_future_of_a_request_is_small() {
        // Each layer around the handler moves it.
        let size = future_size(Codes::issue);
        assert!(size <= 1024, "{size} bytes");
    }
}
