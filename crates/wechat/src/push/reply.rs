//! Passive replies: a message to the follower, in the body that answers a push.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::credentials::EncodingAesKey;
use super::event::openid;
use super::fields::{Field, Fields, Format};
use super::{PushVerifier, cipher, signature};
use crate::openid::OpenId;

/// A message to the follower who caused a push. As JSON, it is `{"text": …}` or `{"news": {…}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// A text.
    Text(ReplyText),
    /// A card with a title and a link. WeChat shows one at most in the answer to an event.
    News(Article),
}

/// A text that XML can carry: 1 to `MAX_CHARS` characters, at most [`BoundedText::MAX_BYTES`]
/// bytes, no control characters but tabs and line breaks. `\r\n` and `\r` become `\n`, because XML
/// cannot carry them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct BoundedText<const MAX_CHARS: usize>(String);

/// The text of a reply. WeChat documents no limit for passive replies; this is within all that was
/// observed.
pub type ReplyText = BoundedText<600>;

/// The title of a card. The limit is chosen: more is cut on a phone.
pub type ArticleTitle = BoundedText<64>;

/// The text below the title of a card. The limit is chosen: more is cut on a phone.
pub type ArticleDescription = BoundedText<120>;

/// A card with a title and a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Article {
    /// The heading of the card.
    pub title: ArticleTitle,
    /// The text below the title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<ArticleDescription>,
    /// The picture, JPG or PNG, 360 × 200 pixels by WeChat's documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_url: Option<WebUrl>,
    /// Where the card leads.
    pub url: WebUrl,
}

/// An absolute address with `http` or `https`, at most [`WebUrl::MAX_BYTES`] bytes in the form in
/// which it is sent, with letters beyond ASCII percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebUrl(Url);

/// Why something cannot be sent as a reply. As text, it continues the field's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// No character but white space.
    #[error("must not be empty")]
    Empty,
    /// Too many characters.
    #[error("must have at most {most} characters")]
    TooManyCharacters {
        /// The limit, in characters.
        most: usize,
    },
    /// Too many bytes of UTF-8.
    #[error("must have at most {most} bytes")]
    TooManyBytes {
        /// The limit, in bytes.
        most: usize,
    },
    /// A character that XML cannot carry.
    #[error("has a control character")]
    ControlCharacter,
    /// Not an address of the web.
    #[error("must be an absolute address that begins with https:// or http://")]
    NotAWebUrl,
}

impl<const MAX_CHARS: usize> BoundedText<MAX_CHARS> {
    /// Maximum length, in characters.
    pub const MAX_CHARS: usize = MAX_CHARS;

    /// The most bytes of UTF-8: WeChat's limit for texts of its customer-service call.
    pub const MAX_BYTES: usize = 2048;

    /// The text, with line feeds as its only line breaks.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX_CHARS: usize> FromStr for BoundedText<MAX_CHARS> {
    type Err = ReplyError;

    fn from_str(text: &str) -> Result<Self, ReplyError> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        if text.trim().is_empty() {
            return Err(ReplyError::Empty);
        }
        if text.chars().count() > MAX_CHARS {
            return Err(ReplyError::TooManyCharacters { most: MAX_CHARS });
        }
        if text.len() > Self::MAX_BYTES {
            return Err(ReplyError::TooManyBytes {
                most: Self::MAX_BYTES,
            });
        }
        if text.chars().all(is_xml_character) {
            Ok(Self(text))
        } else {
            Err(ReplyError::ControlCharacter)
        }
    }
}

impl<const MAX_CHARS: usize> TryFrom<String> for BoundedText<MAX_CHARS> {
    type Error = ReplyError;

    fn try_from(text: String) -> Result<Self, ReplyError> {
        text.parse()
    }
}

/// The characters of XML 1.0 (section 2.2) without C1 controls.
fn is_xml_character(letter: char) -> bool {
    let is_noncharacter = matches!(letter, '\u{fffe}' | '\u{ffff}');
    matches!(letter, '\n' | '\t') || !letter.is_control() && !is_noncharacter
}

