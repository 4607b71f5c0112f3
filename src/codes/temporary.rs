//! Minting a temporary code: one replica at a time by a lease, and also while the database is down.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wechat::scene::{Scene, TemporaryScene};
use wechat::ticket::IssuedCode;

use super::budget::Charge;
use super::concurrency::UpstreamPermit;
use super::error::{MintError, is_free};
use super::mint::{MINT_TIMEOUT, Minter, POLL, priority};
use super::request::{CodeRequest, Obtained, Source};
use super::sql::Lease;
use crate::access::{PaceExceeded, RateToken, Requester};
use crate::db;

/// How long one replica has a scene to itself: a mint, and the time to write it down.
const LEASE: Duration = MINT_TIMEOUT.saturating_add(Duration::from_secs(5));

/// The longest pause between two looks into a store that refuses single calls.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Minter {
    /// The stored code, the one that another replica is minting, or a new one. An unused place in
    /// the visitors' pace is refunded.
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
        pace: &mut Option<RateToken>,
        scene: &Scene,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<Obtained, MintError> {
        let deadline = Instant::now() + MINT_TIMEOUT;
        let leased = timeout_at(
            deadline,
            self.find_or_lease(pace, scene, request, requester),
        )
        .await;
        match leased.map_err(|_| MintError::Crowded)?? {
            Leased::Found(code) => Ok(Obtained {
                code,
                source: Source::Store,
            }),
            Leased::Ours { lease, _permit } => {
                let charge = self
                    .budget
                    .charge(requester, self.store(), self.now())
                    .await;
                let result = match charge {
                    Ok(charge) => {
                        self.mint_charged(scene, request, requester, charge, deadline)
                            .await
                    }
                    Err(error) => Err(error),
                };
                lease.release().await;
                result
            }
            Leased::Unreadable(trouble) => Err(trouble.into()),
            // Without the database there are no leases, so each process makes a few codes for
            // itself, keys' codes too.
            Leased::Offline { trouble, _permit } => {
                let charge = self.budget.charge_offline().ok_or(trouble)?;
                self.mint_charged(scene, request, requester, charge, deadline)
                    .await
            }
        }
    }

    /// Waits until this process may mint the scene, or has no need to. The permit comes before the
    /// lease, so that no lease is held while waiting for a permit. Cancel safe.
    async fn find_or_lease(
        &self,
        pace: &mut Option<RateToken>,
        scene: &Scene,
        request: &CodeRequest,
        requester: Requester,
    ) -> Result<Leased<'_>, PaceExceeded> {
        let mut pause = POLL;
        loop {
            let looked = match self.find_good_enough(scene, request).await {
                Ok(Some(code)) => return Ok(Leased::Found(code)),
                Ok(None) => {
                    let permit = self.upstream_permit(pace, requester).await?;
                    self.try_lease(permit, scene, request).await
                }
                Err(trouble) => Err(trouble),
            };
            match looked {
                Ok(Some(leased)) => return Ok(leased),
                // Another replica mints it.
                Ok(None) => {}
                Err(trouble @ db::Error::BadRow(_)) => return Ok(Leased::Unreadable(trouble)),
                // The database refused this call alone, perhaps under load, so the polls slow down.
                Err(_) if self.store().is_up() => pause = LONGEST_PAUSE.min(pause * 2),
                Err(trouble) => {
                    let permit = self.upstream_permit(pace, requester).await?;
                    return Ok(Leased::Offline {
                        trouble,
                        _permit: permit,
                    });
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// A permit to call WeChat, which a visitor gets at the visitors' pace. The pace is waited for
    /// once in a mint, with nothing held, and for half of a visitor's time at most, so that WeChat
    /// has the other half.
    async fn upstream_permit(
        &self,
        pace: &mut Option<RateToken>,
        requester: Requester,
    ) -> Result<UpstreamPermit<'_>, PaceExceeded> {
        if pace.is_none() && matches!(requester, Requester::Visitor(_)) {
            let acquired = self.pacer.acquire(self.settings.timeout / 2).await;
            *pace = Some(acquired.inspect_err(|_| self.pace_log.exceeded())?);
        }
        Ok(self.concurrency.acquire(requester).await)
    }

    /// Takes the lease and looks once more: its last holder may have finished meanwhile.
    async fn try_lease<'a>(
        &self,
        permit: UpstreamPermit<'a>,
        scene: &Scene,
        request: &CodeRequest,
    ) -> Result<Option<Leased<'a>>, db::Error> {
        let lease = self.store().lease(&scene.to_string(), LEASE).await?;
        let Some(lease) = lease else { return Ok(None) };
        Ok(Some(match self.find_good_enough(scene, request).await? {
            Some(code) => Leased::Found(code),
            None => Leased::Ours {
                lease,
                _permit: permit,
            },
        }))
    }

    /// What the store has for a request. An older code is kept in mind, in case that no new one can
    /// be had.
    async fn find_good_enough(
        &self,
        scene: &Scene,
        request: &CodeRequest,
    ) -> Result<Option<Arc<IssuedCode>>, db::Error> {
        let Some(code) = self.store().find(scene).await?.map(Arc::new) else {
            return Ok(None);
        };
        self.cache.keep(scene, Arc::clone(&code));
        Ok(self.will_do(&code, request).then_some(code))
    }

    /// Makes a code that is charged; what was charged comes back if no request left. From WeChat's
    /// answer on nothing cuts it short, and the code comes before the numbers.
    async fn mint_charged(
        &self,
        scene: &Scene,
        request: &CodeRequest,
        requester: Requester,
        charge: Charge,
        deadline: Instant,
    ) -> Result<Obtained, MintError> {
        let code = match self
            .parts
            .create(&request.spec, priority(requester), deadline)
            .await
        {
            Ok(code) => Arc::new(code),
            Err(error) => {
                if error.is_before_the_call() {
                    self.budget.refund(charge, self.store()).await;
                }
                return Err(error);
            }
        };
        self.write_down(scene, &code).await;
        self.count_mint().await;
        if charge == Charge::Offline && requester != Requester::Key {
            self.unsaved.count_anonymous();
        }
        // So short a life may be over by the time that WeChat's answer is here.
        if code.left(self.now()).is_some_and(|left| left.is_zero()) {
            return Err(MintError::DeadOnArrival);
        }
        Ok(Obtained {
            code,
            source: Source::Minted,
        })
    }

    /// What is not saved now is good here all the same, and saved when the database is back.
    async fn write_down(&self, scene: &Scene, code: &Arc<IssuedCode>) {
        let store = self.store();
        if !store.is_up() || store.save(scene, code).await.is_err() {
            self.unsaved.hold(scene, Arc::clone(code));
        }
    }
}

/// How the wait for the right to mint a scene ended.
enum Leased<'a> {
    Found(Arc<IssuedCode>),
    /// The store has a row in the way.
    Unreadable(db::Error),
    Ours {
        lease: Lease,
        _permit: UpstreamPermit<'a>,
    },
    /// The store is down.
    Offline {
        trouble: db::Error,
        _permit: UpstreamPermit<'a>,
    },
}
