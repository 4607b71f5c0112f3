//! Minting a temporary code: one replica at a time by a lease, and also while the database is down.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use wechat::Api;
use wechat::scene::{Scene, TemporaryScene};
use wechat::ticket::IssuedCode;

use super::admission::{PaceToken, UpstreamPermit};
use super::error::{MintError, is_free};
use super::mint::{MINT_TIMEOUT, Minter, priority};
use super::request::{CodeRequest, Obtained, Source};
use super::sql::{BeginMint, FinishMint, LEASE_POLL, Lease, MintGrant, MintedCode};
use crate::access::Requester;
use crate::db;
use crate::telemetry::Causes;

/// How long one replica has a scene to itself: a mint, and the write of its result. Where clocks
/// differ, another one may mint the scene earlier, which costs a call.
const LEASE: Duration = MINT_TIMEOUT.saturating_add(db::WRITE_TIMEOUT);

/// How long a mint waits for a permit before it looks for a stored code. Chosen: a visitor does not
/// mind it, and a crowd that WeChat answers at its usual pace costs the database no reads, because
/// the start of a mint looks for the code too.
const LOOK_UP_AFTER: Duration = Duration::from_millis(250);

/// The longest pause between two reads of a database that refuses single calls.
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// How the wait for the right to mint a scene ended.
enum MintStart<'a> {
    /// There is a code that is good enough.
    Found(Arc<IssuedCode>),
    /// The code is to be minted.
    Mint(UpstreamPermit<'a>, Mint),
}

/// A mint that is charged.
struct Mint {
    charge: Charge,
    /// None while the database is down.
    lease: Option<Lease>,
}

/// What a mint was charged to, for a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charge {
    /// Nothing: a key asked.
    Nothing,
    /// The day's budget, in the database.
    Budget,
    /// This process's allowance while the database is down.
    Offline,
}

