//! Does a set-up work, and if not, what is there to do? One line for each check, in the order in which things depend on
//! each other.
//!
//! Read [`examine`] first. It uses the same rooms as the service, so that what it finds is what the service meets; a
//! running service is not disturbed. No finding holds a secret.

mod callback;
mod pushes;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::app::{self, Stores};
use crate::clock::{Clock, SystemClock};
use crate::codes::Priority;
use crate::codes::TokenError;
use crate::codes::{MintError, Parts};
use crate::config::{Config, ConfigErrors, ExtraCa, Limitation};
use crate::db::{ClockDifference, Database, OpenError, SchemaState};
use crate::outbound::{self, ProbeError};
use crate::scene::{CodeSpec, Lifetime, SceneText, TemporaryScene};
use crate::telemetry::Causes;
use crate::wechat::{self, ApiError, Class, Errcode, TokenSource};

/// How long a host may take to answer. The service itself waits less, so a slower host is no help.
const PROBE_DEADLINE: Duration = Duration::from_secs(5);

/// How long making a code may take, as in the service.
const MINT_DEADLINE: Duration = Duration::from_secs(30);

/// The life of the code that is spent, in seconds.
const LIFE: u64 = 60;

/// What the lines are about, in their order.
const SETTINGS: &str = "settings";
const STORE: &str = "store";
const CLOCK: &str = "clock";
const HOST: &str = "host";
const ALLOW_LIST: &str = "allow-list";
const TOKEN: &str = "token";
const CODES: &str = "codes";
const CALLBACK: &str = "callback";

/// The answer to one question. Its text is a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    what: String,
    verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Fine { detail: String },
    Warned { trouble: String },
    Failed { trouble: String },
    Skipped { needs: String },
}

/// What happened, and what to do.
#[derive(Debug)]
struct Trouble {
    happened: String,
    action: String,
}

impl Finding {
    /// Whether something has to be done.
    pub fn is_failure(&self) -> bool {
        matches!(self.verdict, Verdict::Failed { .. })
    }

    fn is_fine(&self) -> bool {
        matches!(self.verdict, Verdict::Fine { .. })
    }

    fn new(what: impl Into<String>, verdict: Verdict) -> Self {
        Self {
            what: what.into(),
            verdict,
        }
    }

    fn fine(what: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(what, Verdict::Fine { detail })
    }

    fn failed(what: impl Into<String>, trouble: impl fmt::Display) -> Self {
        let trouble = trouble.to_string();
        Self::new(what, Verdict::Failed { trouble })
    }

    fn skipped(what: &str, needs: impl Into<String>) -> Self {
        let needs = needs.into();
        Self::new(what, Verdict::Skipped { needs })
    }

    fn warned(what: &str, trouble: impl fmt::Display) -> Self {
        let trouble = trouble.to_string();
        Self::new(what, Verdict::Warned { trouble })
    }

    fn limitation(limitation: &Limitation) -> Self {
        let trouble = Trouble::new(limitation.costs.as_str(), limitation.action);
        Self::warned(limitation.subject, trouble)
    }

    /// The same with one more thing to know, where it is fine.
    fn and(mut self, more: &str) -> Self {
        if let Verdict::Fine { detail } = &mut self.verdict {
            *detail = format!("{detail}; {more}");
        }
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match &self.verdict {
            Verdict::Fine { detail } => write!(f, "ok    {what}: {detail}"),
            Verdict::Warned { trouble } => write!(f, "warn  {what}: {trouble}"),
            Verdict::Failed { trouble } => write!(f, "FAIL  {what}: {trouble}"),
            Verdict::Skipped { needs } => write!(f, "skip  {what}: needs {needs}"),
        }
    }
}

