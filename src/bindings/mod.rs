//! Signing in by a scan: a code that cannot be guessed, who scanned it, and the claim that tells it once.
//!
//! Read [`Bindings::create`] first. Free of HTTP.

mod sql;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use tokio::sync::{Semaphore, broadcast};
use tokio::time::{Instant, sleep_until};

use crate::clock::Clock;
use crate::codes::{self, Codes, Served};
use crate::db;
use crate::scene::{CodeSpec, Lifetime, SceneText, TemporaryScene};
use crate::statistics::Scans;

pub use self::sql::{Binding, BindingStore, Claimed, NewBinding};

/// How soon a scan that another replica was told of is seen here.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How many callers who wait for a scan look into the store once a second. Chosen.
const MOST_WAITING: usize = 1000;

/// What the scene of a binding begins with, after the service's own prefix: nobody can ask for such a code from outside.
const SCENE_NAME: &str = "bind.";

/// How long the name of a binding is, in characters.
const ID_LEN: usize = 22;

/// Makes bindings and tells how they stand. One is made at start and shared.
#[derive(Debug)]
pub struct Bindings {
    codes: Arc<Codes>,
    scans: Arc<Scans>,
    store: BindingStore,
    clock: Arc<dyn Clock>,
    waiting: Semaphore,
}

/// A new binding and its code.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its name, for whoever made it: 22 characters that cannot be guessed.
    pub id: String,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What the code was asked with.
    pub spec: CodeSpec,
    /// The code.
    pub served: Served,
}

/// How a binding stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Where it is on its way.
    pub status: Status,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Where a binding is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nobody has scanned its code.
    Pending,
    /// Somebody has, and who that was can be claimed.
    Scanned,
    /// It was claimed.
    Claimed,
    /// It ended before it was claimed.
    Expired,
}

/// Why a binding is not made or not claimed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is none of that name, or it ended long ago.
    #[error("there is no such binding")]
    Unknown,
    /// Nobody has scanned it yet.
    #[error("the binding was not scanned yet")]
    NotScanned,
    /// It was claimed before.
    #[error("the binding was claimed before")]
    AlreadyClaimed,
    /// It has ended.
    #[error("the binding has expired")]
    Expired,
    /// Whoever scanned has left the account since, and may not be known any more.
    #[error("whoever scanned has left the account")]
    FollowerLeft,
    /// It has no code.
    #[error(transparent)]
    Code(#[from] codes::Error),
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] db::Error),
}

impl Bindings {
    /// On the rooms below.
    pub fn new(
        codes: Arc<Codes>,
        scans: Arc<Scans>,
        store: BindingStore,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            codes,
            scans,
            store,
            clock,
            waiting: Semaphore::new(MOST_WAITING),
        }
    }

    /// Makes a binding with a code of its own, at nobody's budget. Not cancel safe: a mint may be for nobody.
    ///
    /// # Errors
    /// [`Error::Code`] or [`Error::Store`].
    pub async fn create(
        &self,
        lifetime: Lifetime,
        context: Option<String>,
    ) -> Result<Created, Error> {
        let created_at = self.clock.now();
        let scene = SceneText::reserved(&format!("{SCENE_NAME}{}", unguessable()));
        let new = NewBinding {
            id: unguessable(),
            scene: scene.as_str().to_owned(),
            context,
            created_at,
            expires_at: created_at + lifetime.as_duration(),
        };
        // Before the code: a scan of it finds the binding.
        self.store.add_binding(&new).await?;
        let spec = CodeSpec::Temporary {
            scene: TemporaryScene::Text(scene),
            lifetime,
        };
        let served = self.codes.issue_for_owner(&spec).await?;
        Ok(Created {
            id: new.id,
            expires_at: new.expires_at,
            spec,
            served,
        })
    }

    /// How a binding stands, as soon as it is not pending, and at `deadline` at the latest. Cancel safe.
    ///
    /// # Errors
    /// [`Error::Unknown`] or [`Error::Store`].
    pub async fn standing(&self, id: &str, deadline: Instant) -> Result<Standing, Error> {
        // Before the first look: a scan between look and wait is heard.
        let mut scanned = self.scans.scanned_bindings();
        let seat = self.waiting.try_acquire();
        loop {
            let standing = self.look(id).await?;
            if standing.status != Status::Pending || Instant::now() >= deadline {
                return Ok(standing);
            }
            // Without a seat, what another replica was told of is seen at the end only.
            let next_look = match seat {
                Ok(_) => deadline.min(Instant::now() + LOOK_EVERY),
                Err(_) => deadline,
            };
            tokio::select! {
                () = heard_of(id, &mut scanned) => {}
                () = sleep_until(next_look) => {}
            }
        }
    }

    async fn look(&self, id: &str) -> Result<Standing, Error> {
        check_id(id)?;
        let binding = self.store.binding(id).await?.ok_or(Error::Unknown)?;
        let status = match binding {
            _ if binding.is_claimed => Status::Claimed,
            _ if binding.expires_at < self.clock.now() => Status::Expired,
            _ if binding.is_scanned => Status::Scanned,
            _ => Status::Pending,
        };
        Ok(Standing {
            status,
            expires_at: binding.expires_at,
        })
    }

    /// Who scanned, and the context; told once. Not cancel safe.
    ///
    /// # Errors
    /// Any but [`Error::Code`].
    pub async fn claim(&self, id: &str) -> Result<Claimed, Error> {
        check_id(id)?;
        if let Some(claimed) = self.store.claim_binding(id, self.clock.now()).await? {
            return Ok(claimed);
        }
        Err(match self.look(id).await?.status {
            Status::Pending => Error::NotScanned,
            Status::Claimed => Error::AlreadyClaimed,
            Status::Expired => Error::Expired,
            Status::Scanned => Error::FollowerLeft,
        })
    }
}

/// Ends when this process was told of a scan of the binding, or has missed what it was told.
async fn heard_of(id: &str, scanned: &mut broadcast::Receiver<String>) {
    while scanned.recv().await.is_ok_and(|heard| heard != id) {}
}

/// Of any other text there is no binding, and not every text may be asked of a database.
fn check_id(id: &str) -> Result<(), Error> {
    let is_ours = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if id.len() == ID_LEN && id.bytes().all(is_ours) {
        Ok(())
    } else {
        Err(Error::Unknown)
    }
}

/// 128 random bits, in [`ID_LEN`] characters.
fn unguessable() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the operating system has random numbers");
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
