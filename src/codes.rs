//! The one use case: a wish for a code becomes the code that we have, or a new one.
//!
//! Read [`Codes::issue`] first. Free of HTTP. However many ask for a scene at once, one task mints it, and it goes on
//! when they hang up.

mod freshness;
mod mint;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::task::TaskTracker;

pub use self::freshness::Reuse;
pub use self::mint::MintError;

use self::mint::Minter;
use crate::access::{Caller, Scope};
use crate::account::Account;
use crate::clock::Clock;
use crate::flight::{Flight, Flights, Lost};
use crate::scene::{CodeSpec, Lifetime, Scene};
use crate::store::{self, Store};
use crate::telemetry;
use crate::ticket::IssuedCode;
use crate::token::Tokens;
use crate::wechat::WeChat;

/// How little life a code may have left to be served when a new one cannot be had.
const LEAST_LEFT: Duration = Duration::from_secs(10);

/// How many mints may be under way or waiting for their turn. A bound on memory: each is a task of a few kilobytes.
const MOST_FLIGHTS: usize = 4096;

/// A mint under way, for the life that it was started for.
type MintFlight = Flight<Option<Lifetime>, Arc<IssuedCode>, MintError>;

/// What the use case needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// When a ticket that we have is good enough.
    pub reuse: Reuse,
    /// What one visitor waits at most, all calls and retries together.
    pub timeout: Duration,
}

/// The rooms below.
#[derive(Debug, Clone)]
pub struct Parts {
    /// The client.
    pub wechat: Arc<WeChat>,
    /// The access token.
    pub tokens: Arc<Tokens>,
    /// The account's faults and quotas.
    pub account: Arc<Account>,
    /// Where codes are kept.
    pub store: Arc<Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// Gives codes. One is made at start and shared.
#[derive(Debug)]
pub struct Codes {
    minter: Arc<Minter>,
    flights: Flights<Scene, Option<Lifetime>, Arc<IssuedCode>, MintError>,
    settings: Settings,
}

/// A code for a caller.
#[derive(Debug, Clone)]
pub struct Served {
    /// The code.
    pub code: Arc<IssuedCode>,
    /// What it may be used for by a cache.
    pub standing: Standing,
}

/// How good a served code is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Good for such a wish until this little of its life is left (zero for a permanent code).
    Fresh {
        /// The freshness floor of the wish.
        floor: Duration,
    },
    /// Alive, but served only because a new one cannot be had: not to be kept.
    Stale,
}

/// Why a caller gets no code.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A permanent code that does not exist yet, for a caller without the scope `permanent`.
    #[error("only a key with the scope \"permanent\" may make a permanent code")]
    MintNotAllowed,
    /// The mint failed; shared by all who waited for it.
    #[error(transparent)]
    Mint(Arc<MintError>),
    /// No code within the time that a caller waits. The mint goes on.
    #[error("no code in time")]
    Timeout,
    /// More mints are under way than we keep in memory.
    #[error("too many codes are being made")]
    TooMany,
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A defect of ours.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl Codes {
    /// The tracker sees the mints, so that a shutdown can wait for them.
    pub fn new(parts: Parts, settings: Settings, tasks: TaskTracker) -> Self {
        let minter = Arc::new(Minter::new(parts, settings.reuse));
        Self {
            minter,
            flights: Flights::new(tasks),
            settings,
        }
    }

    /// The code for a wish: the one we have if enough of its life is left, else a new one, else whatever still lives.
    /// Cancel safe: a mint goes on without its caller.
    ///
    /// # Errors
    /// [`Error`], once no living code is left to serve.
    pub async fn issue(&self, spec: &CodeSpec, caller: &Caller) -> Result<Served, Error> {
        let arrived = self.minter.now();
        let known = self.minter.find(&spec.scene()).await?;
        if let Some(code) = known
            .as_ref()
            .filter(|code| self.is_fresh(code, spec, arrived))
        {
            telemetry::code_lookup("memory");
            return Ok(self.fresh(Arc::clone(code), spec));
        }
        match self.mint_within_timeout(spec, caller, arrived).await {
            Ok((code, how)) => {
                telemetry::code_lookup(how);
                Ok(self.fresh(code, spec))
            }
            Err(error) => self.fall_back(known, error),
        }
    }

    async fn mint_within_timeout(
        &self,
        spec: &CodeSpec,
        caller: &Caller,
        arrived: Timestamp,
    ) -> Result<(Arc<IssuedCode>, &'static str), Error> {
        let mint = self.mint(spec, caller, arrived);
        tokio::time::timeout(self.settings.timeout, mint)
            .await
            .map_err(|_| Error::Timeout)?
    }

    /// Joins mints of the scene until one was asked for at least our life: ours, at the latest, once we start it.
    async fn mint(
        &self,
        spec: &CodeSpec,
        caller: &Caller,
        arrived: Timestamp,
    ) -> Result<(Arc<IssuedCode>, &'static str), Error> {
        may_mint(spec, caller)?;
        loop {
            let (flight, started) = self.fly(spec, arrived)?;
            let asked = flight.about;
            match flight.landed().await? {
                Ok(code) if started => return Ok((code, "minted")),
                Ok(code) if asked >= spec.lifetime() => return Ok((code, "joined")),
                Ok(code) if self.is_fresh(&code, spec, arrived) => return Ok((code, "joined")),
                Ok(_) => {}
                Err(error) => return Err(Error::Mint(error)),
            }
        }
    }

    fn fly(&self, spec: &CodeSpec, arrived: Timestamp) -> Result<(MintFlight, bool), Error> {
        if self.flights.len() >= MOST_FLIGHTS {
            return Err(Error::TooMany);
        }
        let (minter, wish) = (Arc::clone(&self.minter), spec.clone());
        let mint = || async move { minter.mint(&wish, arrived).await };
        Ok(self
            .flights
            .join_or_start(&spec.scene(), spec.lifetime(), mint))
    }

    /// A fault is no fault for a visitor whose code we have.
    fn fall_back(&self, known: Option<Arc<IssuedCode>>, error: Error) -> Result<Served, Error> {
        let now = self.minter.now();
        let living = known.filter(|code| code.left(now).is_none_or(|left| left >= LEAST_LEFT));
        telemetry::code_lookup(if living.is_some() { "stale" } else { "refused" });
        living
            .map(|code| Served {
                code,
                standing: Standing::Stale,
            })
            .ok_or(error)
    }

    fn is_fresh(&self, code: &IssuedCode, spec: &CodeSpec, arrived: Timestamp) -> bool {
        self.settings
            .reuse
            .is_fresh(code, spec.lifetime(), arrived, self.minter.now())
    }

    fn fresh(&self, code: Arc<IssuedCode>, spec: &CodeSpec) -> Served {
        let floor = self.settings.reuse.floor(&code, spec.lifetime());
        Served {
            code,
            standing: Standing::Fresh { floor },
        }
    }
}

/// Temporary codes are for everybody; the stock of permanent ones is not.
fn may_mint(spec: &CodeSpec, caller: &Caller) -> Result<(), Error> {
    match spec {
        CodeSpec::Permanent { .. } if !caller.allows(Scope::Permanent) => {
            Err(Error::MintNotAllowed)
        }
        _ => Ok(()),
    }
}