impl Trouble {
    fn new(happened: impl Into<String>, action: impl Into<String>) -> Self {
        Self {
            happened: happened.into(),
            action: action.into(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.happened, self.action)
    }
}

/// Tells every mistake in the settings; nothing else can be checked then.
pub fn report_mistakes(mistakes: &ConfigErrors, tell: &mut dyn FnMut(Finding)) {
    for line in mistakes.lines() {
        // Each says itself what is accepted.
        tell(Finding::failed(SETTINGS, line));
    }
    for what in [STORE, HOST, ALLOW_LIST, TOKEN, CODES, CALLBACK] {
        tell(Finding::skipped(what, "the settings"));
    }
}

/// Checks a set-up and tells each finding as soon as it is there. Makes one temporary code. Not cancel safe: a classic
/// token that WeChat issued meanwhile would be lost.
///
/// `key` is an API key of the service with the scope `stats`, if there is one: the running service is asked with it.
pub async fn examine(
    config: &Config,
    key: Option<&SecretString>,
    tell: &mut (dyn FnMut(Finding) + Send),
) {
    tell(Finding::fine(
        SETTINGS,
        format!("AppID {}", config.account.app_id.as_str()),
    ));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    check_account(config, Arc::clone(&clock), tell).await;
    for limitation in config.limitations() {
        tell(Finding::limitation(&limitation));
    }
    if let Some(credentials) = &config.scans.callback {
        tell(callback::check(config, credentials, &*clock, key).await);
    }
}

/// Checks what making a code takes, down to a code.
async fn check_account(
    config: &Config,
    clock: Arc<dyn Clock>,
    tell: &mut (dyn FnMut(Finding) + Send),
) {
    let store = check_store(config, &clock, tell).await;
    for shared in Database::shared_files(&config.database_url) {
        let trouble = Trouble::new(shared.to_string(), shared.action());
        tell(Finding::warned(STORE, trouble));
    }
    let store = match (store, config.upstream.token_source) {
        (None, TokenSource::Stable) => Some(in_memory(config, &clock).await),
        (store, _) => store,
    };
    if !check_hosts(config, tell).await {
        skip_calls("a host that answers", tell);
        return;
    }
    let Some(store) = store else {
        // A classic token that is not taken through the store kills the one of a running service.
        skip_calls("the store, where the classic token is shared", tell);
        return;
    };
    let parts = app::parts(config, store.codes, clock, &TaskTracker::new())
        .expect("the hosts were asked with such a client");
    if check_token(&parts, tell).await {
        check_codes(&parts, tell).await;
    } else {
        tell(Finding::skipped(CODES, "a token"));
    }
}

fn skip_calls(needs: &str, tell: &mut (dyn FnMut(Finding) + Send)) {
    for what in [ALLOW_LIST, TOKEN, CODES] {
        tell(Finding::skipped(what, needs));
    }
}

/// What is not there is not made, and what an older version uses is left as it is.
async fn check_store(
    config: &Config,
    clock: &Arc<dyn Clock>,
    tell: &mut (dyn FnMut(Finding) + Send),
) -> Option<Stores> {
    let note = match Database::schema_state(&config.database_url).await {
        Ok(SchemaState::Current) => return check_ready_store(config, clock, tell).await,
        Ok(SchemaState::Missing) => "not there yet: `wxqr serve` makes it",
        Ok(SchemaState::Outdated) => "of an older version: `wxqr serve` brings it up to date",
        Err(error) => {
            tell(Finding::failed(STORE, store_trouble(&error)));
            return None;
        }
    };
    let database = Database::system(&config.database_url);
    tell(Finding::fine(STORE, format!("{database}, {note}")));
    None
}

async fn check_ready_store(
    config: &Config,
    clock: &Arc<dyn Clock>,
    tell: &mut (dyn FnMut(Finding) + Send),
) -> Option<Stores> {
    let app_id = config.account.app_id.as_str();
    let upstream = app::upstream(config);
    let opened = Stores::open_now(
        &config.database_url,
        app_id,
        &upstream,
        Arc::clone(clock),
        config.scans.person_key.as_ref(),
    );
    let store = match opened.await {
        Ok(store) => store,
        Err(error) => {
            tell(Finding::failed(STORE, store_trouble(&error)));
            return None;
        }
    };
    let used = match store.codes.stock().await {
        Ok(stock) => stock.used,
        Err(error) => {
            let happened = Causes(&error).to_string();
            let trouble = Trouble::new(happened, "look at the database's own log");
            tell(Finding::failed(STORE, trouble));
            return None;
        }
    };
    let detail = format!("{}, permanent codes in the ledger: {used}", store.database);
    tell(Finding::fine(STORE, detail));
    if let Some(difference) = store.database.clock_difference() {
        tell(clock_finding(difference));
    }
    Some(store)
}

fn store_trouble(error: &OpenError) -> Trouble {
    Trouble::new(Causes(error).to_string(), error.action())
}

fn clock_finding(difference: ClockDifference) -> Finding {
    if difference.is_too_much() {
        let trouble = Trouble::new(difference.to_string(), ClockDifference::ACTION);
        return Finding::failed(CLOCK, trouble);
    }
    Finding::fine(CLOCK, difference.to_string())
}

/// A stable token is not written down, so it can be checked without the store.
async fn in_memory(config: &Config, clock: &Arc<dyn Clock>) -> Stores {
    let url = SecretString::from("sqlite::memory:");
    let app_id = config.account.app_id.as_str();
    Stores::open_now(
        &url,
        app_id,
        &app::upstream(config),
        Arc::clone(clock),
        None,
    )
    .await
    .expect("memory can be opened")
}

/// Tells of each API host; whether one of them answers.
async fn check_hosts(config: &Config, tell: &mut (dyn FnMut(Finding) + Send)) -> bool {
    let extra_ca = config.upstream.extra_ca.as_ref().map(ExtraCa::as_pem);
    let client = match outbound::http_client(extra_ca) {
        Ok(client) => client,
        Err(error) => {
            let trouble = Trouble::new(Causes(&error).to_string(), "check WXQR_EXTRA_CA_FILE");
            tell(Finding::failed(HOST, trouble));
            return false;
        }
    };
    let mut answered = false;
    for base in &config.upstream.api_bases {
        let what = format!("{HOST} {}", authority(base));
        let started = Instant::now();
        match outbound::probe(&client, base.clone(), PROBE_DEADLINE).await {
            Ok(_) => {
                answered = true;
                let detail = format!("answers after {} ms", started.elapsed().as_millis());
                tell(Finding::fine(what, detail));
            }
            Err(error) => {
                let trouble = Trouble::new(error.to_string(), advice_for_host(&error));
                tell(Finding::failed(what, trouble));
            }
        }
    }
    answered
}

fn authority(base: &Url) -> String {
    let host = base.host_str().unwrap_or_default();
    base.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn advice_for_host(error: &ProbeError) -> &'static str {
    match error {
        ProbeError::Name => "check WXQR_API_BASE, and the DNS of this machine",
        ProbeError::Connect(_) | ProbeError::ConnectTimeout => {
            "check WXQR_API_BASE, and that a firewall lets this machine connect to it"
        }
        ProbeError::Tls(_) => {
            "check this machine's clock; if a device on the way opens TLS, name its CA in WXQR_EXTRA_CA_FILE"
        }
        ProbeError::Silent | ProbeError::NoHttp => {
            "check WXQR_API_BASE, and what is on the way to it"
        }
    }
}

/// Takes a token, which also shows whether WeChat allows this address.
async fn check_token(parts: &Parts, tell: &mut (dyn FnMut(Finding) + Send)) -> bool {
    let shared = parts.wechat.token_source() == TokenSource::Classic
        && matches!(parts.store.classic_token().await, Ok(Some((_, end))) if parts.clock.now() < end);
    let error = match parts.tokens.get().await {
        Ok(Ok(_)) => {
            tell(if shared {
                Finding::skipped(ALLOW_LIST, "a token call, and the service's token is used")
            } else {
                Finding::fine(ALLOW_LIST, "WeChat takes calls from this address")
            });
            tell(Finding::fine(TOKEN, token_detail(parts)));
            return true;
        }
        Ok(Err(error)) => error,
        Err(lost) => {
            tell(Finding::skipped(ALLOW_LIST, "a token"));
            tell(Finding::failed(TOKEN, defect(&lost)));
            return false;
        }
    };
    let trouble = token_trouble(&error);
    if error.refusal().is_some_and(is_about_the_address) {
        tell(Finding::failed(ALLOW_LIST, trouble));
        tell(Finding::skipped(TOKEN, "the allow-list"));
    } else {
        tell(Finding::skipped(ALLOW_LIST, "a token"));
        tell(Finding::failed(TOKEN, trouble));
    }
    false
}

fn token_detail(parts: &Parts) -> String {
    let source = match parts.wechat.token_source() {
        TokenSource::Stable => "stable",
        TokenSource::Classic => "classic, shared through the store",
    };
    let now = parts.clock.now();
    let left = parts.tokens.expires_at();
    let left = left.map_or(0, |end| now.duration_until(end).as_secs());
    format!("{source}, good for {left} s")
}

fn is_about_the_address(refusal: &ApiError) -> bool {
    matches!(refusal.errcode, Errcode(40164 | 61004))
        || refusal.errcode.class() == Class::AccountBlocked
}

fn token_trouble(error: &TokenError) -> Trouble {
    match error {
        TokenError::WeChat(error) => wechat_trouble(error),
        TokenError::Stopped(stop) => stopped(stop.errcode, stop.retry_after),
        TokenError::Store(error) => Trouble::new(
            format!("without the store no token is taken: {}", Causes(error)),
            "see the store's line",
        ),
        TokenError::ForcedTooOften => Trouble::new(error.to_string(), "try again in a minute"),
    }
}

/// Makes a code under a scene of our own, which is kept nowhere.
async fn check_codes(parts: &Parts, tell: &mut (dyn FnMut(Finding) + Send)) {
    let spec = CodeSpec::Temporary {
        scene: TemporaryScene::Text(SceneText::reserved("doctor")),
        lifetime: Lifetime::try_from(LIFE).expect("it is within the bounds"),
    };
    let deadline = tokio::time::Instant::now() + MINT_DEADLINE;
    let finding = match parts.create(&spec, Priority::High, deadline).await {
        Ok(_) => {
            parts.store.count_mints(1).await.ok();
            let detail = format!("WeChat made one that lives {LIFE} s, from the day's quota");
            Finding::fine(CODES, detail)
        }
        Err(error) => Finding::failed(CODES, mint_trouble(&error)),
    };
    tell(finding);
}

fn mint_trouble(error: &MintError) -> Trouble {
    match error {
        MintError::WeChat(wechat::Error::Refused(refusal))
            if refusal.errcode.class() == Class::TokenDead =>
        {
            Trouble::new(
                in_words(refusal),
                "another program takes tokens of this account: let all of them use stable_token (WXQR_TOKEN_SOURCE=stable)",
            )
        }
        MintError::WeChat(error) | MintError::MinuteLimit(error) => wechat_trouble(error),
        MintError::Token(error) => token_trouble(error),
        MintError::Stopped(stop) => stopped(stop.errcode, stop.retry_after),
        other => defect(other),
    }
}

fn wechat_trouble(error: &wechat::Error) -> Trouble {
    match error {
        wechat::Error::Refused(refusal) => refused(refusal),
        wechat::Error::Unreachable(_) | wechat::Error::Timeout(_) => Trouble::new(
            error.to_string(),
            "see the hosts' lines, and try again: the network may be at fault",
        ),
        wechat::Error::Status(_) | wechat::Error::Body(_) | wechat::Error::Invalid(_) => {
            Trouble::new(
                error.to_string(),
                "try again; if it stays, something else than WeChat answers: check WXQR_API_BASE",
            )
        }
    }
}

fn refused(refusal: &ApiError) -> Trouble {
    if let (Errcode(40164), Some(address)) = (refusal.errcode, refusal.address()) {
        return Trouble::new(
            format!("WeChat does not allow the address {address} (errcode 40164)"),
            format!("add {address} to the account's IP allow-list in WeChat's console"),
        );
    }
    let action = match refusal.errcode.class() {
        Class::Busy => "try again in a minute",
        _ => refusal.errcode.action(),
    };
    Trouble::new(in_words(refusal), action)
}

fn in_words(refusal: &ApiError) -> String {
    let errcode = refusal.errcode;
    format!("{} (errcode {errcode})", errcode.meaning())
}

fn stopped(errcode: Errcode, retry_after: Duration) -> Trouble {
    let seconds = retry_after.as_secs().max(1);
    Trouble::new(
        format!(
            "{} (errcode {errcode}), so the next call is in {seconds} s",
            errcode.meaning()
        ),
        errcode.action(),
    )
}

fn defect(error: &dyn Error) -> Trouble {
    Trouble::new(
        Causes(error).to_string(),
        "try again, and report it as a defect of this service if it stays",
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_clock_that_is_wrong_is_a_failure_with_what_to_do() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (theirs, is_failure, line) in [
            (
                100,
                false,
                "ok    clock: this machine's is 0.000 s ahead of the database's",
            ),
            (
                112,
                true,
                "FAIL  clock: this machine's is 12.000 s behind the database's; let NTP set the clocks of this machine and \
                 of the database's, because replicas compare their times",
            ),
        ] {
            let difference = ClockDifference::between(at(100), at(100), at(theirs));
            let finding = clock_finding(difference);
            assert_eq!(finding.to_string(), line);
            assert_eq!(finding.is_failure(), is_failure);
        }
    }
}
