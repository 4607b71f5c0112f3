//! What `POST /api/codes` is sent: read once, strictly, into orders that cannot be wrong.

use std::fmt;

use axum::body::Body;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::Url;
use utoipa::ToSchema;

use crate::access::Scope;
use crate::http::extract::query::given_twice;
use crate::http::extract::scene_params::{UncheckedSpec, parsed};
use crate::http::i18n::message::Message;
use crate::http::middleware::request_limits::read_body;
use crate::http::problem::{Code, Problem};
use crate::listen::ByteBudget;
use crate::scene::{CodeSpec, Lifetime, PermanentScene};
use crate::store::Channel;
use crate::ticket::{CodeUrl, IssuedCode, Life};

/// The most codes of one request.
const MOST_ITEMS: usize = 100;

/// A hundred items with the longest scenes, labels and tickets fit.
const MAX_BODY: usize = 512 * 1024;

/// The longest label or group name, in characters.
const LONGEST_NAME: usize = 100;

/// A code that is wanted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// 1 to 4294967295, for a permanent code 1 to 100000. This or `scene_str`.
    scene_id: Option<u64>,
    /// 1 to 64 characters. This or `scene_id`.
    scene_str: Option<String>,
    /// Default: false.
    permanent: Option<bool>,
    /// Seconds, 1 to 2592000; for temporary codes only.
    expire_seconds: Option<u64>,
    /// The owner's name for the scene, 1 to 100 characters. If absent, the one it has stays.
    label: Option<String>,
    /// The group that the scene belongs to, 1 to 100 characters. If absent, the one it has stays.
    group: Option<String>,
    /// With `url`, for a permanent code that was minted elsewhere: its ticket. Needs the scope `admin`.
    ticket: Option<String>,
    /// With `ticket`: the text inside its picture, an `http` or `https` address.
    url: Option<String>,
}

/// JSON as it came. Of a field that came twice `serde_json`'s own value keeps the last and forgets the rest; this one
/// remembers its name.
#[derive(Debug)]
pub(super) enum Given {
    Object {
        fields: Map<String, Value>,
        twice: Option<String>,
    },
    Array(Vec<Self>),
    Other,
}

/// A wanted code, checked.
pub(super) struct Order {
    pub(super) spec: CodeSpec,
    pub(super) channel: Channel,
    pub(super) minted_elsewhere: Option<(PermanentScene, IssuedCode)>,
}

impl Order {
    /// What a key needs for it.
    pub(super) fn scope(&self) -> Scope {
        match (&self.minted_elsewhere, &self.spec) {
            (Some(_), _) => Scope::Admin,
            (None, CodeSpec::Permanent { .. }) => Scope::Permanent,
            (None, CodeSpec::Temporary { .. }) => Scope::Mint,
        }
    }
}

/// A body that is one JSON object, none of whose fields comes twice; an empty one has no fields.
///
/// # Errors
/// When it is too large or anything else.
pub(super) async fn object(
    body: Body,
    most: usize,
    budget: &ByteBudget,
) -> Result<Map<String, Value>, Problem> {
    let bytes = read_body(body, most, budget).await?;
    let text = without_mark(&bytes);
    if text.trim_ascii().is_empty() {
        return Ok(Map::new());
    }
    match parsed_json(text)? {
        Given::Object {
            twice: Some(name), ..
        } => Err(Problem::invalid_body(&name, given_twice())),
        Given::Object { fields, .. } => Ok(fields),
        Given::Array(_) | Given::Other => {
            let message = Message::new("须为一个 JSON 对象", "the body must be a JSON object");
            Err(Problem::new(Code::InvalidBody, message))
        }
    }
}

impl Given {
    /// One wanted code, or an array of not too many.
    ///
    /// # Errors
    /// When the body is too large, is not JSON, or has too many items.
    pub(super) async fn read(body: Body, budget: &ByteBudget) -> Result<Self, Problem> {
        let bytes = read_body(body, MAX_BODY, budget).await?;
        match parsed_json(without_mark(&bytes))? {
            Self::Array(items) if items.len() > MOST_ITEMS => Err(too_many(items.len())),
            given => Ok(given),
        }
    }

