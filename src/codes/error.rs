//! How a request and a mint can fail.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use wechat::Errcode;
use wechat::scene::{Lifetime, Scene};

use super::breaker::{BreakerOpen, Priority};
use super::request::{CodeRequest, Obtained, Source};
use super::single_flight::TaskAborted;
use super::sql::ImportConflict;
use super::token::TokenError;
use crate::access::{MissingPermission, PaceExceeded, RateExceeded};
use crate::clock::China;
use crate::db;
use crate::remedy;
use crate::telemetry::Causes;

/// Why a caller gets no code.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The code does not exist yet, and this caller may not have it made.
    #[error("the caller may not create this code")]
    MintNotAllowed(MissingPermission),
    /// The code does not exist yet, and this visitor has minted enough for now.
    #[error(transparent)]
    RateLimited(#[from] RateExceeded),
    /// The code does not exist yet, and the visitors' mints of the day are used up.
    #[error(transparent)]
    BudgetExhausted(#[from] BudgetExhausted),
    /// The mint failed; shared by all who waited for it.
    #[error(transparent)]
    Mint(Arc<MintError>),
    /// No code within the time that a caller waits. The mint goes on.
    #[error("no code in time")]
    Timeout,
    /// More mints are under way than we keep in memory.
    #[error("too many codes are being created")]
    TooMany,
    /// The code to be recorded contradicts one that is recorded already.
    #[error("something else is recorded")]
    ImportConflict(ImportConflict),
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Why a mint gave no code.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// WeChat refused the call, or gave no usable answer.
    #[error("no ticket")]
    WeChat(#[source] wechat::Error),
    /// WeChat's minute limit refused a call with high priority, whose next probe is near.
    #[error("no ticket within WeChat's minute limit")]
    MinuteLimit(#[source] wechat::Error),
    /// There is no access token to call with; the cause is in the log already.
    #[error("no ticket without a token")]
    Token(#[source] Arc<TokenError>),
    /// The account's quota is used up.
    #[error("no ticket while calls are stopped")]
    CircuitOpen(#[source] BreakerOpen),
    /// The visitors' mints of the day are used up.
    #[error(transparent)]
    Budget(#[from] BudgetExhausted),
    #[error("the ledger of permanent codes is full")]
    LedgerFull,
    /// The outcome of an earlier mint of this permanent code is unknown.
    #[error("the outcome of an earlier try to create this permanent code is not known")]
    OutcomeUnknown {
        /// Until it may be repeated; none once it was repeated as often as it may be.
        retry_after: Option<Duration>,
    },
    #[error(transparent)]
    Database(#[from] db::Error),
    /// No permit to call WeChat in time.
    #[error("too many codes are being created")]
    NoPermit,
    /// A permanent code was made and is not in the ledger yet: this process goes on trying to write
    /// it.
    #[error("a result of this permanent code is still to be saved")]
    Unwritten,
    /// The token came too late to ask WeChat.
    #[error("no token in time")]
    TokenTimeout,
    /// It took longer than a mint may.
    #[error("creating the code took too long")]
    Timeout,
    /// The code's lifetime was over by the time that WeChat had answered.
    #[error("creating the code took longer than its lifetime")]
    ExpiredOnArrival,
    /// Visitors have as many codes made as they may all together.
    #[error(transparent)]
    Paced(#[from] PaceExceeded),
    /// The task of the mint panicked or was aborted: a defect of ours.
    #[error(transparent)]
    TaskAborted(#[from] TaskAborted),
}

/// The visitors' budget is used up until the next day in China.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the visitors' budget of the day is used up")]
pub struct BudgetExhausted {
    /// Until the next day begins in China.
    pub retry_after: Duration,
}

impl BudgetExhausted {
    pub(super) fn at(now: Timestamp) -> Self {
        Self {
            retry_after: China::until_midnight(now),
        }
    }
}

impl MintError {
    pub(super) fn of_call(error: wechat::Error, priority: Priority) -> Self {
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

    /// Whether the failure also answers a caller that joined the mint with another request. A
    /// failure caused by the starter's own lifetime or deadline does not.
    pub(super) fn concerns(&self, asked: Option<Lifetime>, request: &CodeRequest) -> bool {
        match self {
            Self::ExpiredOnArrival => asked >= request.spec.lifetime(),
            Self::Timeout | Self::TokenTimeout | Self::NoPermit => false,
            _ => true,
        }
    }

    /// Whether it cost nothing: WeChat was not asked for a code.
    pub(super) fn is_free(&self) -> bool {
        self.is_before_the_call() || matches!(self, Self::Budget(_) | Self::Database(_))
    }

    /// Whether WeChat certainly made no code: it said so, or was not asked.
    pub(super) fn is_without_effect(&self) -> bool {
        match self {
            Self::WeChat(error) | Self::MinuteLimit(error) => !error.is_ambiguous(),
            Self::Token(_)
            | Self::CircuitOpen(_)
            | Self::Budget(_)
            | Self::LedgerFull
            | Self::NoPermit
            | Self::Paced(_)
            | Self::TokenTimeout => true,
            Self::OutcomeUnknown { .. }
            | Self::Unwritten
            | Self::Database(_)
            | Self::Timeout
            | Self::ExpiredOnArrival
            | Self::TaskAborted(_) => false,
        }
    }

    /// Whether the request never left.
    pub(super) fn is_before_the_call(&self) -> bool {
        match self {
            Self::WeChat(error) => error.is_before_sending(),
            Self::Token(_)
            | Self::CircuitOpen(_)
            | Self::NoPermit
            | Self::Paced(_)
            | Self::TokenTimeout => true,
            _ => false,
        }
    }

    pub(super) fn log(&self, scene: &Scene) {
        match self {
            // The rooms below have logged the causes of these, once for many mints.
            Self::Token(_)
            | Self::CircuitOpen(_)
            | Self::Database(_)
            | Self::Budget(_)
            | Self::Unwritten => {}
            Self::Paced(_) => tracing::debug!(error = %self, "code not created"),
            Self::LedgerFull | Self::OutcomeUnknown { .. } | Self::NoPermit => tracing::warn!(
                kind = %scene.kind(),
                scene = ?scene.value(),
                error = %Causes(self),
                "code not created"
            ),
            Self::WeChat(_)
            | Self::MinuteLimit(_)
            | Self::TokenTimeout
            | Self::Timeout
            | Self::ExpiredOnArrival
            | Self::TaskAborted(_) => self.log_fault(scene),
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
            action = refusal.map(|refusal| remedy::for_errcode(refusal.errcode)),
            error = %Causes(self),
            "code not created"
        );
    }
}

/// Whether no code was asked of WeChat.
pub(super) fn is_free(result: &Result<Obtained, MintError>) -> bool {
    match result {
        Ok(minted) => minted.source != Source::Minted,
        Err(error) => error.is_free(),
    }
}
