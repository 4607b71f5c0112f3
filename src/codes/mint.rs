//! What all mints share: the call to WeChat with a token that works, and how a mint can fail.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use moka::sync::Cache;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;

use super::known::Known;
use super::pace_log::PaceLog;
use super::payment::{Budget, BudgetExhausted};
use super::slots::Slots;
use super::unsaved::Unsaved;
use super::{Parts, Settings, Supplies};
use crate::access::{PaceExceeded, Pacer, Payer};
use crate::account::{Priority, Stopped};
use crate::flight::Lost;
use crate::scene::{CodeSpec, Lifetime, PermanentScene, Scene};
use crate::store::{self, Store};
use crate::telemetry::{self, Causes};
use crate::ticket::{IssuedCode, Life};
use crate::token::{self, Death};
use crate::wechat::{self, AccessToken, Api, Class, CreatedCode, Errcode};

/// How long a mint may take, whoever still waits for it.
pub(super) const MINT_TIMEOUT: Duration = Duration::from_secs(30);

/// How many mints of unknown outcome are remembered. Beyond it a caller only waits longer for the same answer.
const MOST_ENDED_UNKNOWN: u64 = 10_000;

/// How often the store is asked whether another replica has finished.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// Makes codes.
#[derive(Debug)]
pub(super) struct Minter {
    pub(super) parts: Parts,
    pub(super) settings: Settings,
    pub(super) budget: Budget,
    pub(super) slots: Slots,
    pub(super) pacer: Pacer,
    pub(super) pace_log: PaceLog,
    /// In front of the store. A mint puts its code here itself, so that it is known though nobody waits any more.
    pub(super) known: Known,
    pub(super) unsaved: Unsaved,
    /// For results that must be written although nobody waits any more.
    pub(super) tasks: TaskTracker,
    /// Permanent codes whose mint this process saw end without a known outcome, for as long as somebody might think that
    /// it still goes on.
    pub(super) ended_unknown: Cache<PermanentScene, ()>,
    /// Permanent codes that were made and are not in the ledger yet.
    pub(super) unwritten: Cache<PermanentScene, ()>,
}

/// A wish for a code, and when it came.
#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) spec: CodeSpec,
    pub(super) arrived: Timestamp,
}

impl Wish {
    /// The same for a code that lives at least so long.
    pub(super) fn for_at_least(&self, longest: Option<Lifetime>) -> Self {
        let mut longer = self.clone();
        if let CodeSpec::Temporary { lifetime, .. } = &mut longer.spec {
            *lifetime = longest.map_or(*lifetime, |longest| longest.max(*lifetime));
        }
        longer
    }
}

/// A code, and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Minted {
    pub(super) code: Arc<IssuedCode>,
    pub(super) source: Source,
}

/// Where a code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// This process knew it.
    Memory,
    /// The store knew it: from before a restart, or from another replica.
    Store,
    /// It was made for this caller.
    Minted,
    /// It was made for another caller, who came first.
    Joined,
}

impl Source {
    /// The name in metrics.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Store => "store",
            Self::Minted => "minted",
            Self::Joined => "joined",
        }
    }
}