    /// What is ordered. A temporary code lives for `default_expire` if nothing is said.
    ///
    /// # Errors
    /// Names the field, and what would be accepted.
    pub(super) fn order(self, default_expire: Lifetime) -> Result<Order, Problem> {
        self.wanted()?.order(default_expire)
    }

    fn wanted(self) -> Result<Wanted, Problem> {
        let Self::Object { fields, twice } = self else {
            let message = Message::new(
                "每个二维码须为一个 JSON 对象，例如 {\"scene_id\": 123}",
                "a code must be a JSON object, such as {\"scene_id\": 123}",
            );
            return Err(Problem::new(Code::InvalidBody, message));
        };
        if let Some(name) = twice {
            return Err(Problem::invalid_body(&name, given_twice()));
        }
        // Every field is optional, so the one at fault is at fault alone too.
        for (name, value) in &fields {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            if Wanted::deserialize(Value::Object(alone)).is_err() {
                return Err(misfit(name));
            }
        }
        Wanted::deserialize(Value::Object(fields)).map_err(|error| not_json(&error))
    }
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(GivenVisitor)
    }
}

struct GivenVisitor;

impl<'de> Visitor<'de> for GivenVisitor {
    type Value = Given;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Given, A::Error> {
        let (mut fields, mut twice) = (Map::new(), None);
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if fields.insert(name.clone(), value).is_some() {
                twice.get_or_insert(name);
            }
        }
        Ok(Given::Object { fields, twice })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Given, A::Error> {
        let mut given = Vec::new();
        while let Some(item) = items.next_element()? {
            given.push(item);
        }
        Ok(Given::Array(given))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Given, E> {
        Ok(Given::Other)
    }

    fn visit_unit<E>(self) -> Result<Given, E> {
        Ok(Given::Other)
    }
}

/// A body without the byte-order mark at its beginning, which editors and shells on Windows write (RFC 8259, 8.1: a parser
/// may ignore it).
fn without_mark(body: &[u8]) -> &[u8] {
    const UTF_8_MARK: &[u8] = b"\xEF\xBB\xBF";
    body.strip_prefix(UTF_8_MARK).unwrap_or(body)
}

/// Parses a body without a mark.
///
/// # Errors
/// When it is not JSON. UTF-16, which begins with a mark of its own, is named.
fn parsed_json(body: &[u8]) -> Result<Given, Problem> {
    if body.starts_with(b"\xFF\xFE") || body.starts_with(b"\xFE\xFF") {
        let message = Message::new(
            "请求内容为 UTF-16 编码，须为 UTF-8",
            "the body is UTF-16; it must be UTF-8",
        );
        return Err(Problem::new(Code::InvalidBody, message));
    }
    serde_json::from_slice(body).map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Problem {
    let message = Message::new(
        format!("请求内容须为 JSON：{error}"),
        format!("the body must be JSON: {error}"),
    );
    Problem::new(Code::InvalidBody, message)
}

fn too_many(items: usize) -> Problem {
    let message = Message::new(
        format!("数组有 {items} 项，最多可有 {MOST_ITEMS} 项"),
        format!("the array has {items} items; accepted: {MOST_ITEMS} at most"),
    );
    Problem::new(Code::InvalidBody, message)
}

impl Wanted {
    fn order(self, default_expire: Lifetime) -> Result<Order, Problem> {
        let channel = Channel {
            label: name("label", self.label.as_deref())?,
            group: name("group", self.group.as_deref())?,
        };
        let spec = self.spec(default_expire)?;
        let minted_elsewhere = match (&spec, &self.ticket, &self.url) {
            (_, None, None) => None,
            (CodeSpec::Permanent { scene }, Some(ticket), Some(url)) => {
                let code = IssuedCode {
                    ticket: parsed("ticket", ticket)?,
                    url: web_address(url)?,
                    life: Life::Permanent,
                };
                Some((scene.clone(), code))
            }
            (CodeSpec::Permanent { .. }, Some(_), None) => {
                let message = Message::new(
                    "须与 ticket 一同给出，用于登记在别处生成的二维码",
                    "must be given with ticket, for a code that was minted elsewhere",
                );
                return Err(Problem::invalid_parameter("url", message));
            }
            (CodeSpec::Permanent { .. }, None, Some(_)) => {
                let message = Message::new(
                    "须与 url 一同给出，用于登记在别处生成的二维码",
                    "must be given with url, for a code that was minted elsewhere",
                );
                return Err(Problem::invalid_parameter("ticket", message));
            }
            (CodeSpec::Temporary { .. }, ..) => {
                let message = Message::new(
                    "在给出 ticket 和 url 时须为 true，只有永久二维码可以登记",
                    "must be true where ticket and url are given: only permanent codes are recorded",
                );
                return Err(Problem::invalid_parameter("permanent", message));
            }
        };
        Ok(Order {
            spec,
            channel,
            minted_elsewhere,
        })
    }

    fn spec(&self, default_expire: Lifetime) -> Result<CodeSpec, Problem> {
        let [scene_id, expire_seconds] = [self.scene_id, self.expire_seconds]
            .map(|number| number.map(|number| number.to_string()));
        let spec = UncheckedSpec {
            scene_id: scene_id.as_deref(),
            scene_str: self.scene_str.as_deref(),
            permanent: self.permanent.unwrap_or(false),
            expire_seconds: expire_seconds.as_deref(),
        };
        spec.checked(default_expire)
    }
}

/// A field that is not ours, or whose value is of another type than ours.
fn misfit(name: &str) -> Problem {
    let (zh, en) = match name {
        "scene_id" => (
            "须为 1 至 4294967295 的整数，永久二维码至 100000，不加引号",
            "must be a whole number from 1 to 4294967295, for a permanent code to 100000, without quotes",
        ),
        "expire_seconds" => (
            "须为 1 至 2592000 的整数，单位为秒（最长 30 天），不加引号",
            "must be a whole number of seconds from 1 to 2592000 (30 days), without quotes",
        ),
        "permanent" => (
            "只能是 true 或 false，不加引号",
            "must be true or false, without quotes",
        ),
        "scene_str" | "label" | "group" | "ticket" | "url" => {
            ("须为带引号的文本", "must be a text in quotes")
        }
        _ => {
            let message = Message::new(
                "不是可用的字段，可用的有 scene_id、scene_str、permanent、expire_seconds、label、group、ticket、url",
                "is not a field of a code; accepted: scene_id, scene_str, permanent, expire_seconds, label, group, ticket, url",
            );
            return Problem::invalid_body(name, message);
        }
    };
    Problem::invalid_parameter(name, Message::new(zh, en))
}

/// Parses the url of an imported code: http or https only, because the phone that scans the code opens it.
fn web_address(text: &str) -> Result<CodeUrl, Problem> {
    let url = parsed("url", text)?;
    let start = text.to_ascii_lowercase();
    let is_spelled_out = start.starts_with("http://") || start.starts_with("https://");
    let is_address = is_spelled_out
        && Url::parse(text).is_ok_and(|url| {
            url.has_host() && url.username().is_empty() && url.password().is_none()
        });
    if is_address {
        return Ok(url);
    }
    let message = Message::new(
        "须为 http:// 或 https:// 开头、含主机名的网址，不含用户名",
        "must be an address with http:// or https:// and a host, without a user",
    );
    Err(Problem::invalid_parameter("url", message))
}

/// A label or the name of a group.
fn name(parameter: &str, given: Option<&str>) -> Result<Option<String>, Problem> {
    let Some(text) = given else { return Ok(None) };
    let plain = !text.chars().any(char::is_control);
    if plain && (1..=LONGEST_NAME).contains(&text.chars().count()) {
        return Ok(Some(text.to_owned()));
    }
    let message = Message::new(
        format!("须为 1 至 {LONGEST_NAME} 个字符，不含控制字符"),
        format!("must have 1 to {LONGEST_NAME} characters, none of them a control character"),
    );
    Err(Problem::invalid_parameter(parameter, message))
}
