//! The body of `POST /api/codes`, parsed into checked codes.

use axum::body::Body;
use http_listener::ByteBudget;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use url::Url;
use utoipa::ToSchema;
use wechat::push::Reply;
use wechat::scene::{CodeSpec, Lifetime, LifetimeError, PermanentId, PermanentScene, SceneId};
use wechat::ticket::{CodeUrl, IssuedCode, Life, Ticket};

use crate::access::Scope;
use crate::channels::{Change, ChannelChange};
use crate::http::api::reply_body::{self, GivenReply};
use crate::http::extract::json::{JsonBody, not_json};
use crate::http::extract::query::{given_twice, parsed};
use crate::http::i18n::message::Message;
use crate::http::problem::{ErrorCode, Problem};
use crate::http::scene_params::SceneParams;

/// The largest number of codes of one request. Chosen.
const MAX_ITEMS: usize = 100;

/// The longest body, in bytes: 100 items with the longest scenes, labels, replies and tickets fit.
pub(crate) const MAX_BODY: usize = 512 * 1024;

/// The longest label or group name, in characters.
pub(in crate::http) const MAX_NAME: usize = 100;

/// A new code.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Wanted)] // The public document keeps its first name.
#[serde(deny_unknown_fields)]
pub(crate) struct NewCode {
    /// 1 to 4294967295, for a permanent code 1 to 100000. This or `scene_str`.
    scene_id: Option<u64>,
    /// 1 to 64 characters. This or `scene_id`.
    scene_str: Option<String>,
    /// Default: false.
    permanent: Option<bool>,
    /// Seconds, 1 to 2592000; for temporary codes only.
    expire_seconds: Option<u64>,
    /// `false` keeps a temporary code that works, however little of its lifetime is left, as a
    /// change of names needs no new one. Default: true.
    renew: Option<bool>,
    /// The owner's name for the scene, 1 to 100 characters. If absent, the one it has stays; null
    /// or an empty text removes it.
    #[serde(default, deserialize_with = "name_change")]
    #[schema(value_type = Option<String>)]
    label: Change<String>,
    /// The group that the scene belongs to, 1 to 100 characters. If absent, the one it has stays;
    /// null or an empty text removes it.
    #[serde(default, deserialize_with = "name_change")]
    #[schema(value_type = Option<String>)]
    group: Change<String>,
    /// What a follower reads after a scan. If absent, the reply that it has stays; null or an
    /// empty text removes it.
    #[serde(default, deserialize_with = "reply_change")]
    #[schema(value_type = Option<GivenReply>)]
    reply: Change<GivenReply>,
    /// `true` leaves the code out of lists; it is served and counted as ever. If absent, it stays
    /// as it is.
    archived: Option<bool>,
    /// With `url`, for a permanent code that was minted elsewhere: its ticket. Needs the scope
    /// `admin`.
    ticket: Option<String>,
    /// With `ticket`: the text inside its picture, an `http` or `https` address.
    url: Option<String>,
}

/// Deserializes a name that is given, perhaps as null.
fn name_change<'de, D: Deserializer<'de>>(value: D) -> Result<Change<String>, D::Error> {
    let name = Option::<String>::deserialize(value)?;
    let name = name.filter(|name| !name.is_empty());
    Ok(name.map_or(Change::Clear, Change::Set))
}

/// Deserializes a reply that is given, perhaps as null.
fn reply_change<'de, D: Deserializer<'de>>(value: D) -> Result<Change<GivenReply>, D::Error> {
    let reply = Option::<GivenReply>::deserialize(value)?;
    Ok(match reply {
        None => Change::Clear,
        Some(GivenReply::Text(text)) if text.is_empty() => Change::Clear,
        Some(reply) => Change::Set(reply),
    })
}

/// A checked [`NewCode`].
pub(super) struct CheckedNewCode {
    pub(super) spec: CodeSpec,
    pub(super) change: ChannelChange,
    /// Whether a temporary code is replaced that has too little of its lifetime left.
    pub(super) renew: bool,
    /// The code to record instead of minting one.
    pub(super) minted_elsewhere: Option<(PermanentScene, IssuedCode)>,
}

