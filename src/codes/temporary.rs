//! Minting a temporary code: one replica at a time, and also while the store is down.

use std::sync::Arc;

use super::mint::{MINT_TIMEOUT, MintError, Minted, Minter, POLL, Source, Wish};
use super::payment::{BudgetExhausted, Payer};
use crate::clock::China;
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
                        code: Arc::new(code),
                        source: Source::Store,
                    });
                }
                Ok(Turn::Ours(lease)) => {
                    let result = self.mint_and_save(&scene, wish, payer).await;
                    lease.release().await;
                    return result;
                }
                Ok(Turn::Others) => tokio::time::sleep(POLL).await,
                Err(_) => return self.mint_offline(wish).await,
            }
        }
    }

    /// The lease first: whoever held it a moment ago may have finished meanwhile.
    async fn look_or_lease(&self, scene: &Scene, wish: &Wish) -> Result<Turn, store::Error> {
        if let Some(code) = self
            .find(scene)
            .await?
            .filter(|code| self.will_do(code, wish))
        {
            return Ok(Turn::Found(code));
        }
        let Some(lease) = self
            .parts
            .store
            .lease(&scene.to_string(), MINT_TIMEOUT)
            .await?
        else {
            return Ok(Turn::Others);
        };
        match self
            .find(scene)
            .await?
            .filter(|code| self.will_do(code, wish))
        {
            Some(code) => Ok(Turn::Found(code)),
            None => Ok(Turn::Ours(lease)),
        }
    }

    async fn mint_and_save(
        &self,
        scene: &Scene,
        wish: &Wish,
        payer: Payer,
    ) -> Result<Minted, MintError> {
        self.budget
            .pay(payer, &self.parts.store, self.now())
            .await?;
        let code = match self.parts.create(&wish.spec).await {
            Ok(code) => code,
            Err(error) => {
                if error.is_before_the_call() {
                    self.budget.refund(payer, &self.parts.store).await;
                }
                return Err(error);
            }
        };
        self.parts.store.count_mint().await.ok();
        // Unsaved, the code is still good here; a restart or another replica would mint it again.
        self.parts.store.save(scene, &code).await.ok();
        Ok(Minted {
            code: Arc::new(code),
            source: Source::Minted,
        })
    }

    /// Without the store nobody can agree on anything, so each process makes a few codes for itself.
    async fn mint_offline(&self, wish: &Wish) -> Result<Minted, MintError> {
        if !self.budget.pay_offline() {
            let retry_after = China::until_midnight(self.now());
            return Err(BudgetExhausted { retry_after }.into());
        }
        let code = self.parts.create(&wish.spec).await?;
        Ok(Minted {
            code: Arc::new(code),
            source: Source::Minted,
        })
    }
}

/// Whose turn it is to mint a scene.
enum Turn {
    Found(IssuedCode),
    Ours(Lease),
    Others,
}
