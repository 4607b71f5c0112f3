//! Minting a permanent code: a write-ahead intent before the call, the result before the answer,
//! because a permanent code cannot be deleted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use wechat::Api;
use wechat::scene::{CodeSpec, PermanentScene, Scene};
use wechat::ticket::IssuedCode;

use super::error::MintError;
use super::mint::{MINT_TIMEOUT, Minter, priority};
use super::request::{CodeRequest, Obtained, Source};
use super::sql::{CodeStore, Intent, LEASE_POLL, REPEAT_AFTER, ReserveOutcome, Stop};
use crate::access::Requester;
use crate::db;
use crate::telemetry::Causes;

/// The pause between two tries to write a result that has not been answered yet.
const WRITE_PAUSE: Duration = Duration::from_millis(500);

const _: () = assert!(
    REPEAT_AFTER.as_secs() >= 2 * MINT_TIMEOUT.as_secs(),
    "a mint, and the write of its result, are over before another caller repeats it"
);

impl Minter {
    /// Obtains a permanent code: the one of the ledger, the one that another replica is minting, or
    /// a new one.
    ///
    /// Only the wait and the call have a deadline. The write of the result has none: without it a
    /// code that exists would be lost.
    pub(super) async fn permanent(
        &self,
        scene: &PermanentScene,
        request: &CodeRequest,
    ) -> Result<Obtained, MintError> {
        if self.unwritten.contains_key(scene) {
            return Err(MintError::Unwritten);
        }
        let version = self.deps.breaker.state_version();
        let intent = match self.reserve(scene, request).await? {
            Reserved::Ours(intent, stop) => {
                self.deps.breaker.observe(version, Api::Create, stop);
                intent
            }
            Reserved::Known(code) => {
                return Ok(Obtained {
                    code: Arc::new(code),
                    source: Source::Database,
                });
            }
        };
        match self.create_with_permit(&request.spec).await {
            Ok(code) => self.confirm(scene, intent, code).await,
            Err(error) => {
                if error.is_without_effect() {
                    self.withdraw(scene, intent).await;
                } else {
                    self.ended_unknown.insert(scene.clone(), ());
                }
                Err(error)
            }
        }
    }

    /// Waits for a permit and calls, together no longer than a mint may take, so that no intent is
    /// repeated whose call is still to come.
    async fn create_with_permit(&self, spec: &CodeSpec) -> Result<IssuedCode, MintError> {
        // Visitors have no permanent codes created.
        let (requester, pace) = (Requester::Key, &mut None);
        let deadline = Instant::now() + MINT_TIMEOUT;
        let mut permit = self.admission.try_enter(requester, pace);
        if permit.is_none() {
            let waiting = timeout_at(deadline, self.admission.enter(requester, pace));
            permit = Some(waiting.await.map_err(|_| MintError::NoPermit)??);
            // Another replica may have stopped the calls meanwhile.
            self.deps.breaker.refresh(Api::Create).await;
        }
        let created = self.deps.create(spec, priority(requester), deadline).await;
        drop(permit);
        created
    }

    /// Reserves the mint by an intent, or finds the code. Waits while another replica's call may be
    /// under way.
    async fn reserve(
        &self,
        scene: &PermanentScene,
        request: &CodeRequest,
    ) -> Result<Reserved, MintError> {
        let limit = self.settings.permanent_limit;
        loop {
            let created_by = request.key.as_ref().map(|key| key.name().into());
            match self.store().reserve(scene, limit, created_by).await? {
                ReserveOutcome::Granted(intent, stop) => return Ok(Reserved::Ours(intent, stop)),
                ReserveOutcome::Exists(code) => return Ok(Reserved::Known(*code)),
                ReserveOutcome::Exhausted => return Err(MintError::LedgerFull),
                ReserveOutcome::Pending { retry_after }
                    if self.is_worth_waiting(scene, retry_after) =>
                {
                    tokio::time::sleep(LEASE_POLL).await;
                }
                ReserveOutcome::Pending { retry_after } => {
                    return Err(MintError::OutcomeUnknown { retry_after });
                }
            }
        }
    }