/// Why a mint gave no code.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// WeChat refused, or could not be heard.
    #[error("no ticket")]
    WeChat(#[source] wechat::Error),
    /// WeChat's minute limit refused a call with high priority, whose next probe is near.
    #[error("no ticket within WeChat's minute limit")]
    MinuteLimit(#[source] wechat::Error),
    /// There is no access token to call with; the cause is in the log already.
    #[error("no ticket without a token")]
    Token(#[source] Arc<token::Error>),
    /// The account's quota is used up.
    #[error("no ticket while calls are stopped")]
    Stopped(#[source] Stopped),
    /// The visitors' mints of the day are used up.
    #[error(transparent)]
    Budget(#[from] BudgetExhausted),
    /// The ledger is full.
    #[error("the ledger of permanent codes is full")]
    LedgerFull,
    /// Nobody knows whether an earlier mint of this permanent code made one.
    #[error("the outcome of an earlier mint of this permanent code is not known")]
    OutcomeUnknown {
        /// Until it may be repeated; none once it was repeated as often as it may be.
        retry_after: Option<Duration>,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// No turn to call WeChat came in time.
    #[error("too many codes are being made")]
    Crowded,
    /// A permanent code was made and is not in the ledger yet: this process goes on trying to write it.
    #[error("a result of this permanent code is still to be written down")]
    Unwritten,
    /// The token came too late to ask WeChat.
    #[error("no token in time")]
    TokenTimeout,
    /// It took longer than a mint may.
    #[error("the mint took too long")]
    Timeout,
    /// The code's life was over by the time that WeChat's answer was here.
    #[error("the mint took longer than the code was to live")]
    DeadOnArrival,
    /// Visitors have as many codes made as they may all together.
    #[error(transparent)]
    Paced(#[from] PaceExceeded),
    /// A defect of ours.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl Minter {
    pub(super) fn new(parts: Parts, settings: Settings, tasks: TaskTracker) -> Self {
        let budget = Budget::new(settings.anonymous_budget);
        let pacer = Pacer::new(settings.visitor_pace, Arc::clone(&parts.clock));
        Self {
            parts,
            settings,
            budget,
            slots: Slots::new(),
            pacer,
            pace_log: PaceLog::default(),
            known: Known::new(settings.cache_entries),
            unsaved: Unsaved::default(),
            tasks,
            ended_unknown: Cache::builder()
                .max_capacity(MOST_ENDED_UNKNOWN)
                .time_to_live(MINT_TIMEOUT)
                .build(),
            unwritten: Cache::new(MOST_ENDED_UNKNOWN),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(super) fn store(&self) -> &Store {
        &self.parts.store
    }

    /// The code of a wish, if this process knows one that will do.
    pub(super) fn remember(&self, wish: &Wish) -> Option<Minted> {
        let known = self.known.get(&wish.spec.scene())?;
        self.will_do(&known, wish).then_some(Minted {
            code: known,
            source: Source::Memory,
        })
    }

    /// Whether a code satisfies a wish.
    pub(super) fn will_do(&self, code: &IssuedCode, wish: &Wish) -> bool {
        self.settings
            .reuse
            .is_fresh(code, wish.spec.lifetime(), wish.arrived, self.now())
    }

    pub(super) fn floor(&self, code: &IssuedCode, wish: &Wish) -> Duration {
        self.settings.reuse.floor(code, wish.spec.lifetime())
    }

    /// The code of the store, or a new one, known from now on. Logged here, once for all who wait.
    pub(super) async fn obtain(&self, wish: &Wish, payer: Payer) -> Result<Minted, MintError> {
        let started = Instant::now();
        let result = match &wish.spec {
            CodeSpec::Temporary { scene, .. } => self.temporary(scene, wish, payer).await,
            CodeSpec::Permanent { scene } => self.permanent(scene, &wish.spec, payer).await,
        };
        let scene = wish.spec.scene();
        match &result {
            Ok(minted) => {
                self.known.keep(&scene, Arc::clone(&minted.code));
                if minted.source == Source::Minted {
                    log_mint(&scene, started.elapsed());
                }
            }
            Err(error) => error.log(&scene),
        }
        result
    }

    /// Counts a mint of the day, if not in the store then for it.
    pub(super) async fn count_mint(&self) {
        if !self.store().is_up() || self.store().count_mints(1).await.is_err() {
            self.unsaved.count_mint();
        }
    }

    /// Tells the store what it missed while it could not be used.
    pub(super) async fn catch_up(&self) {
        if self.store().is_up() {
            // The store itself says when it goes; what it did not take is held on.
            self.unsaved.tell(self.store()).await.ok();
        }
    }

    pub(super) async fn supplies(&self) -> Result<Supplies, store::Error> {
        let (anonymous, mints_today) = self.store().mints_today().await?;
        let stock = self.store().stock().await?;
        let permanent_limit = self.settings.permanent_limit;
        telemetry::permanent_stock(stock.used, permanent_limit);
        Ok(Supplies {
            mints_today,
            budget: self.budget.a_day(),
            budget_left: self.budget.left_after(anonymous),
            stock,
            permanent_limit,
        })
    }
}

fn log_mint(scene: &Scene, took: Duration) {
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // The service's own are a binding's, which are to be known to nobody.
    let told = Some(scene.value()).filter(|_| !scene.is_reserved());
    let scene_told = told.map(tracing::field::debug);
    tracing::info!(kind = %scene.kind(), scene = scene_told, duration_ms, "code minted");
}

/// Calls that a key causes go before those of visitors.
pub(super) fn priority(payer: Payer) -> Priority {
    match payer {
        Payer::Key => Priority::High,
        Payer::Visitor(_) => Priority::Low,
    }
}

impl Parts {
    /// Creates the ticket. A dead token is replaced and the call sent again, as [`Renewals`] allows; after `deadline`
    /// nothing is waited for. Nothing is looked up or kept. Not cancel safe: a ticket that WeChat made meanwhile would be
    /// lost.
    pub(crate) async fn create(
        &self,
        spec: &CodeSpec,
        priority: Priority,
        deadline: Instant,
    ) -> Result<IssuedCode, MintError> {
        let mut token = token_by(deadline, self.tokens.get()).await?;
        let mut renewals = Renewals::default();
        loop {
            let refused = match self.call(&token, spec, priority, deadline).await {
                Err(MintError::WeChat(error)) if error.class() == Some(Class::TokenDead) => error,
                result => {
                    if result.is_ok() {
                        self.tokens.accepted(&token);
                    }
                    return result;
                }
            };
            let (newer, death) = token_by(deadline, self.tokens.replace(&token)).await?;
            if !renewals.allow(death) {
                return Err(MintError::WeChat(refused));
            }
            telemetry::token_retry(death.as_str());
            token = newer;
        }
    }

    /// One call, if the account's quota lets it through.
    async fn call(
        &self,
        token: &AccessToken,
        spec: &CodeSpec,
        priority: Priority,
        deadline: Instant,
    ) -> Result<IssuedCode, MintError> {
        let pass = self.account.admit(Api::Create, priority).await;
        let pass = pass.map_err(MintError::Stopped)?;
        let minted_at = self.clock.now();
        let called = timeout_at(deadline, self.wechat.create_code(token, spec)).await;
        let result = called.map_err(|_| MintError::Timeout)?;
        self.account.learn(pass, &result).await;
        result
            .map(|created| issued(spec, minted_at, created))
            .map_err(|error| MintError::of_call(error, priority))
    }
}

/// Bounds how often one mint goes on with a newer token after WeChat refused the one that it had.
///
/// A second refusal of the newest token that never worked ends the mint, because the account is at fault then. A token
/// that another holder of the account ended meanwhile says nothing about the account.
#[derive(Debug, Default)]
struct Renewals {
    all: u32,
    of_newest: u32,
}

impl Renewals {
    /// The most newer tokens for one mint. Chosen: a mint takes part of a second, and who takes the token away more often
    /// than that leaves no usable token to any caller.
    const MOST: u32 = 4;

    fn allow(&mut self, death: Death) -> bool {
        self.all += 1;
        self.of_newest += u32::from(death != Death::Superseded);
        let account_at_fault = death == Death::NeverAccepted && self.of_newest > 1;
        self.all <= Self::MOST && !account_at_fault
    }
}

async fn token_by<T>(
    deadline: Instant,
    taking: impl Future<Output = Result<Result<T, Arc<token::Error>>, Lost>>,
) -> Result<T, MintError> {
    let in_time = timeout_at(deadline, taking).await;
    let token = in_time.map_err(|_| MintError::TokenTimeout)??;
    token.map_err(MintError::Token)
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
    fn of_call(error: wechat::Error, priority: Priority) -> Self {
        let is_minute_limit = matches!(
            &error,
            wechat::Error::Refused(refusal) if refusal.errcode == Errcode::MINUTE_LIMIT
        );
        if is_minute_limit && priority == Priority::High {
            Self::MinuteLimit(error)
        } else {
            Self::WeChat(error)
        }
    }

    /// Whether the failure also answers a caller that joined the mint with another request. A failure caused by the starter's
    /// own lifetime or deadline does not.
    pub(super) fn concerns(&self, asked: Option<Lifetime>, wish: &Wish) -> bool {
        match self {
            Self::DeadOnArrival => asked >= wish.spec.lifetime(),
            Self::Timeout | Self::TokenTimeout | Self::Crowded => false,
            _ => true,
        }
    }

    /// Whether it cost nothing: WeChat was not asked for a code.
    pub(super) fn is_free(&self) -> bool {
        self.is_before_the_call() || matches!(self, Self::Budget(_) | Self::Store(_))
    }

    /// Whether WeChat certainly made no code: it said so, or was not asked.
    pub(super) fn is_without_effect(&self) -> bool {
        match self {
            Self::WeChat(error) | Self::MinuteLimit(error) => !error.is_ambiguous(),
            Self::Token(_)
            | Self::Stopped(_)
            | Self::Budget(_)
            | Self::LedgerFull
            | Self::Crowded
            | Self::Paced(_)
            | Self::TokenTimeout => true,
            Self::OutcomeUnknown { .. }
            | Self::Unwritten
            | Self::Store(_)
            | Self::Timeout
            | Self::DeadOnArrival
            | Self::Lost(_) => false,
        }
    }

    /// Whether the request never left.
    pub(super) fn is_before_the_call(&self) -> bool {
        match self {
            Self::WeChat(error) => error.is_before_sending(),
            Self::Token(_)
            | Self::Stopped(_)
            | Self::Crowded
            | Self::Paced(_)
            | Self::TokenTimeout => true,
            _ => false,
        }
    }

    fn log(&self, scene: &Scene) {
        match self {
            // The rooms below have logged the causes of these, once for many mints.
            Self::Token(_)
            | Self::Stopped(_)
            | Self::Store(_)
            | Self::Budget(_)
            | Self::Unwritten => {}
            Self::Paced(_) => tracing::debug!(error = %self, "code not minted"),
            Self::LedgerFull | Self::OutcomeUnknown { .. } | Self::Crowded => tracing::warn!(
                kind = %scene.kind(),
                scene = ?scene.value(),
                error = %Causes(self),
                "code not minted"
            ),
            Self::WeChat(_)
            | Self::MinuteLimit(_)
            | Self::TokenTimeout
            | Self::Timeout
            | Self::DeadOnArrival
            | Self::Lost(_) => self.log_fault(scene),
        }
    }

    fn log_fault(&self, scene: &Scene) {
        let refusal = match self {
            Self::WeChat(wechat::Error::Refused(refusal))
            | Self::MinuteLimit(wechat::Error::Refused(refusal)) => Some(refusal),
            _ => None,
        };
        tracing::error!(
            kind = %scene.kind(),
            scene = ?scene.value(),
            errcode = refusal.map(|refusal| refusal.errcode.0),
            errmsg = refusal.map(|refusal| refusal.errmsg.as_str()),
            action = refusal.map(|refusal| refusal.errcode.action()),
            error = %Causes(self),
            "code not minted"
        );
    }
}