impl CheckedNewCode {
    /// The scope that it takes.
    pub(super) fn scope(&self) -> Scope {
        match (&self.minted_elsewhere, &self.spec) {
            (Some(_), _) => Scope::Admin,
            (None, CodeSpec::Permanent { .. }) => Scope::Permanent,
            (None, CodeSpec::Temporary { .. }) => Scope::Mint,
        }
    }
}

/// One code, or an array of at most [`MAX_ITEMS`].
///
/// # Errors
/// When the body is too large, is not JSON, or has too many items.
pub(super) async fn read(body: Body, budget: &ByteBudget) -> Result<JsonBody, Problem> {
    match JsonBody::read(body, MAX_BODY, budget).await? {
        JsonBody::Array(items) if items.len() > MAX_ITEMS => Err(too_many(items.len())),
        json => Ok(json),
    }
}

impl NewCode {
    /// Deserializes one code, and names the field at fault.
    fn of(json: JsonBody) -> Result<Self, Problem> {
        let JsonBody::Object { fields, twice } = json else {
            let message = "a code must be a JSON object, such as {\"scene_id\": 123}";
            return Err(Problem::new(ErrorCode::InvalidBody, message));
        };
        if let Some(name) = twice {
            return Err(Problem::invalid_body(&name, given_twice()));
        }
        // Every field is optional, so the one at fault fails alone too.
        for (name, value) in &fields {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            if Self::deserialize(Value::Object(alone)).is_err() {
                return Err(misfit(name, value));
            }
        }
        Self::deserialize(Value::Object(fields)).map_err(|error| not_json(&error))
    }
}

fn too_many(items: usize) -> Problem {
    let message = format!("the array has {items} items; accepted: {MAX_ITEMS} at most");
    Problem::new(ErrorCode::InvalidBody, message)
}

impl CheckedNewCode {
    /// Checks one code. A temporary one without a lifetime gets `default_expire`.
    ///
    /// # Errors
    /// Names the field, and what would be accepted.
    pub(super) fn of(json: JsonBody, default_expire: Lifetime) -> Result<Self, Problem> {
        let new = NewCode::of(json)?;
        let change = ChannelChange {
            label: new.label.clone(),
            group: new.group.clone(),
            reply: new.reply_change()?,
            archived: new.archived,
        };
        for (parameter, name) in change.given_names() {
            check_name(parameter, name)?;
        }
        let spec = new.scene_params().spec(default_expire)?;
        let minted_elsewhere = new.minted_elsewhere(&spec)?;
        Ok(Self {
            spec,
            change,
            renew: new.renew.unwrap_or(true),
            minted_elsewhere,
        })
    }
}

impl NewCode {
    fn reply_change(&self) -> Result<Change<Reply>, Problem> {
        Ok(match &self.reply {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(reply) => Change::Set(reply.checked()?),
        })
    }

    fn scene_params(&self) -> SceneParams {
        SceneParams {
            scene_id: self.scene_id.map(|id| id.to_string()),
            scene_str: self.scene_str.clone(),
            permanent: self.permanent.map(|permanent| permanent.to_string()),
            expire_seconds: self.expire_seconds.map(|seconds| seconds.to_string()),
        }
    }

    /// The code to record, if `ticket` and `url` are given.
    fn minted_elsewhere(
        &self,
        spec: &CodeSpec,
    ) -> Result<Option<(PermanentScene, IssuedCode)>, Problem> {
        let (parameter, message) = match (spec, &self.ticket, &self.url) {
            (_, None, None) => return Ok(None),
            (CodeSpec::Permanent { scene }, Some(ticket), Some(url)) => {
                let code = IssuedCode {
                    ticket: base64_ticket(ticket)?,
                    url: web_address(url)?,
                    life: Life::Permanent,
                };
                return Ok(Some((scene.clone(), code)));
            }
            (CodeSpec::Permanent { .. }, Some(_), None) => (
                "url",
                "must be given with ticket, for a code that was created elsewhere",
            ),
            (CodeSpec::Permanent { .. }, None, Some(_)) => (
                "ticket",
                "must be given with url, for a code that was created elsewhere",
            ),
            (CodeSpec::Temporary { .. }, ..) => (
                "permanent",
                "must be true where ticket and url are given: only permanent codes are recorded",
            ),
        };
        Err(Problem::invalid_parameter(parameter, message))
    }
}