impl Article {
    /// The values of its elements, in the order of WeChat's documents. Absent ones are empty.
    fn elements(&self) -> [(&'static str, &str); 4] {
        let description = self.description.as_ref();
        [
            ("Title", self.title.as_str()),
            ("Description", description.map_or("", BoundedText::as_str)),
            ("PicUrl", self.image_url.as_ref().map_or("", WebUrl::as_str)),
            ("Url", self.url.as_str()),
        ]
    }
}

impl WebUrl {
    /// Maximum length, in bytes. Chosen.
    pub const MAX_BYTES: usize = 1024;

    /// The address in the form in which it is sent.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is encrypted in transit.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl FromStr for WebUrl {
    type Err = ReplyError;

    fn from_str(text: &str) -> Result<Self, ReplyError> {
        let too_long = ReplyError::TooManyBytes {
            most: Self::MAX_BYTES,
        };
        if text.len() > Self::MAX_BYTES {
            return Err(too_long);
        }
        let url: Url = text.parse().map_err(|_| ReplyError::NotAWebUrl)?;
        if url.as_str().len() > Self::MAX_BYTES {
            return Err(too_long);
        }
        if matches!(url.scheme(), "http" | "https") && url.has_host() {
            Ok(Self(url))
        } else {
            Err(ReplyError::NotAWebUrl)
        }
    }
}

impl TryFrom<String> for WebUrl {
    type Error = ReplyError;

    fn try_from(text: String) -> Result<Self, ReplyError> {
        text.parse()
    }
}

impl From<WebUrl> for String {
    fn from(url: WebUrl) -> Self {
        url.0.into()
    }
}

/// Where the reply to a push goes, and in which form.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplyAddress {
    pub(super) follower: OpenId,
    /// The account's original id (`gh_…`), which is not its `AppID`.
    pub(super) account: String,
    pub(super) format: Format,
    pub(super) key: ReplyKey,
}

/// How a reply is encrypted: as its push was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReplyKey {
    /// Not at all.
    None,
    /// With the key that is set.
    Current,
    /// With the key before it, which WeChat still uses.
    Previous,
}

impl ReplyAddress {
    /// Derives the address from a push: its sender and receiver, exchanged. None where it does not
    /// name both.
    pub(super) fn of(fields: &Fields, key: ReplyKey) -> Option<Self> {
        let account = fields.get(Field::ToUserName)?;
        Some(Self {
            follower: openid(fields).ok()?,
            account: account.to_owned(),
            format: fields.format,
            key,
        })
    }
}

impl fmt::Debug for ReplyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyAddress")
            .field("format", &self.format)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// The body of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyBody {
    /// XML or JSON.
    pub text: String,
    /// Its media type.
    pub media_type: &'static str,
}

impl PushVerifier {
    /// Writes a reply as the body that answers its push, encrypted if the push was.
    pub fn write_reply(&self, to: &ReplyAddress, reply: &Reply, now: Timestamp) -> ReplyBody {
        let message = match to.format {
            Format::Xml => message_xml(to, reply, now),
            Format::Json => message_json(to, reply, now).to_string(),
        };
        let text = match self.reply_key(to.key) {
            None => message,
            Some(key) => self.sealed(&cipher::seal(&message, key, &self.app_id), to.format, now),
        };
        let media_type = match to.format {
            Format::Xml => "text/xml; charset=utf-8",
            Format::Json => "application/json",
        };
        ReplyBody { text, media_type }
    }

    fn reply_key(&self, key: ReplyKey) -> Option<&EncodingAesKey> {
        let keys = self.credentials.keys.as_ref()?;
        match key {
            ReplyKey::None => None,
            ReplyKey::Current => Some(&keys.current),
            ReplyKey::Previous => keys.previous.as_ref(),
        }
    }

