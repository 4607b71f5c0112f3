//! `GET /api/account`: the state of the account, for its owner.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::callback::{self, LastRejection, Summary};
use crate::codes::Tokens;
use crate::codes::{AccountFault, CircuitBreaker};
use crate::codes::{Codes, Supplies};
use crate::http::callback::Callback;
use crate::http::extract::key_holder::{Stats, WithScope};
use crate::http::problem::{Document, Problem};
use crate::http::time_format::rfc3339;
use crate::remedy;
use crate::webhooks::{self, Monitor, WebhookHealth};

/// State of the account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountBody {
    /// The access token.
    token: TokenState,
    /// Codes made today (China's day), by all replicas.
    mints_today: u64,
    /// What visitors without a key may cause.
    budget: BudgetBody,
    /// The permanent stock.
    permanent: Permanent,
    /// What only the account's owner can fix; absent while all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultBody>,
    /// Requests to the callback since this process was started; absent while the
    /// callback is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback: Option<CallbackBody>,
    /// The deliveries of webhooks, of all replicas together; absent without a receiver.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<WebhookBody>,
}

/// How far events are delivered by webhooks, and how it goes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookBody {
    /// `ok`; `failing` while the last tries failed; `stopped` after the receiver answered 410.
    status: &'static str,
    /// When events were delivered last (RFC 3339, UTC); absent before the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_success_at: Option<String>,
    /// The last failure, which may be over; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<WebhookFailureBody>,
    /// Failures since the last success.
    failures: u32,
    /// When the next try is (RFC 3339, UTC); absent unless the last ones failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_try_at: Option<String>,
    /// Events that are stored and not delivered, scans of bindings included.
    lag_events: u64,
    /// The age of the oldest of them, in seconds.
    lag_seconds: u64,
}

/// A webhook that was not delivered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookFailureBody {
    /// When (RFC 3339, UTC).
    at: String,
    /// `refused` (a status that is no success), `gone` (410), `timeout` or `unreachable`.
    reason: &'static str,
    /// The status that the receiver answered, if it answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
}

/// Requests to the callback: counts of one process, without other replicas.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CallbackBody {
    /// When the last push was accepted (RFC 3339, UTC); absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_push_at: Option<String>,
    /// Pushes that were proven to be WeChat's, could be read and are stored where they are
    /// counted, repeats included.
    accepted: u64,
    /// Requests that were not, those of strangers included.
    refused: u64,
    /// Of those, since the last push was accepted, the ones that are proven or have the signature
    /// of another Token.
    refused_since_accepted: u64,
    /// The last refusal with a likely cause in the set-up; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_refusal: Option<RejectionBody>,
}

/// Why a request to the callback was rejected.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefusalBody)]
pub(crate) struct RejectionBody {
    /// `not_encrypted`, `no_key`, `other_key`, `other_account`, `clock`, `altered`, `unreadable`,
    /// `other_token` or `unsigned`.
    code: &'static str,
    /// The same in words.
    reason: String,
    /// What to do.
    action: &'static str,
    /// Whether the sender knew the Token, or had seen a request of WeChat's. If not, it may have
    /// been any stranger. One that is not proven is shown only if no proven one came since the
    /// last push that was accepted, and `unsigned` only if no `other_token` came either.
    proven: bool,
    /// When (RFC 3339, UTC).
    at: String,
    /// Whether a push was accepted after it.
    accepted_since: bool,
}

/// The access token's state, never the token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenState {
    /// `held` or `none`.
    state: &'static str,
    /// When it ends (RFC 3339, UTC).
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
}

/// Codes that visitors may have created in a day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Budget)]
pub(crate) struct BudgetBody {
    limit: u64,
    left: u64,
}

/// The permanent stock.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Permanent {
    /// Codes in the ledger, unknown outcomes included.
    used: u64,
    /// Of those, the ones whose outcome is unknown: WeChat may have created them.
    unknown: u64,
    left: u64,
    limit: u64,
}

