//! One mint: the work of the task that everybody waits for.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Parts, Reuse};
use crate::account::Stopped;
use crate::flight::Lost;
use crate::scene::{CodeSpec, Scene};
use crate::store;
use crate::ticket::{IssuedCode, Life};
use crate::token;
use crate::wechat::{self, AccessToken, Api, Class, CreatedCode};

/// How long a mint may take, whoever still waits for it.
const MINT_TIMEOUT: Duration = Duration::from_secs(30);

/// How many mints call WeChat at once. WeChat's own bound is not known; chosen to be gentle.
const UPSTREAM_SLOTS: usize = 64;

/// How often the store is asked whether the holder of a scene's lease has finished.
const LEASE_POLL: Duration = Duration::from_millis(100);

/// Makes codes.
#[derive(Debug)]
pub(super) struct Minter {
    parts: Parts,
    reuse: Reuse,
    slots: Semaphore,
}

/// Why a mint gave no code.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// WeChat refused, or could not be heard.
    #[error("no ticket")]
    WeChat(#[source] wechat::Error),
    /// There is no access token to call with; the cause is in the log already.
    #[error("no ticket without a token")]
    Token(#[source] Arc<token::Error>),
    /// The account's quota is used up.
    #[error("no ticket while calls are stopped")]
    Stopped(#[source] Stopped),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// It took longer than a mint may.
    #[error("the mint took too long")]
    Timeout,
    /// A defect of ours.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl Minter {
    pub(super) fn new(parts: Parts, reuse: Reuse) -> Self {
        Self {
            parts,
            reuse,
            slots: Semaphore::new(UPSTREAM_SLOTS),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(super) async fn find(
        &self,
        scene: &Scene,
    ) -> Result<Option<Arc<IssuedCode>>, store::Error> {
        self.parts.store.find(scene).await
    }

    /// Mints, unless somebody else has meanwhile. Logged here, once for all who wait.
    pub(super) async fn mint(
        &self,
        spec: &CodeSpec,
        arrived: Timestamp,
    ) -> Result<Arc<IssuedCode>, MintError> {
        let started = Instant::now();
        let work = tokio::time::timeout(MINT_TIMEOUT, self.mint_on_lease(spec, arrived));
        let result = work.await.unwrap_or(Err(MintError::Timeout));
        let scene = spec.scene();
        match &result {
            Ok(_) => tracing::info!(
                kind = %scene.kind(),
                scene = ?scene.value(),
                duration_ms = started.elapsed().as_millis(),
                "code minted"
            ),
            Err(error) => error.log(&scene),
        }
        result
    }

    async fn mint_on_lease(
        &self,
        spec: &CodeSpec,
        arrived: Timestamp,
    ) -> Result<Arc<IssuedCode>, MintError> {
        let scene = spec.scene();
        let _slot = self
            .slots
            .acquire()
            .await
            .expect("the semaphore is never closed");
        loop {
            // The lease first: whoever held it a moment ago may have finished meanwhile.
            let lease = self.parts.store.lease(&scene, MINT_TIMEOUT).await?;
            let known = self.find(&scene).await?;
            if let Some(code) = known.filter(|code| self.will_do(code, spec, arrived)) {
                return Ok(code);
            }
            if lease.is_some() {
                let code = self.create(spec).await?;
                return Ok(self.parts.store.save(&scene, code).await?);
            }
            tokio::time::sleep(LEASE_POLL).await;
        }
    }

    fn will_do(&self, code: &IssuedCode, spec: &CodeSpec, arrived: Timestamp) -> bool {
        self.reuse
            .is_fresh(code, spec.lifetime(), arrived, self.now())
    }

    /// Creates the ticket; once more, with another token, if WeChat says that the first is dead.
    async fn create(&self, spec: &CodeSpec) -> Result<IssuedCode, MintError> {
        let token = self.parts.tokens.get().await?.map_err(MintError::Token)?;
        match self.call(&token, spec).await {
            Err(MintError::WeChat(error)) if error.class() == Some(Class::TokenDead) => {
                let token = self
                    .parts
                    .tokens
                    .replace(&token)
                    .await?
                    .map_err(MintError::Token)?;
                self.call(&token, spec).await
            }
            result => result,
        }
    }

    async fn call(&self, token: &AccessToken, spec: &CodeSpec) -> Result<IssuedCode, MintError> {
        self.parts
            .account
            .admit(Api::Create)
            .map_err(MintError::Stopped)?;
        let minted_at = self.now();
        let result = self.parts.wechat.create_code(token, spec).await;
        self.parts.account.learn(Api::Create, &result);
        result
            .map(|created| issued(spec, minted_at, created))
            .map_err(MintError::WeChat)
    }
}

fn issued(spec: &CodeSpec, minted_at: Timestamp, created: CreatedCode) -> IssuedCode {
    let life = match (spec.lifetime(), created.granted) {
        (Some(asked), granted) => Life::Temporary {
            minted_at,
            asked,
            granted: granted.unwrap_or(asked),
        },
        (None, _) => Life::Permanent,
    };
    IssuedCode {
        ticket: created.ticket,
        url: created.url,
        life,
    }
}

impl MintError {
    fn log(&self, scene: &Scene) {
        // The token's own task has logged why there is none, and a stop was logged when it began.
        if matches!(self, Self::Token(_) | Self::Stopped(_)) {
            return;
        }
        let refusal = match self {
            Self::WeChat(wechat::Error::Refused(refusal)) => Some(refusal),
            _ => None,
        };
        tracing::error!(
            kind = %scene.kind(),
            scene = ?scene.value(),
            errcode = refusal.map(|refusal| refusal.errcode.0),
            errmsg = refusal.map(|refusal| refusal.errmsg.as_str()),
            action = refusal.map(|refusal| refusal.errcode.action()),
            error = self as &dyn std::error::Error,
            "code not minted"
        );
    }
}