impl Minter {
    /// Obtains a temporary code: the stored one, the one that another replica is minting, or a new
    /// one. An unused token of the visitors' pace is refunded.
    pub(super) async fn temporary(
        &self,
        scene: &TemporaryScene,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<Obtained, MintError> {
        let scene = Scene::Temporary(scene.clone());
        let mut pace = None;
        let result = self
            .temporary_at(&mut pace, &scene, request, requester)
            .await;
        if let Some(pace) = pace.filter(|_| is_free(&result)) {
            pace.refund();
        }
        result
    }

    async fn temporary_at(
        &self,
        pace: &mut PaceToken,
        scene: &Scene,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<Obtained, MintError> {
        let deadline = Instant::now() + MINT_TIMEOUT;
        let begun = timeout_at(deadline, self.begin(pace, scene, request, requester)).await;
        match begun.map_err(|_| MintError::NoPermit)?? {
            MintStart::Found(code) => Ok(Obtained {
                code,
                source: Source::Database,
            }),
            MintStart::Mint(permit, mint) => {
                let created = self
                    .deps
                    .create(&request.spec, priority(requester), deadline)
                    .await;
                // The next mint calls while this one's result is written.
                drop(permit);
                match created {
                    Ok(code) => self.finish(scene, Arc::new(code), mint, requester).await,
                    Err(error) => {
                        self.abandon(mint, &error).await;
                        Err(error)
                    }
                }
            }
        }
    }

    /// Waits until this process may mint the scene, or has no need to. The permit comes before the
    /// lease, so that no lease is held while waiting for a permit. Cancel safe.
    async fn begin(
        &self,
        pace: &mut PaceToken,
        scene: &Scene,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<MintStart<'_>, MintError> {
        let mut permit = self.admission.try_enter(requester, pace);
        let mut pause = LEASE_POLL;
        loop {
            let tried = match permit.take() {
                Some(permit) => self.try_begin(permit, scene, request, requester).await,
                None => self.queue_and_begin(pace, scene, request, requester).await,
            };
            match tried {
                Ok(Some(begun)) => return Ok(begun),
                // Another replica mints it.
                Ok(None) => {}
                Err(MintError::Database(failure)) if !matches!(failure, db::Error::BadRow(_)) => {
                    if !self.store().is_up() {
                        return self
                            .begin_offline(pace, scene, request, requester, failure)
                            .await;
                    }
                    // The database refused this call alone, perhaps under load, so the polls slow
                    // down.
                    pause = MAX_PAUSE.min(pause * 2);
                }
                Err(error) => return Err(error),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Waits for a permit, then does as [`Minter::try_begin`]. A stored code does not wait for
    /// long: it is looked up after [`LOOK_UP_AFTER`], and at once where the pace is used up.
    async fn queue_and_begin(
        &self,
        pace: &mut PaceToken,
        scene: &Scene,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<Option<MintStart<'_>>, MintError> {
        // To end a wait for the pace early would lose the token that it has reserved.
        let waits_for_pace = pace.is_none() && requester != Requester::Key;
        let mut entering = pin!(self.admission.enter(requester, pace));
        let entered = if waits_for_pace {
            None
        } else {
            timeout(LOOK_UP_AFTER, &mut entering).await.ok()
        };
        let permit = match entered {
            Some(entered) => entered?,
            None => match self.find_good_enough(scene, request).await? {
                Some(code) => return Ok(Some(MintStart::Found(code))),
                None => entering.await?,
            },
        };
        self.try_begin(permit, scene, request, requester).await
    }

    /// Looks up the code, and takes the lease and the charge, in one command; none while another
    /// replica mints the scene.
    async fn try_begin<'a>(
        &'a self,
        permit: UpstreamPermit<'a>,
        scene: &Scene,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<Option<MintStart<'a>>, MintError> {
        let (reuse, wanted, clock) = (
            self.settings.reuse,
            request.clone(),
            Arc::clone(&self.deps.clock),
        );
        let is_visitors = requester != Requester::Key;
        let mint = BeginMint {
            scene: scene.clone(),
            is_good_enough: Box::new(move |code| wanted.is_met_by(code, reuse, clock.now())),
            length: LEASE,
            budget: is_visitors.then(|| self.admission.budget.a_day()),
        };
        let version = self.deps.breaker.state_version();
        let begun = self.store().begin_mint(mint).await?;
        let known = begun.known.map(Arc::new);
        if let Some(code) = &known {
            // Kept although it is too old for this request, in case no new one can be obtained.
            self.cache.keep(scene, Arc::clone(code));
        }
        match begun.grant {
            MintGrant::Needless => Ok(known.map(MintStart::Found)),
            MintGrant::Leased => Ok(None),
            MintGrant::BudgetExhausted => Err(self.admission.budget.exhausted(self.now()).into()),
            MintGrant::Granted { lease, stop } => {
                self.deps.breaker.observe(version, Api::Create, stop);
                let mint = Mint {
                    charge: if is_visitors {
                        Charge::Budget
                    } else {
                        Charge::Nothing
                    },
                    lease: Some(lease),
                };
                Ok(Some(MintStart::Mint(permit, mint)))
            }
        }
    }

    /// Starts a mint without a lease, while the database is down. It is charged to this process's
    /// allowance, a key's mint too.
    async fn begin_offline(
        &self,
        pace: &mut PaceToken,
        scene: &Scene,
        request: &CodeRequest,
        requester: Requester,
        failure: db::Error,
    ) -> Result<MintStart<'_>, MintError> {
        // It may still answer reads, as with a full disk.
        if let Ok(Some(code)) = self.find_good_enough(scene, request).await {
            return Ok(MintStart::Found(code));
        }
        let permit = self.admission.enter(requester, pace).await?;
        if !self.admission.budget.charge_offline() {
            return Err(failure.into());
        }
        let mint = Mint {
            charge: Charge::Offline,
            lease: None,
        };
        Ok(MintStart::Mint(permit, mint))
    }

    /// Reads and caches the stored code; returns it if it is fresh enough. An older one may be
    /// served stale.
    async fn find_good_enough(
        &self,
        scene: &Scene,
        request: &CodeRequest,
    ) -> Result<Option<Arc<IssuedCode>>, db::Error> {
        let stored = self.read_stored(scene).await?;
        Ok(stored.filter(|code| self.satisfies(code, request)))
    }

    /// Reads the stored code, expired or not, and caches it.
    pub(super) async fn read_stored(
        &self,
        scene: &Scene,
    ) -> Result<Option<Arc<IssuedCode>>, db::Error> {
        let stored = self.store().find(scene).await?.map(Arc::new);
        if let Some(code) = &stored {
            self.cache.keep(scene, Arc::clone(code));
        }
        Ok(stored)
    }

    /// Stores a new code, counts it and releases the lease. If that fails, the code is served all
    /// the same, and held to be stored later (write-behind).
    async fn finish(
        &self,
        scene: &Scene,
        code: Arc<IssuedCode>,
        mint: Mint,
        requester: Requester,
    ) -> Result<Obtained, MintError> {
        let minted = MintedCode {
            scene: scene.clone(),
            code: Arc::clone(&code),
            is_visitors: mint.charge == Charge::Offline && requester != Requester::Key,
        };
        let finish = FinishMint {
            minted: Some(minted.clone()),
            lease: mint.lease.map(Lease::with_charge_kept),
            ..FinishMint::default()
        };
        if !self.store().is_up() || self.store().finish_mint(finish).await.is_err() {
            self.unsaved.hold(minted);
        }
        // A short lifetime may be over by the time that WeChat has answered.
        if code.left(self.now()).is_some_and(|left| left.is_zero()) {
            return Err(MintError::ExpiredOnArrival);
        }
        Ok(Obtained {
            code,
            source: Source::Minted,
        })
    }

    /// Releases the lease of a mint that gave no code, and refunds it if no request left.
    async fn abandon(&self, mint: Mint, error: &MintError) {
        let is_refunded = error.is_before_the_call();
        if is_refunded && mint.charge == Charge::Offline {
            self.admission.budget.refund_offline();
        }
        let Some(lease) = mint.lease else { return };
        let lease = if is_refunded {
            lease
        } else {
            lease.with_charge_kept()
        };
        let finish = FinishMint {
            lease: Some(lease),
            ..FinishMint::default()
        };
        if let Err(error) = self.store().finish_mint(finish).await {
            // It is released by the next chance.
            tracing::debug!(error = %Causes(&error), "a lease was not released");
        }
    }
}
