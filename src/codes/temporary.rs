//! Minting a temporary code: one replica at a time, and also while the store is down.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::error::{MintError, is_free};
use super::mint::{MINT_TIMEOUT, Minter, POLL, priority};
use super::payment::Paid;
use super::request::{Minted, Source, Wish};
use super::slots::Slot;
use super::sql::Lease;
use crate::access::{PaceExceeded, RateToken, Requester};
use crate::db;
use crate::scene::{Scene, TemporaryScene};
use crate::ticket::IssuedCode;

/// How long one replica has a scene to itself: a mint, and the time to write it down.
const LEASE: Duration = MINT_TIMEOUT.saturating_add(Duration::from_secs(5));

/// The longest pause between two looks into a store that refuses single calls.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Minter {
    /// What the store has, what another replica is just making, or a new code. A visitor's place in the pace that was not
    /// used is given back.
    pub(super) async fn temporary(
        &self,
        scene: &TemporaryScene,
        wish: &Wish,
        requester: Requester,
    ) -> Result<Minted, MintError> {
        let scene = Scene::Temporary(scene.clone());
        let mut pace = None;
        let result = self.temporary_at(&mut pace, &scene, wish, requester).await;
        if let Some(pace) = pace.filter(|_| is_free(&result)) {
            pace.refund();
        }
        result
    }

    async fn temporary_at(
        &self,
        pace: &mut Option<RateToken>,
        scene: &Scene,
        wish: &Wish,
        requester: Requester,
    ) -> Result<Minted, MintError> {
        let deadline = Instant::now() + MINT_TIMEOUT;
        let turn = timeout_at(deadline, self.turn(pace, scene, wish, requester)).await;
        match turn.map_err(|_| MintError::Crowded)?? {
            Turn::Found(code) => Ok(Minted {
                code,
                source: Source::Store,
            }),
            Turn::Ours { lease, _slot } => {
                let paid = self.budget.pay(requester, self.store(), self.now()).await;
                let result = match paid {
                    Ok(paid) => self.mint_paid(scene, wish, requester, paid, deadline).await,
                    Err(error) => Err(error),
                };
                lease.release().await;
                result
            }
            Turn::Unreadable(trouble) => Err(trouble.into()),
            // Without the store nobody can agree on anything, so each process makes a few codes for itself, keys' codes too.
            Turn::Offline { trouble, _slot } => {
                let paid = self.budget.pay_offline().ok_or(trouble)?;
                self.mint_paid(scene, wish, requester, paid, deadline).await
            }
        }
    }

    /// Waits until this process may mint the scene, or has no need to. The slot comes before the lease, so that nobody holds
    /// a scene while waiting in line. Cancel safe.
    async fn turn(
        &self,
        pace: &mut Option<RateToken>,
        scene: &Scene,
        wish: &Wish,
        requester: Requester,
    ) -> Result<Turn<'_>, PaceExceeded> {
        let mut pause = POLL;
        loop {
            let looked = match self.find_good_enough(scene, wish).await {
                Ok(Some(code)) => return Ok(Turn::Found(code)),
                Ok(None) => {
                    let slot = self.slot(pace, requester).await?;
                    self.lease(slot, scene, wish).await
                }
                Err(trouble) => Err(trouble),
            };
            match looked {
                Ok(Some(turn)) => return Ok(turn),
                // Another replica mints it.
                Ok(None) => {}
                Err(trouble @ db::Error::BadRow(_)) => return Ok(Turn::Unreadable(trouble)),
                // The store refused this call alone, perhaps because of a crowd, which shall not grow by this.
                Err(_) if self.store().is_up() => pause = LONGEST_PAUSE.min(pause * 2),
                Err(trouble) => {
                    let slot = self.slot(pace, requester).await?;
                    return Ok(Turn::Offline {
                        trouble,
                        _slot: slot,
                    });
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// A slot, which a visitor gets at the visitors' pace: it is waited for once in a mint, with nothing in hand, and for
    /// half of a visitor's time at most, so that WeChat has the other half.
    async fn slot(
        &self,
        pace: &mut Option<RateToken>,
        requester: Requester,
    ) -> Result<Slot<'_>, PaceExceeded> {
        if pace.is_none() && matches!(requester, Requester::Visitor(_)) {
            let acquired = self.pacer.acquire(self.settings.timeout / 2).await;
            *pace = Some(acquired.inspect_err(|_| self.pace_log.exceeded())?);
        }
        Ok(self.slots.take(requester).await)
    }

    /// Looks once more with the lease: whoever held it a moment ago may have finished meanwhile.
    async fn lease<'a>(
        &self,
        slot: Slot<'a>,
        scene: &Scene,
        wish: &Wish,
    ) -> Result<Option<Turn<'a>>, db::Error> {
        let lease = self.store().lease(&scene.to_string(), LEASE).await?;
        let Some(lease) = lease else { return Ok(None) };
        Ok(Some(match self.find_good_enough(scene, wish).await? {
            Some(code) => Turn::Found(code),
            None => Turn::Ours { lease, _slot: slot },
        }))
    }

    /// What the store has for a wish. An older code is kept in mind, in case that no new one can be had.
    async fn find_good_enough(
        &self,
        scene: &Scene,
        wish: &Wish,
    ) -> Result<Option<Arc<IssuedCode>>, db::Error> {
        let Some(code) = self.store().find(scene).await?.map(Arc::new) else {
            return Ok(None);
        };
        self.known.keep(scene, Arc::clone(&code));
        Ok(self.will_do(&code, wish).then_some(code))
    }

    /// Makes a code that is paid for; what was paid comes back if no request left. From WeChat's answer on nothing cuts it
    /// short, and the code comes before the numbers.
    async fn mint_paid(
        &self,
        scene: &Scene,
        wish: &Wish,
        requester: Requester,
        paid: Paid,
        deadline: Instant,
    ) -> Result<Minted, MintError> {
        let code = match self
            .parts
            .create(&wish.spec, priority(requester), deadline)
            .await
        {
            Ok(code) => Arc::new(code),
            Err(error) => {
                if error.is_before_the_call() {
                    self.budget.refund(paid, self.store()).await;
                }
                return Err(error);
            }
        };
        self.write_down(scene, &code).await;
        self.count_mint().await;
        if paid == Paid::Offline && requester != Requester::Key {
            self.unsaved.count_anonymous();
        }
        // So short a life may be over by the time that WeChat's answer is here.
        if code.left(self.now()).is_some_and(|left| left.is_zero()) {
            return Err(MintError::DeadOnArrival);
        }
        Ok(Minted {
            code,
            source: Source::Minted,
        })
    }

    /// What is not saved now is good here all the same, and saved when the store is back.
    async fn write_down(&self, scene: &Scene, code: &Arc<IssuedCode>) {
        let store = self.store();
        if !store.is_up() || store.save(scene, code).await.is_err() {
            self.unsaved.hold(scene, Arc::clone(code));
        }
    }
}

/// What became of waiting for the right to mint a scene.
enum Turn<'a> {
    Found(Arc<IssuedCode>),
    /// The store has a row in the way.
    Unreadable(db::Error),
    Ours {
        lease: Lease,
        _slot: Slot<'a>,
    },
    /// The store is down.
    Offline {
        trouble: db::Error,
        _slot: Slot<'a>,
    },
}
