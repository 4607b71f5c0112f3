//! The reply of a code as JSON, in requests and answers.

mod misfit;

use std::str::FromStr;

use serde::Deserialize;
use utoipa::ToSchema;
use wechat::push::{Article, Reply, ReplyError};

pub(crate) use self::misfit::misfit;
use crate::http::problem::Problem;

/// A reply as it is given: a text, or a message.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum GivenReply {
    /// Short for the message with this text.
    Text(String),
    /// A message.
    Message(GivenMessage),
}

/// What a follower reads after a scan.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[schema(as = Reply)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum GivenMessage {
    /// A text of 1 to 600 characters.
    Text(String),
    /// A card with a title and a link.
    News(News),
}

/// A card with a title and a link.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct News {
    /// 1 to 64 characters.
    title: String,
    /// At most 120 characters.
    description: Option<String>,
    /// The address of the picture, JPG or PNG, 360 × 200 pixels.
    image_url: Option<String>,
    /// Where the card leads.
    url: String,
}

impl GivenReply {
    /// Checks it.
    ///
    /// # Errors
    /// Names the field.
    pub(crate) fn checked(&self) -> Result<Reply, Problem> {
        match self {
            Self::Text(text) => Ok(Reply::Text(parsed("reply", text)?)),
            Self::Message(GivenMessage::Text(text)) => Ok(Reply::Text(parsed("reply.text", text)?)),
            Self::Message(GivenMessage::News(news)) => news.checked().map(Reply::News),
        }
    }
}

impl News {
    fn checked(&self) -> Result<Article, Problem> {
        Ok(Article {
            title: parsed("reply.news.title", &self.title)?,
            description: parsed_if_given("reply.news.description", self.description.as_deref())?,
            image_url: parsed_if_given("reply.news.image_url", self.image_url.as_deref())?,
            url: parsed("reply.news.url", &self.url)?,
        })
    }
}

/// An empty text is none.
fn parsed_if_given<T: FromStr<Err = ReplyError>>(
    parameter: &str,
    text: Option<&str>,
) -> Result<Option<T>, Problem> {
    let given = text.filter(|text| !text.is_empty());
    given.map(|text| parsed(parameter, text)).transpose()
}

fn parsed<T: FromStr<Err = ReplyError>>(parameter: &str, text: &str) -> Result<T, Problem> {
    let parsed = text.parse();
    parsed.map_err(|error| Problem::invalid_parameter(parameter, error))
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;
    use wechat::push::{ArticleDescription, ArticleTitle, ReplyText};

    use super::*;

    /// The document of the API has the limits in comments, which cannot name a constant.
    #[test]
    fn the_documented_limits_are_those_of_the_types() {
        let text = format!("1 to {} characters", ReplyText::MAX_CHARS);
        let title = format!("1 to {} characters", ArticleTitle::MAX_CHARS);
        let description = format!("At most {} characters", ArticleDescription::MAX_CHARS);
        for (schema, limits) in [
            (GivenMessage::schema(), vec![text]),
            (News::schema(), vec![title, description]),
        ] {
            let schema = serde_json::to_string(&schema).unwrap();
            for limit in limits {
                assert!(schema.contains(&limit), "{limit}: {schema}");
            }
        }
    }
}
