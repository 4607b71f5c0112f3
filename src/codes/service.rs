//! The one use case: a wish for a code becomes the code that we have, or a new one.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::awaited::AwaitedLifetimes;
use super::call::Parts;
use super::error::{Error, MintError, is_free};
use super::lookup::LookUps;
use super::mint::Minter;
use super::request::{Minted, Served, Source, Standing, Wish};
use super::settings::Settings;
use super::single_flight::{Flight, Flights};
use super::sql::Imported;
use super::supplies::Supplies;
use crate::access::{Caller, MissingPermission, Mode, RateLimiter, Requester};
use crate::db;
use crate::scene::{CodeSpec, Lifetime, PermanentScene, Scene};
use crate::telemetry;
use crate::ticket::IssuedCode;

/// How little life a code may have left to be served when a new one cannot be had.
const LEAST_LEFT: Duration = Duration::from_secs(10);

/// How long a caller who waited in vain waits for a last look into the store.
const LAST_LOOK: Duration = Duration::from_millis(300);

/// How many mints of visitors, and how many of keys, may be under way or waiting for their turn. A bound on memory: each
/// is a task of a few kilobytes.
const MOST_FLIGHTS: usize = 4096;

/// Mints under way.
type MintFlights = Flights<Scene, Option<Lifetime>, Minted, MintError>;

/// A mint under way, for the life that it was started for.
type MintFlight = Flight<Option<Lifetime>, Minted, MintError>;

/// Gives codes. One is made at start and shared.
#[derive(Debug)]
pub struct Codes {
    minter: Arc<Minter>,
    /// A visitor's mints and a key's are apart, so that a key never meets a visitor's empty budget or long life.
    visitors_mints: Mints,
    keys_mints: Mints,
    look_ups: LookUps,
    mode: Mode,
    rate: RateLimiter,
    timeout: Duration,
}

/// The mints under way for visitors or for keys.
#[derive(Debug)]
struct Mints {
    flights: MintFlights,
    awaited: Arc<AwaitedLifetimes>,
}

impl Mints {
    fn new(tasks: TaskTracker) -> Self {
        Self {
            flights: Flights::new(tasks),
            awaited: Arc::default(),
        }
    }
}

impl Codes {
    /// The tracker sees the mints, so that a shutdown can wait for them.
    pub fn new(parts: Parts, settings: Settings, tasks: TaskTracker) -> Self {
        Self {
            mode: settings.mode,
            rate: RateLimiter::new(settings.visitor_rate, Arc::clone(&parts.clock)),
            minter: Arc::new(Minter::new(parts, settings, tasks.clone())),
            visitors_mints: Mints::new(tasks.clone()),
            keys_mints: Mints::new(tasks),
            look_ups: LookUps::new(),
            timeout: settings.timeout,
        }
    }

    /// The code for a wish: the one we have if enough of its life is left, else a new one, else whatever still lives.
    /// Cancel safe: a mint goes on without its caller.
    ///
    /// # Errors
    /// [`Error`], once no living code is left to serve.
    pub async fn issue(&self, spec: &CodeSpec, caller: &Caller) -> Result<Served, Error> {
        let requester = match spec {
            CodeSpec::Temporary { .. } => caller.authorize_mint(self.mode),
            CodeSpec::Permanent { .. } => caller.authorize_permanent_mint(),
        };
        self.issue_to(spec, requester).await
    }

    /// The same for the account's owner, who may have every code made and pays for none.
    ///
    /// # Errors
    /// [`Error`], once no living code is left to serve.
    pub async fn issue_for_owner(&self, spec: &CodeSpec) -> Result<Served, Error> {
        self.issue_to(spec, Ok(Requester::Key)).await
    }

    async fn issue_to(
        &self,
        spec: &CodeSpec,
        requester: Result<Requester, MissingPermission>,
    ) -> Result<Served, Error> {
        let wish = Wish {
            spec: spec.clone(),
            arrived: self.minter.now(),
        };
        if let Some(minted) = self.minter.remember(&wish) {
            return Ok(self.served(minted, &wish));
        }
        let obtained = tokio::time::timeout(self.timeout, self.obtain(&wish, requester)).await;
        match obtained.unwrap_or(Err(Error::Timeout)) {
            Ok(minted) => Ok(self.served(minted, &wish)),
            Err(error) => self.fall_back(&wish.spec.scene(), error).await,
        }
    }

    /// From WeChat if somebody pays, else from the store.
    async fn obtain(
        &self,
        wish: &Wish,
        requester: Result<Requester, MissingPermission>,
    ) -> Result<Minted, Error> {
        let refusal = match requester {
            Err(needed) => Error::MintNotAllowed(needed),
            Ok(requester) => match self.join_mints(wish, requester).await {
                Err(refusal @ (Error::RateLimited(_) | Error::BudgetExhausted(_))) => refusal,
                result => return result,
            },
        };
        self.look_up(wish).await?.ok_or(refusal)
    }

    /// From the store, for a caller who may not mint. What is found but too old for the wish is known from now on.
    async fn look_up(&self, wish: &Wish) -> Result<Option<Minted>, Error> {
        let scene = wish.spec.scene();
        if let Some(code) = self.look_ups.find(&scene, self.minter.store()).await? {
            self.minter.known.keep(&scene, code);
        }
        let found = self.minter.remember(wish);
        Ok(found.map(|minted| Minted {
            source: Source::Store,
            ..minted
        }))
    }

