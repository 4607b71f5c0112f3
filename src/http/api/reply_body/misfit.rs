//! What is wrong with JSON that is no reply, by the field at fault.

use serde_json::{Map, Value};

use crate::http::i18n::message::Message;
use crate::http::problem::Problem;

/// The fields of a card, and those among them that it must have.
const CARD: [&str; 4] = ["title", "description", "image_url", "url"];
const REQUIRED: [&str; 2] = ["title", "url"];

/// The problem of JSON that is no [`GivenReply`](super::GivenReply).
pub(crate) fn misfit(reply: &Value) -> Problem {
    let Value::Object(fields) = reply else {
        return of_another_form();
    };
    if let Some(name) = fields
        .keys()
        .find(|name| !is_one_of(name, &["text", "news"]))
    {
        let message = "is not a field of a reply; accepted: text or news";
        return Problem::invalid_body(&format!("reply.{name}"), message);
    }
    match (fields.get("text"), fields.get("news")) {
        (Some(_), None) => not_a_text("reply.text"),
        (None, Some(Value::Object(card))) => misfit_of_card(card),
        (None, Some(_)) => Problem::invalid_parameter(
            "reply.news",
            "must be an object such as {\"title\": …, \"url\": …}",
        ),
        (Some(_), Some(_)) => {
            Problem::invalid_parameter("reply", "has both text and news; give one")
        }
        (None, None) => of_another_form(),
    }
}

fn misfit_of_card(card: &Map<String, Value>) -> Problem {
    if let Some(name) = card.keys().find(|name| !is_one_of(name, &CARD)) {
        let accepted = CARD.join(", ");
        let message = format!("is not a field of a card; accepted: {accepted}");
        return Problem::invalid_body(&format!("reply.news.{name}"), message);
    }
    if let Some(name) = REQUIRED.iter().find(|name| !card.contains_key(**name)) {
        let message = Message::new("缺失", "is missing");
        return Problem::invalid_parameter(&format!("reply.news.{name}"), message);
    }
    let is_text = |name: &str, value: &Value| {
        value.is_string() || value.is_null() && !is_one_of(name, &REQUIRED)
    };
    let wrong = card.iter().find(|(name, value)| !is_text(name, value));
    wrong.map_or_else(of_another_form, |(name, _)| {
        not_a_text(&format!("reply.news.{name}"))
    })
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.contains(&name)
}

fn of_another_form() -> Problem {
    Problem::invalid_parameter(
        "reply",
        "must be a text, {\"text\": …}, {\"news\": {\"title\": …, \"description\": …, \"image_url\": …, \"url\": …}} or null",
    )
}

fn not_a_text(parameter: &str) -> Problem {
    Problem::invalid_parameter(parameter, "must be a text in quotes")
}
