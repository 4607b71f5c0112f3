//! The names of all metrics.

/// Requests to the service, by route template, method and status.
pub(super) const HTTP_REQUESTS: &str = "wxqr_http_requests_total";
pub(super) const HTTP_DURATION: &str = "wxqr_http_request_duration_seconds";
/// Calls to WeChat, retries included, by API and outcome (`ok`, an errcode, `timeout`,
/// `unreachable`, `invalid`).
pub(super) const UPSTREAM_REQUESTS: &str = "wxqr_upstream_requests_total";
pub(super) const UPSTREAM_DURATION: &str = "wxqr_upstream_request_duration_seconds";
/// Requests for a code, by result (`memory`, `store`, `minted`, `joined`, `stale`, `refused`).
pub(super) const CODE_LOOKUPS: &str = "wxqr_code_lookups_total";
/// Access tokens obtained, by reason (`first`, `ahead`, `expired`, `refused`, `forced`, `shared`).
pub(super) const TOKEN_REFRESHES: &str = "wxqr_token_refreshes_total";
/// Mints retried with a newer token after WeChat refused theirs, by cause (`superseded`, `revoked`,
/// `never_accepted`).
pub(super) const TOKEN_RETRIES: &str = "wxqr_token_retries_total";
pub(super) const TOKEN_EXPIRY: &str = "wxqr_token_expiry_timestamp_seconds";
pub(super) const ACCOUNT_FAULT: &str = "wxqr_account_fault";
/// Whether the circuit breaker is open, by API and errcode.
pub(super) const CALLS_STOPPED: &str = "wxqr_calls_stopped";
pub(super) const STORE_UP: &str = "wxqr_store_up";
pub(super) const STORE_DAMAGED: &str = "wxqr_store_damaged";
/// Transactions that wrote; with the commands, how large the groups of the writer are.
pub(super) const STORE_COMMITS: &str = "wxqr_store_commits_total";
pub(super) const STORE_COMMANDS: &str = "wxqr_store_commands_total";
pub(super) const ANONYMOUS_BUDGET_REMAINING: &str = "wxqr_anonymous_budget_remaining";
/// Mints of visitors that were refused by the rate limit of all visitors together.
pub(super) const VISITOR_PACE_EXCEEDED: &str = "wxqr_visitor_pace_exceeded_total";
pub(super) const PERMANENT_CODES: &str = "wxqr_permanent_codes";
pub(super) const PERMANENT_LIMIT: &str = "wxqr_permanent_limit";
pub(super) const SCANS: &str = "wxqr_scans_total";
pub(super) const CALLBACK_REJECTED: &str = "wxqr_callback_rejected_total";
pub(super) const LAST_PUSH: &str = "wxqr_last_push_timestamp_seconds";
pub(super) const RELAY_REQUESTS: &str = "wxqr_relay_requests_total";
/// Webhooks sent, retries included, by outcome (`ok`, `refused`, `gone`, `timeout`,
/// `unreachable`).
pub(super) const WEBHOOK_ATTEMPTS: &str = "wxqr_webhook_attempts_total";
pub(super) const WEBHOOK_LAG_EVENTS: &str = "wxqr_webhook_lag_events";
pub(super) const WEBHOOK_LAG_SECONDS: &str = "wxqr_webhook_lag_seconds";
pub(super) const LOG_LINES_LOST: &str = "wxqr_log_lines_lost_total";
/// Connections of clients, without those of the metrics listener.
pub(super) const HTTP_CONNECTIONS: &str = "wxqr_http_connections";
/// Mints that call WeChat or wait for it.
pub(super) const MINTS_IN_FLIGHT: &str = "wxqr_mints_in_flight";
pub(super) const BUILD_INFO: &str = "wxqr_build_info";
