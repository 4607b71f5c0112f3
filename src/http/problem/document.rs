//! The problem document of RFC 9457.

use serde::Serialize;
use utoipa::ToSchema;

/// An error, as `application/problem+json` (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document {
    /// `urn:wxqr:problem:` and the code.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The code in words.
    pub(super) title: &'static str,
    /// The HTTP status.
    pub(super) status: u16,
    /// What happened; for a 4xx also what would be accepted.
    pub(super) detail: String,
    /// A name to test.
    pub(super) code: &'static str,
    /// To find the log line.
    pub(super) request_id: String,
    /// The parameter at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parameter: Option<String>,
    /// WeChat's return code, where it named one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) errcode: Option<i64>,
    /// Seconds to wait before another try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<u64>,
}