    /// Joins mints of the scene until one was asked for at least our life: ours, at the latest, once we start it. A failure
    /// that only the starter's wish brought about is none of ours.
    async fn join_mints(&self, wish: &Wish, requester: Requester) -> Result<Minted, Error> {
        let scene = wish.spec.scene();
        let mints = self.mints(requester);
        // Registered after the first mint whose lifetime is too short, so that the next one asks for at least this lifetime.
        let mut awaited = None;
        loop {
            let (flight, started) = self.fly(wish, requester)?;
            let about = flight.about;
            let long_enough = about >= wish.spec.lifetime();
            if !long_enough && awaited.is_none() {
                let lifetime = wish.spec.lifetime();
                awaited = lifetime.map(|lifetime| mints.awaited.add(&scene, lifetime));
            }
            match flight.landed().await? {
                Ok(minted) if started => return Ok(minted),
                Ok(minted) if long_enough || self.minter.will_do(&minted.code, wish) => {
                    return Ok(Minted {
                        source: Source::Joined,
                        ..minted
                    });
                }
                Err(error) if started || error.concerns(about, wish) => {
                    return Err(Error::Mint(error));
                }
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// Joins a mint in flight, which is free, or starts one, which is charged to the requester.
    fn fly(&self, wish: &Wish, requester: Requester) -> Result<(MintFlight, bool), Error> {
        let mints = self.mints(requester);
        let under_way = mints.flights.len();
        let scene = wish.spec.scene();
        let ours = wish.for_at_least(mints.awaited.longest(&scene));
        let lifetime = ours.spec.lifetime();
        let start = || {
            if under_way >= MOST_FLIGHTS {
                return Err(Error::TooMany);
            }
            let toll = match requester {
                Requester::Key => None,
                Requester::Visitor(visitor) => {
                    self.minter.budget.check(self.minter.now())?;
                    Some(self.rate.try_acquire(visitor)?)
                }
            };
            let minter = Arc::clone(&self.minter);
            let awaited = lifetime.map(|lifetime| mints.awaited.add(&scene, lifetime));
            Ok(async move {
                let result = minter.obtain(&ours, requester).await;
                drop(awaited);
                if let Some(toll) = toll.filter(|_| is_free(&result)) {
                    toll.refund();
                }
                result
            })
        };
        let concerns = |about: &Option<Lifetime>, error: &MintError| error.concerns(*about, wish);
        mints
            .flights
            .try_join_or_start(&scene, lifetime, concerns, start)
    }

    fn mints(&self, requester: Requester) -> &Mints {
        match requester {
            Requester::Key => &self.keys_mints,
            Requester::Visitor(_) => &self.visitors_mints,
        }
    }

    /// A fault is no fault for a visitor whose code we have, in memory or from before a restart.
    async fn fall_back(&self, scene: &Scene, error: Error) -> Result<Served, Error> {
        let living = match self.living(self.minter.known.get(scene)) {
            Some(code) => Some(code),
            None => self.living(self.last_look(scene, &error).await),
        };
        telemetry::code_lookup(if living.is_some() { "stale" } else { "refused" });
        living
            .map(|code| Served {
                code,
                standing: Standing::Stale,
                source: Source::Memory,
            })
            .ok_or(error)
    }

    fn living(&self, code: Option<Arc<IssuedCode>>) -> Option<Arc<IssuedCode>> {
        let now = self.minter.now();
        code.filter(|code| code.left(now).is_none_or(|left| left >= LEAST_LEFT))
    }

    /// Into the store, for a caller whose wish did not get as far as that.
    async fn last_look(&self, scene: &Scene, error: &Error) -> Option<Arc<IssuedCode>> {
        let store = self.minter.store();
        if !matches!(error, Error::Timeout | Error::TooMany) || !store.is_up() {
            return None;
        }
        let look = self.look_ups.find(scene, store);
        let found = tokio::time::timeout(LAST_LOOK, look).await.ok()?;
        found.ok().flatten()
    }

    fn served(&self, minted: Minted, wish: &Wish) -> Served {
        telemetry::code_lookup(minted.source.as_str());
        let floor = self.minter.floor(&minted.code, wish);
        Served {
            code: minted.code,
            standing: Standing::Fresh { floor },
            source: minted.source,
        }
    }

    /// Records a permanent code that was minted elsewhere. What is recorded already is not changed.
    ///
    /// # Errors
    /// When something else is recorded, or the store cannot be used: then nothing was recorded.
    pub async fn import(&self, scene: &PermanentScene, code: IssuedCode) -> Result<Served, Error> {
        let source = match self.minter.store().import(scene, &code).await? {
            Imported::New => Source::Minted,
            Imported::Known => Source::Store,
            Imported::Conflict(conflict) => return Err(Error::ImportConflict(conflict)),
        };
        let code = Arc::new(code);
        self.minter
            .known
            .keep(&Scene::Permanent(scene.clone()), Arc::clone(&code));
        Ok(Served {
            code,
            standing: Standing::Fresh {
                floor: Duration::ZERO,
            },
            source,
        })
    }

    /// Tells the store what it missed while it could not be used. Does nothing while it cannot be, or has missed nothing.
    pub async fn catch_up(&self) {
        self.minter.catch_up().await;
    }

    /// What is left of the day's visitors' mints and of the permanent stock, from the store; also tells the metrics.
    ///
    /// # Errors
    /// When the store cannot be used.
    pub async fn supplies(&self) -> Result<Supplies, db::Error> {
        self.minter.supplies().await
    }
}