    /// The envelope of an encrypted message, signed.
    fn sealed(&self, encrypted: &str, format: Format, now: Timestamp) -> String {
        let timestamp = now.as_second();
        let nonce = cipher::random_number().to_string();
        let token = self.credentials.token.expose();
        let seconds = timestamp.to_string();
        let signature = signature::compute(vec![token, &seconds, &nonce, encrypted]);
        match format {
            Format::Xml => element(
                "xml",
                &[
                    cdata("Encrypt", encrypted),
                    cdata("MsgSignature", &signature),
                    element("TimeStamp", &seconds),
                    cdata("Nonce", &nonce),
                ]
                .concat(),
            ),
            Format::Json => json!({
                "Encrypt": encrypted,
                "MsgSignature": signature,
                "TimeStamp": timestamp,
                "Nonce": nonce,
            })
            .to_string(),
        }
    }
}

fn message_xml(to: &ReplyAddress, reply: &Reply, now: Timestamp) -> String {
    let content = match reply {
        Reply::Text(text) => [cdata("MsgType", "text"), cdata("Content", text.as_str())].concat(),
        Reply::News(article) => {
            let item = article.elements().map(|(name, value)| cdata(name, value));
            let items = element("Articles", &element("item", &item.concat()));
            [
                cdata("MsgType", "news"),
                element("ArticleCount", "1"),
                items,
            ]
            .concat()
        }
    };
    let head = [
        cdata("ToUserName", to.follower.as_str()),
        cdata("FromUserName", &to.account),
        element("CreateTime", &now.as_second().to_string()),
    ];
    element("xml", &(head.concat() + &content))
}

fn message_json(to: &ReplyAddress, reply: &Reply, now: Timestamp) -> Value {
    let mut message = match reply {
        Reply::Text(text) => json!({"MsgType": "text", "Content": text.as_str()}),
        Reply::News(article) => {
            let item = article.elements().map(|(name, value)| (name, value.into()));
            json!({
                "MsgType": "news",
                "ArticleCount": 1,
                "Articles": [Map::from_iter(item.map(|(name, value): (&str, Value)| (name.to_owned(), value)))],
            })
        }
    };
    message["ToUserName"] = to.follower.as_str().into();
    message["FromUserName"] = to.account.as_str().into();
    message["CreateTime"] = now.as_second().into();
    message
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

/// An element with a text. The end mark of CDATA inside is split over two sections.
fn cdata(name: &str, text: &str) -> String {
    let text = text.replace("]]>", "]]]]><![CDATA[>");
    element(name, &format!("<![CDATA[{text}]]>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_read_back_from_its_json() {
        for text in [
            r#"{"text":"欢迎 ]]>\n🎪"}"#,
            r#"{"news":{"title":"Sale","url":"https://example.com/"}}"#,
            r#"{"news":{"title":"Sale","description":"now","image_url":"https://example.com/a.png","url":"http://example.com/?a=b"}}"#,
        ] {
            let reply: Reply = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&reply).unwrap(), text);
        }
    }

    #[test]
    fn an_address_is_as_long_as_it_is_sent() {
        let address = |letters: usize| format!("https://example.com/{}", "展".repeat(letters));
        let longest: WebUrl = address(111).parse().unwrap();
        assert_eq!(longest.as_str().len(), 20 + 999);
        assert_eq!(longest.as_str().parse(), Ok(longest));
        let too_long = ReplyError::TooManyBytes { most: 1024 };
        assert_eq!(address(112).parse::<WebUrl>(), Err(too_long));
        assert_eq!(address(400).parse::<WebUrl>(), Err(too_long));
    }

    #[test]
    fn json_of_no_reply_is_refused() {
        let long = "x".repeat(ArticleTitle::MAX_CHARS + 1);
        for text in [
            r#"{"text":""}"#.to_owned(),
            r#"{"image":"a"}"#.to_owned(),
            r#"{"news":{"title":"a","url":"ftp://example.com/"}}"#.to_owned(),
            format!(r#"{{"news":{{"title":"{long}","url":"https://example.com/"}}}}"#),
        ] {
            assert!(serde_json::from_str::<Reply>(&text).is_err(), "{text}");
        }
    }
}
