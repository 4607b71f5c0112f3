//! The body of `POST /api/bindings`.

use axum::body::Body;
use http_listener::ByteBudget;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use wechat::push::Reply;
use wechat::scene::Lifetime;

use crate::http::api::reply_body::{self, GivenReply};
use crate::http::extract::json::read_object;
use crate::http::problem::Problem;

/// The longest body, in bytes. The longest context and reply fit with every byte escaped.
const MAX_BODY: usize = 32 * 1024;

/// The longest context, in bytes.
const MAX_CONTEXT: usize = 1024;

/// The lifetime of a binding, in seconds: time to take out a phone, and not a day in which a code
/// can be passed around. Chosen.
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=1800;
const DEFAULT_LIFETIME: u64 = 300;

/// A new binding.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = WantedBinding)] // The public document keeps its first name.
#[serde(deny_unknown_fields)]
pub(crate) struct BindingRequest {
    /// Seconds until it ends, 60 to 1800. Default: 300.
    expire_seconds: Option<u64>,
    /// Returned with the claim, at most 1024 bytes.
    context: Option<String>,
    /// What the follower reads who signs in. The others who scan the code read nothing of it.
    reply: Option<GivenReply>,
}

/// A checked [`BindingRequest`].
pub(super) struct CheckedBindingRequest {
    pub(super) lifetime: Lifetime,
    pub(super) context: Option<String>,
    pub(super) reply: Option<Reply>,
}

impl BindingRequest {
    pub(super) async fn read(body: Body, budget: &ByteBudget) -> Result<Self, Problem> {
        let fields = read_object(body, MAX_BODY, budget).await?;
        // Every field is optional, so the one at fault fails alone too.
        for (name, value) in &fields {
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            if Self::deserialize(Value::Object(alone)).is_err() {
                return Err(misfit(name, value));
            }
        }
        Self::deserialize(Value::Object(fields)).map_err(|_| Problem::internal())
    }

    pub(super) fn checked(self) -> Result<CheckedBindingRequest, Problem> {
        let seconds = self.expire_seconds.unwrap_or(DEFAULT_LIFETIME);
        let lifetime = Lifetime::try_from(seconds)
            .ok()
            .filter(|_| LIFETIMES.contains(&seconds));
        // PostgreSQL stores no NUL.
        let fits = |context: &String| context.len() <= MAX_CONTEXT && !context.contains('\0');
        if !self.context.as_ref().is_none_or(fits) {
            return Err(bad_context());
        }
        let reply = self.reply.as_ref().map(GivenReply::checked);
        Ok(CheckedBindingRequest {
            lifetime: lifetime.ok_or_else(bad_life)?,
            context: self.context,
            reply: reply.transpose()?,
        })
    }
}

/// The problem of an unknown field, or of a value of the wrong type.
fn misfit(name: &str, value: &Value) -> Problem {
    match name {
        "expire_seconds" => bad_life(),
        "context" => bad_context(),
        "reply" => reply_body::misfit(value),
        _ => Problem::invalid_body(
            name,
            "is not a field of a binding; accepted: expire_seconds, context, reply",
        ),
    }
}

fn bad_life() -> Problem {
    let (least, most) = (LIFETIMES.start(), LIFETIMES.end());
    let message =
        format!("must be a whole number of seconds from {least} to {most}, without quotes");
    Problem::invalid_parameter("expire_seconds", message)
}

fn bad_context() -> Problem {
    let message = format!("must be a text of {MAX_CONTEXT} bytes at most, without NUL");
    Problem::invalid_parameter("context", message)
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    /// The document of the API has the limits in comments, which cannot name a constant.
    #[test]
    fn the_documented_limits_are_those_of_the_code() {
        let schema = serde_json::to_string(&BindingRequest::schema()).unwrap();
        let (least, most) = (LIFETIMES.start(), LIFETIMES.end());
        for limit in [
            format!("Seconds until it ends, {least} to {most}. Default: {DEFAULT_LIFETIME}."),
            format!("at most {MAX_CONTEXT} bytes"),
        ] {
            assert!(schema.contains(&limit), "{limit}: {schema}");
        }
    }
}
