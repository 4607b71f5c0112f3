//! Minting a temporary code: one replica at a time, and also while the store is down.

use std::sync::Arc;

use super::mint::{MINT_TIMEOUT, MintError, Minted, Minter, POLL, Source, Wish};
use super::payment::Paid;
use crate::access::Payer;
use crate::scene::{Scene, TemporaryScene};
use crate::store::{self, Lease};
use crate::ticket::IssuedCode;

impl Minter {
    /// What the store has, what another replica is just making, or a new code.
    pub(super) async fn temporary(
        &self,
        scene: &TemporaryScene,
        wish: &Wish,
        payer: Payer,
    ) -> Result<Minted, MintError> {
        let scene = Scene::Temporary(scene.clone());
        loop {
            match self.look_or_lease(&scene, wish).await {
                Ok(Turn::Found(code)) => {
                    return Ok(Minted {
                        code,
                        source: Source::Store,
                    });
                }
                Ok(Turn::Ours(lease)) => {
                    let result = self.mint_and_save(&scene, wish, payer).await;
                    lease.release().await;
                    return result;
                }
                Ok(Turn::Others) => tokio::time::sleep(POLL).await,
                Err(error) => return self.mint_offline(&scene, wish, payer, error).await,
            }
        }
    }

    /// The lease first: whoever held it a moment ago may have finished meanwhile.
    async fn look_or_lease(&self, scene: &Scene, wish: &Wish) -> Result<Turn, store::Error> {
        if let Some(code) = self.find_good_enough(scene, wish).await? {
            return Ok(Turn::Found(code));
        }
        let Some(lease) = self.store().lease(&scene.to_string(), MINT_TIMEOUT).await? else {
            return Ok(Turn::Others);
        };
        Ok(match self.find_good_enough(scene, wish).await? {
            Some(code) => Turn::Found(code),
            None => Turn::Ours(lease),
        })
    }

    /// What the store has for a wish. An older code is kept in mind, in case that no new one can be had.
    async fn find_good_enough(
        &self,
        scene: &Scene,
        wish: &Wish,
    ) -> Result<Option<Arc<IssuedCode>>, store::Error> {
        let Some(code) = self.store().find(scene).await?.map(Arc::new) else {
            return Ok(None);
        };
        self.known.keep(scene, Arc::clone(&code));
        Ok(self.will_do(&code, wish).then_some(code))
    }

    async fn mint_and_save(
        &self,
        scene: &Scene,
        wish: &Wish,
        payer: Payer,
    ) -> Result<Minted, MintError> {
        let _slot = self.slots.take(payer).await;
        let paid = self.budget.pay(payer, self.store(), self.now()).await?;
        self.mint_paid(scene, wish, payer, paid).await
    }

    /// Without the store nobody can agree on anything, so each process makes a few codes for itself, keys' codes too.
    async fn mint_offline(
        &self,
        scene: &Scene,
        wish: &Wish,
        payer: Payer,
        trouble: store::Error,
    ) -> Result<Minted, MintError> {
        let _slot = self.slots.take(payer).await;
        let paid = self.budget.pay_offline().ok_or(trouble)?;
        self.mint_paid(scene, wish, payer, paid).await
    }

    async fn mint_paid(
        &self,
        scene: &Scene,
        wish: &Wish,
        payer: Payer,
        paid: Paid,
    ) -> Result<Minted, MintError> {
        let code = match self.parts.create(&wish.spec).await {
            Ok(code) => Arc::new(code),
            Err(error) => {
                if error.is_before_the_call() {
                    self.budget.refund(paid, self.store()).await;
                }
                return Err(error);
            }
        };
        self.count_mint().await;
        if paid == Paid::Offline && payer != Payer::Key {
            self.unsaved.count_anonymous();
        }
        self.write_down(scene, &code).await;
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

/// Whose turn it is to mint a scene.
enum Turn {
    Found(Arc<IssuedCode>),
    Ours(Lease),
    Others,
}
