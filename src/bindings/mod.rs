//! Signing in by a scan: a code that cannot be guessed, and a claim that gives the scanner's openid
//! once.
//!
//! Read [`Bindings::create`] first. It must not know HTTP.

mod sql;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Semaphore, broadcast};
use tokio::time::{Instant, sleep_until};
use wechat::push::Reply;
use wechat::scene::{CodeSpec, Lifetime, SceneText, TemporaryScene};

use crate::clock::Clock;
use crate::codes::{self, Codes, Issued};
use crate::db;
use crate::statistics::EventRecorder;
use crate::text::{self, random_token};

pub use self::sql::{Binding, BindingStore, Claimed, NewBinding};

/// How often a waiting caller polls for scans that other replicas received.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The most waiting callers that poll. Chosen.
const MAX_WAITING: usize = 1000;

/// What the scene of a binding begins with, after the service's own prefix: no request can name
/// such a code.
const SCENE_NAME: &str = "bind.";

/// Creates, watches and claims bindings. One is made at start and shared.
#[derive(Debug)]
pub struct Bindings {
    codes: Arc<Codes>,
    recorder: Arc<EventRecorder>,
    store: BindingStore,
    clock: Arc<dyn Clock>,
    waiting: Semaphore,
}

/// A new binding and its code.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its random id, for the caller: 22 characters.
    pub id: String,
    pub expires_at: Timestamp,
    /// What the code was asked with.
    pub spec: CodeSpec,
    pub issued: Issued,
}

/// How far a binding is, and when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BindingState {
    pub status: BindingStatus,
    pub expires_at: Timestamp,
}

/// Progress of a binding: pending, scanned, claimed or expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BindingStatus {
    /// Its code was not scanned.
    Pending,
    /// It was scanned, and the openid can be claimed.
    Scanned,
    Claimed,
    /// It ended before it was claimed.
    Expired,
}

/// Why a binding is not made or not claimed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is none with that id, or it ended long ago.
    #[error("there is no such binding")]
    Unknown,
    #[error("the binding was not scanned yet")]
    NotScanned,
    #[error("the binding was claimed before")]
    AlreadyClaimed,
    #[error("the binding has expired")]
    Expired,
    /// The follower has left the account since, and the openid is erased.
    #[error("the follower has left the account")]
    FollowerLeft,
    #[error(transparent)]
    Code(#[from] codes::Error),
    #[error(transparent)]
    Database(#[from] db::Error),
}

impl Bindings {
    pub fn new(
        codes: Arc<Codes>,
        recorder: Arc<EventRecorder>,
        store: BindingStore,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            codes,
            recorder,
            store,
            clock,
            waiting: Semaphore::new(MAX_WAITING),
        }
    }

    /// Creates a binding with a code of its own, outside every budget. The one who signs in reads
    /// the reply. Not cancel safe: a minted code may be lost.
    ///
    /// # Errors
    /// [`Error::Code`] or [`Error::Database`].
    pub async fn create(
        &self,
        lifetime: Lifetime,
        context: Option<String>,
        reply: Option<Reply>,
    ) -> Result<Created, Error> {
        let created_at = self.clock.now();
        let scene = SceneText::reserved(&format!("{SCENE_NAME}{}", random_token()));
        let new = NewBinding {
            id: random_token(),
            scene: scene.as_str().to_owned(),
            context,
            reply,
            created_at,
            expires_at: created_at + lifetime.as_duration(),
        };
        // Before the code: a scan of it finds the binding.
        self.store.add_binding(&new).await?;
        let spec = CodeSpec::Temporary {
            scene: TemporaryScene::Text(scene),
            lifetime,
        };
        let issued = self.codes.issue_for_owner(&spec).await?;
        Ok(Created {
            id: new.id,
            expires_at: new.expires_at,
            spec,
            issued,
        })
    }

    /// Waits until a binding is not pending, or until `deadline`, and returns its state (long
    /// poll). Cancel safe.
    ///
    /// # Errors
    /// [`Error::Unknown`] or [`Error::Database`].
    pub async fn state(&self, id: &str, deadline: Instant) -> Result<BindingState, Error> {
        // Before the first read: a scan between read and wait is received.
        let mut scanned = self.recorder.scanned_bindings();
        let permit = self.waiting.try_acquire();
        loop {
            let state = self.read_state(id).await?;
            if state.status != BindingStatus::Pending || Instant::now() >= deadline {
                return Ok(state);
            }
            // Without a permit, a scan that another replica received is seen at the deadline only.
            let next_poll = match permit {
                Ok(_) => deadline.min(Instant::now() + POLL_INTERVAL),
                Err(_) => deadline,
            };
            tokio::select! {
                () = until_scanned(id, &mut scanned) => {}
                () = sleep_until(next_poll) => {}
            }
        }
    }

    async fn read_state(&self, id: &str) -> Result<BindingState, Error> {
        check_id(id)?;
        let binding = self.store.binding(id).await?.ok_or(Error::Unknown)?;
        let status = match binding {
            _ if binding.is_claimed => BindingStatus::Claimed,
            _ if binding.expires_at < self.clock.now() => BindingStatus::Expired,
            _ if binding.is_scanned => BindingStatus::Scanned,
            _ => BindingStatus::Pending,
        };
        Ok(BindingState {
            status,
            expires_at: binding.expires_at,
        })
    }

    /// Claims the openid and the context, once. Not cancel safe.
    ///
    /// # Errors
    /// Any but [`Error::Code`].
    pub async fn claim(&self, id: &str) -> Result<Claimed, Error> {
        check_id(id)?;
        if let Some(claimed) = self.store.claim_binding(id, self.clock.now()).await? {
            return Ok(claimed);
        }
        Err(match self.read_state(id).await?.status {
            BindingStatus::Pending => Error::NotScanned,
            BindingStatus::Claimed => Error::AlreadyClaimed,
            BindingStatus::Expired => Error::Expired,
            BindingStatus::Scanned => Error::FollowerLeft,
        })
    }
}

/// Waits until this process records a scan of the binding, or has missed a message.
async fn until_scanned(id: &str, scanned: &mut broadcast::Receiver<String>) {
    while scanned.recv().await.is_ok_and(|other| other != id) {}
}

/// Refuses an id that [`random_token`] cannot have made: no binding has it, and not every text may
/// be asked of a database.
fn check_id(id: &str) -> Result<(), Error> {
    if id.len() == text::RANDOM_TOKEN_LEN && text::is_word(id) {
        Ok(())
    } else {
        Err(Error::Unknown)
    }
}