/// The problem of an unknown field, or of a value of the wrong type.
fn misfit(name: &str, value: &Value) -> Problem {
    let message = match name {
        "scene_id" => format!(
            "must be a whole number from 1 to {}, for a permanent code to {}, without quotes",
            SceneId::MAX,
            PermanentId::MAX
        ),
        "expire_seconds" => format!("{LifetimeError}, without quotes"),
        "permanent" | "renew" | "archived" => "must be true or false, without quotes".to_owned(),
        "reply" => return reply_body::misfit(value),
        "label" | "group" => "must be a text in quotes, or null".to_owned(),
        "scene_str" | "ticket" | "url" => "must be a text in quotes".to_owned(),
        _ => {
            let message = "is not a field of a code; accepted: scene_id, scene_str, permanent, expire_seconds, label, group, reply, archived, renew, ticket, url";
            return Problem::invalid_body(name, message);
        }
    };
    Problem::invalid_parameter(name, message)
}

/// Parses the ticket of an imported code. One that was copied out of a link to its picture is
/// percent-encoded, and would match no scan.
fn base64_ticket(text: &str) -> Result<Ticket, Problem> {
    let ticket: Ticket = parsed("ticket", text)?;
    if ticket.is_base64() {
        return Ok(ticket);
    }
    let message = if text.contains('%') {
        "is percent-encoded, as in the link to its picture: decode it first (%3D stands for =)"
    } else {
        "must be as WeChat gave it: letters, digits, + / - _ and = at the end"
    };
    Err(Problem::invalid_parameter("ticket", message))
}

/// Parses the url of an imported code: `http` or `https` only, because the phone that scans opens
/// it.
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
    let message = "must be an address with http:// or https:// and a host, without a user";
    Err(Problem::invalid_parameter("url", message))
}

/// Checks a label or the name of a group.
fn check_name(parameter: &str, name: &str) -> Result<(), Problem> {
    let is_plain = !name.chars().any(char::is_control);
    if is_plain && name.chars().count() <= MAX_NAME {
        return Ok(());
    }
    let message = Message::new(
        format!("最多 {MAX_NAME} 个字符，且不能含有控制字符"),
        format!("must have at most {MAX_NAME} characters, none of them a control character"),
    );
    Err(Problem::invalid_parameter(parameter, message))
}

#[cfg(test)]
mod tests {
    use utoipa::{PartialSchema, Path};
    use wechat::scene::SceneText;

    use super::*;
    use crate::http::api::codes::make;

    /// The document of the API has the limits in comments, which cannot name a constant.
    #[test]
    fn the_documented_limits_are_those_of_the_code() {
        let schema = serde_json::to_string(&NewCode::schema()).unwrap();
        let permanent = PermanentId::MAX;
        for limit in [
            format!(
                "1 to {}, for a permanent code 1 to {permanent}",
                SceneId::MAX
            ),
            format!(
                "1 to {} characters. This or `scene_id`",
                SceneText::MAX_CHARS
            ),
            format!("Seconds, 1 to {};", Lifetime::MAX_SECONDS),
            format!("name for the scene, 1 to {MAX_NAME} characters"),
            format!("belongs to, 1 to {MAX_NAME} characters"),
        ] {
            assert!(schema.contains(&limit), "{limit}: {schema}");
        }
        let operation = serde_json::to_string(&make::__path_make::operation()).unwrap();
        assert!(
            operation.contains(&format!("array of at most {MAX_ITEMS}")),
            "{operation}"
        );
    }
}
