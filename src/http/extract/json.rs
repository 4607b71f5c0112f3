//! Reads JSON bodies strictly: a field that is given twice is an error.

use std::fmt;

use axum::body::Body;
use http_listener::ByteBudget;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::http::extract::body::read_body;
use crate::http::extract::query::given_twice;
use crate::http::problem::{ErrorCode, Problem};

/// A JSON value. Where a field is given twice, `serde_json::Value` keeps the last silently; this
/// type keeps the name.
#[derive(Debug)]
pub(crate) enum JsonBody {
    Object {
        fields: Map<String, Value>,
        twice: Option<String>,
    },
    Array(Vec<Self>),
    Other,
}

/// Reads one JSON object without repeated fields. An empty body has no fields.
///
/// # Errors
/// When it is too large or anything else.
pub(crate) async fn read_object(
    body: Body,
    limit: usize,
    budget: &ByteBudget,
) -> Result<Map<String, Value>, Problem> {
    let bytes = read_body(body, limit, budget).await?;
    let text = without_mark(&bytes);
    if text.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match parsed(text)? {
        JsonBody::Object {
            twice: Some(name), ..
        } => Err(Problem::invalid_body(&name, given_twice())),
        JsonBody::Object { fields, .. } => Ok(fields),
        JsonBody::Array(_) | JsonBody::Other => {
            let message = "the body must be a JSON object";
            Err(Problem::new(ErrorCode::InvalidBody, message))
        }
    }
}

impl JsonBody {
    /// Reads a body of at most `limit` bytes.
    ///
    /// # Errors
    /// When it is too large, or is not JSON.
    pub(crate) async fn read(
        body: Body,
        limit: usize,
        budget: &ByteBudget,
    ) -> Result<Self, Problem> {
        let bytes = read_body(body, limit, budget).await?;
        parsed(without_mark(&bytes))
    }
}

impl<'de> Deserialize<'de> for JsonBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = JsonBody;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonBody, A::Error> {
        let (mut fields, mut twice) = (Map::new(), None);
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.insert(name.clone(), value).is_some() {
                twice.get_or_insert(name);
            }
        }
        Ok(JsonBody::Object { fields, twice })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<JsonBody, A::Error> {
        let mut values = Vec::new();
        while let Some(item) = items.next_element()? {
            values.push(item);
        }
        Ok(JsonBody::Array(values))
    }

    fn visit_bool<E>(self, _: bool) -> Result<JsonBody, E> {
        Ok(JsonBody::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<JsonBody, E> {
        Ok(JsonBody::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<JsonBody, E> {
        Ok(JsonBody::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<JsonBody, E> {
        Ok(JsonBody::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<JsonBody, E> {
        Ok(JsonBody::Other)
    }

    fn visit_unit<E>(self) -> Result<JsonBody, E> {
        Ok(JsonBody::Other)
    }
}

/// Removes the byte-order mark that editors and shells on Windows write (RFC 8259, 8.1: a parser
/// may ignore it).
fn without_mark(body: &[u8]) -> &[u8] {
    const UTF_8_MARK: &[u8] = b"\xEF\xBB\xBF";
    body.strip_prefix(UTF_8_MARK).unwrap_or(body)
}

/// Parses a body without the mark.
///
/// # Errors
/// When it is not JSON. UTF-16, which begins with a mark of its own, is named.
fn parsed(body: &[u8]) -> Result<JsonBody, Problem> {
    if body.starts_with(b"\xFF\xFE") || body.starts_with(b"\xFE\xFF") {
        let message = "the body is UTF-16; it must be UTF-8";
        return Err(Problem::new(ErrorCode::InvalidBody, message));
    }
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
    let message = format!("the body must be JSON: {error}");
    Problem::new(ErrorCode::InvalidBody, message)
}