/// A fault of the account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FaultBody {
    /// WeChat's return code.
    errcode: i64,
    /// What it means.
    meaning: &'static str,
    /// What to do.
    action: &'static str,
    /// The address to allow, where WeChat named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    ip: Option<IpAddr>,
    /// When WeChat said so last (RFC 3339, UTC).
    at: String,
}

/// Shows the state of the account: token, mints, stock, and the last fault with its remedy.
#[utoipa::path(
    get,
    path = "/api/account",
    responses(
        (status = 200, description = "State of the account", body = AccountBody),
        (status = "4XX", description = "The request is not valid or not allowed", body = Document, content_type = "application/problem+json"),
        (status = "5XX", description = "The service failed", body = Document, content_type = "application/problem+json"),
    ),
    security(("key" = [])),
    tag = "operating",
)]
pub(crate) async fn show(
    State(codes): State<Arc<Codes>>,
    State(tokens): State<Arc<Tokens>>,
    State(breaker): State<Arc<CircuitBreaker>>,
    State(callback): State<Option<Arc<Callback>>>,
    State(webhooks): State<Option<Monitor>>,
    _: WithScope<Stats>,
) -> Result<Json<AccountBody>, Problem> {
    let supplies = codes.supplies().await?;
    let expires_at = tokens.expires_at();
    let webhook = match webhooks {
        Some(webhooks) => webhooks.status().await?,
        None => None,
    };
    Ok(Json(AccountBody {
        token: TokenState {
            state: if expires_at.is_some() { "held" } else { "none" },
            expires_at: expires_at.map(rfc3339),
        },
        mints_today: supplies.mints_today,
        budget: BudgetBody {
            limit: supplies.budget,
            left: supplies.budget_left,
        },
        permanent: permanent(&supplies),
        fault: breaker.fault().as_ref().map(fault),
        callback: callback.map(|callback| pushes(callback.summary())),
        webhook: webhook.map(deliveries),
    }))
}

fn deliveries(status: webhooks::WebhookStatus) -> WebhookBody {
    let health = status.health();
    let webhooks::WebhookStatus { progress, lag } = status;
    let failure = |failure: webhooks::AttemptFailure| WebhookFailureBody {
        at: rfc3339(failure.at),
        reason: failure.reason.as_str(),
        http_status: failure.reason.status(),
    };
    WebhookBody {
        status: health.as_str(),
        last_success_at: progress.delivered_at.map(rfc3339),
        last_failure: progress.last_failure.map(failure),
        failures: progress.failures,
        next_try_at: (health == WebhookHealth::Failing).then(|| rfc3339(progress.next_attempt_at)),
        lag_events: lag.events,
        lag_seconds: lag.age.as_secs(),
    }
}

fn pushes(summary: Summary) -> CallbackBody {
    CallbackBody {
        last_push_at: summary.last_push_at.map(rfc3339),
        accepted: summary.accepted,
        refused: summary.rejected,
        refused_since_accepted: summary.rejected_since_accepted,
        last_refusal: summary.last_rejection.map(rejection),
    }
}

fn rejection(last: LastRejection) -> RejectionBody {
    RejectionBody {
        code: last.diagnosis.code(),
        reason: callback::likely_cause(last.diagnosis).to_string(),
        action: callback::action(last.diagnosis),
        proven: last.diagnosis.is_proven(),
        at: rfc3339(last.at),
        accepted_since: last.accepted_since,
    }
}

fn permanent(supplies: &Supplies) -> Permanent {
    Permanent {
        used: supplies.stock.used,
        unknown: supplies.stock.unknown,
        left: supplies.permanent_left(),
        limit: supplies.permanent_limit,
    }
}

fn fault(fault: &AccountFault) -> FaultBody {
    let errcode = fault.refusal.errcode;
    FaultBody {
        errcode: errcode.0,
        meaning: errcode.meaning(),
        action: remedy::for_errcode(errcode),
        ip: fault.refusal.address(),
        at: rfc3339(fault.at),
    }
}
