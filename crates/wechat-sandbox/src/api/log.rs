//! The record of calls, for tests that count and for people who watch a client. Secrets are masked.

use std::collections::VecDeque;

use axum::http::request::Parts;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// How many calls are kept.
const REMEMBERED: usize = 10_000;
/// How many bytes of a query or of a body are kept.
const MAX_TEXT: usize = 4096;
/// Replaces a secret.
const MASK: &str = "***";

/// The imitated calls, as they are counted and as faults name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// `/cgi-bin/token` and `/cgi-bin/stable_token`.
    Token,
    /// `/cgi-bin/qrcode/create`.
    Create,
    /// `/cgi-bin/showqrcode`.
    Show,
    /// A call of WeChat's that is not imitated.
    Other,
}

impl Api {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Create => "create",
            Self::Show => "show",
            Self::Other => "other",
        }
    }
}

/// A call as it came in, recorded before it is answered, so that faults leave none out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// When it came, by the sandbox's clock.
    pub at: Timestamp,
    /// Which API it belongs to.
    pub api: Api,
    /// The HTTP method.
    pub method: String,
    /// The path, which tells the two token calls apart.
    pub path: String,
    /// The query as it was sent, secrets masked; the first 4096 bytes.
    pub query: String,
    /// The body as it was sent, secrets masked; the first 4096 bytes, what is not UTF-8 replaced.
    pub body: String,
}

impl Call {
    pub(crate) fn new(at: Timestamp, api: Api, head: &Parts, body: &[u8]) -> Self {
        Self {
            at,
            api,
            method: head.method.as_str().to_owned(),
            path: head.uri.path().to_owned(),
            query: shortened(masked_query(head.uri.query().unwrap_or_default())),
            body: shortened(masked_body(body)),
        }
    }
}

/// The last calls, and the number of all.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    counts: Counts,
    calls: VecDeque<Call>,
}

/// How often each API was called.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counts {
    token: usize,
    create: usize,
    show: usize,
    other: usize,
}

/// The log as JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    counts: Counts,
    calls: Vec<Call>,
}

impl CallLog {
    pub(crate) fn record(&mut self, call: Call) {
        match call.api {
            Api::Token => self.counts.token += 1,
            Api::Create => self.counts.create += 1,
            Api::Show => self.counts.show += 1,
            Api::Other => self.counts.other += 1,
        }
        if self.calls.len() == REMEMBERED {
            self.calls.pop_front();
        }
        self.calls.push_back(call);
    }

    pub(crate) fn count(&self, api: Api) -> usize {
        match api {
            Api::Token => self.counts.token,
            Api::Create => self.counts.create,
            Api::Show => self.counts.show,
            Api::Other => self.counts.other,
        }
    }

    /// The last calls, newest first.
    pub(crate) fn recent(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().rev()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    pub(crate) fn report(&self) -> Report {
        Report {
            counts: self.counts,
            calls: self.calls(),
        }
    }
}

fn is_secret(name: &str) -> bool {
    ["secret", "appsecret", "access_token"]
        .iter()
        .any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Keeps everything as it was sent, but the values of secrets.
fn masked_query(query: &str) -> String {
    let pairs: Vec<_> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            // Names may hide behind percent signs.
            Some((name, value))
                if !value.is_empty()
                    && is_secret(
                        &percent_encoding::percent_decode_str(name).decode_utf8_lossy(),
                    ) =>
            {
                format!("{name}={MASK}")
            }
            _ => pair.to_owned(),
        })
        .collect();
    pairs.join("&")
}

/// A body without secrets stays as it was sent. One that names a secret is written anew as JSON
/// without its value, or withheld if it is no JSON.
fn masked_body(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    match serde_json::from_slice::<Value>(body) {
        Ok(mut value) => {
            if mask_value(&mut value) {
                value.to_string()
            } else {
                text.into_owned()
            }
        }
        Err(_) if names_a_secret(&text) => format!(
            "({} bytes withheld: not JSON, and may hold a secret)",
            body.len()
        ),
        Err(_) => text.into_owned(),
    }
}

/// Whether anything was masked.
fn mask_value(value: &mut Value) -> bool {
    let mut masked = false;
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if is_secret(name) {
                    *field = Value::from(MASK);
                    masked = true;
                } else {
                    masked |= mask_value(field);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                masked |= mask_value(item);
            }
        }
        _ => {}
    }
    masked
}

fn names_a_secret(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.contains("secret") || text.contains("access_token")
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_and_the_rest_is_as_it_was_sent() {
        for (query, want) in [
            ("", ""),
            (
                "grant_type=client_credential&appid=wx1&secret=s",
                "grant_type=client_credential&appid=wx1&secret=***",
            ),
            ("access_token=88_a%3D&x", "access_token=***&x"),
            ("access%5Ftoken=88_a", "access%5Ftoken=***"),
            ("access_token=", "access_token="),
            ("ticket=a+b%3D=", "ticket=a+b%3D="),
        ] {
            assert_eq!(masked_query(query), want, "query {query:?}");
        }
        for (body, want) in [
            (
                r#"{ "action_name" : "QR_SCENE" }"#,
                r#"{ "action_name" : "QR_SCENE" }"#,
            ),
            (
                r#"{"secret":"s","appid":"wx1"}"#,
                r#"{"appid":"wx1","secret":"***"}"#,
            ),
            (
                r#"[{"b":{"Secret":["s"]}},{}]"#,
                r#"[{"b":{"Secret":"***"}},{}]"#,
            ),
            (
                "appid=wx1&secret=s",
                "(18 bytes withheld: not JSON, and may hold a secret)",
            ),
            ("hello", "hello"),
        ] {
            assert_eq!(masked_body(body.as_bytes()), want, "body {body:?}");
        }
        assert_eq!(masked_body(b"\xff{"), "\u{fffd}{");
    }

    #[test]
    fn the_log_forgets_calls_but_not_their_number() {
        let mut log = CallLog::default();
        let request = axum::http::Request::get("/cgi-bin/token?appid=wx1")
            .body(())
            .unwrap();
        let (head, ()) = request.into_parts();
        for _ in 0..REMEMBERED + 5 {
            log.record(Call::new(Timestamp::UNIX_EPOCH, Api::Token, &head, b""));
        }
        assert_eq!(log.calls().len(), REMEMBERED);
        assert_eq!(log.count(Api::Token), 10_005);
        assert_eq!(log.count(Api::Show), 0);
        let chinese = "展".repeat(5000);
        let call = Call::new(Timestamp::UNIX_EPOCH, Api::Token, &head, chinese.as_bytes());
        assert_eq!(call.body.len(), 4095);
    }
}