    /// Writes the result before it is answered. If it cannot be written now, a task of its own goes
    /// on trying: the code exists at WeChat, whatever becomes of this request.
    async fn confirm(
        &self,
        scene: &PermanentScene,
        intent: Intent,
        code: IssuedCode,
    ) -> Result<Obtained, MintError> {
        match self.store().confirm(&intent, &code).await {
            Ok(kept) => Ok(Obtained {
                code: Arc::new(kept),
                source: Source::Minted,
            }),
            Err(error) => {
                log_unwritten(intent.scene(), &code);
                // Known to be made, so that this process does not repeat the mint meanwhile.
                self.unwritten.insert(scene.clone(), ());
                let (store, unwritten, scene) =
                    (self.store().clone(), self.unwritten.clone(), scene.clone());
                self.tasks.spawn(async move {
                    confirm_until_written(&store, &intent, &code).await;
                    unwritten.invalidate(&scene);
                });
                Err(error.into())
            }
        }
    }

    /// Withdraws the intent of a call that certainly made no code, which gives its stock back. If
    /// that fails, a task repeats it, and requests for the scene do not wait meanwhile.
    async fn withdraw(&self, scene: &PermanentScene, intent: Intent) {
        if let Err(error) = self.store().withdraw(&intent).await {
            tracing::warn!(
                error = %Causes(&error),
                "an intent could not be withdrawn: it counts against the limit, and is retried"
            );
            self.ended_unknown.insert(scene.clone(), ());
            let store = self.store().clone();
            self.tasks.spawn(async move {
                // A row that cannot be read is in the log; it counts.
                repeat_until_written(|| store.withdraw(&intent)).await.ok();
            });
        }
    }

    /// Whether another replica's call may still be running. Not for an intent older than a call
    /// may take, nor for one whose call ended in this process.
    fn is_worth_waiting(&self, scene: &PermanentScene, retry_after: Option<Duration>) -> bool {
        let seen_to_end = self.ended_unknown.contains_key(scene);
        !seen_to_end
            && retry_after.is_some_and(|wait| wait > REPEAT_AFTER.saturating_sub(MINT_TIMEOUT))
    }
}

/// The result of a reservation that was waited for.
enum Reserved {
    Ours(Intent, Option<Stop>),
    Known(IssuedCode),
}

/// Logs all that it takes to record the code by hand, should this process end before it can.
fn log_unwritten(scene: &Scene, code: &IssuedCode) {
    tracing::error!(
        kind = %scene.kind(),
        scene = ?scene.value(),
        ticket = code.ticket.as_str(),
        url = code.url.as_str(),
        action = "nothing, if \"the permanent code is saved\" follows; else record it with POST /api/codes",
        "a permanent code could not be saved: retrying"
    );
}

/// Repeats the write of a result until it is stored, or can never be.
async fn confirm_until_written(store: &CodeStore, intent: &Intent, code: &IssuedCode) {
    let (kind, value) = (intent.scene().kind(), intent.scene().value());
    match repeat_until_written(|| store.confirm(intent, code)).await {
        Ok(_) => tracing::info!(%kind, scene = ?value, "the permanent code is saved"),
        Err(error) => tracing::error!(
            %kind,
            scene = ?value,
            error = %Causes(&error),
            "a permanent code cannot be saved"
        ),
    }
}

/// Repeats a write until the database takes it, or has a row in its way that cannot be read.
async fn repeat_until_written<T, F>(mut write: impl FnMut() -> F) -> Result<T, db::Error>
where
    F: Future<Output = Result<T, db::Error>>,
{
    loop {
        tokio::time::sleep(WRITE_PAUSE).await;
        match write().await {
            Err(db::Error::Timeout | db::Error::Busy | db::Error::Failed(_)) => {}
            result => return result,
        }
    }
}
