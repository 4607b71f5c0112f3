//! Passive replies: a message to the follower, in the body that answers a push.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde_json::{Value, json};
use url::Url;

use super::event::openid;
use super::fields::{Field, Fields, Format};
use super::{EncodingAesKey, PushVerifier, cipher, signature};
use crate::openid::OpenId;

/// A message to the follower who caused a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A text.
    Text(ReplyText),
    /// A card with a title and a link. WeChat shows one at most in the answer to an event.
    News(Article),
}

/// The text of a reply: 1 to [`ReplyText::MAX_CHARS`] characters, at most [`ReplyText::MAX_BYTES`]
/// bytes, no control characters but tabs and line breaks. `\r\n` and `\r` become `\n`, because XML
/// cannot carry them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyText(String);

/// A card with a title and a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    title: ReplyText,
    description: Option<ReplyText>,
    image_url: Option<WebUrl>,
    url: WebUrl,
}

/// An absolute address with `http` or `https`, at most [`WebUrl::MAX_BYTES`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
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
        /// The most.
        most: usize,
    },
    /// Too many bytes of UTF-8.
    #[error("must have at most {most} bytes")]
    TooManyBytes {
        /// The most.
        most: usize,
    },
    /// A character that XML cannot carry.
    #[error("has a control character")]
    ControlCharacter,
    /// Not an address of the web.
    #[error("must be an absolute address that begins with https:// or http://")]
    NotAWebUrl,
}

impl ReplyText {
    /// The most characters. WeChat documents none for passive replies; within all that was
    /// observed.
    pub const MAX_CHARS: usize = 600;

    /// The most bytes of UTF-8: WeChat's limit for texts of its customer-service call.
    pub const MAX_BYTES: usize = 2048;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ReplyText {
    type Err = ReplyError;

    fn from_str(text: &str) -> Result<Self, ReplyError> {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        if text.trim().is_empty() {
            return Err(ReplyError::Empty);
        }
        if text.chars().count() > Self::MAX_CHARS {
            return Err(ReplyError::TooManyCharacters {
                most: Self::MAX_CHARS,
            });
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

/// The characters of XML 1.0 (section 2.2) without C1 controls.
fn is_xml_character(letter: char) -> bool {
    let is_noncharacter = matches!(letter, '\u{fffe}' | '\u{ffff}');
    matches!(letter, '\n' | '\t') || !letter.is_control() && !is_noncharacter
}

impl Article {
    /// The most characters of a title. Chosen: more is cut on a phone.
    pub const MAX_TITLE: usize = 64;

    /// The most characters of a description. Chosen: more is cut on a phone.
    pub const MAX_DESCRIPTION: usize = 120;

    /// A card. The picture is JPG or PNG, 360 × 200 pixels by WeChat's documents.
    ///
    /// # Errors
    /// When title or description has too many characters.
    pub fn new(
        title: ReplyText,
        description: Option<ReplyText>,
        image_url: Option<WebUrl>,
        url: WebUrl,
    ) -> Result<Self, ReplyError> {
        check_length(&title, Self::MAX_TITLE)?;
        if let Some(description) = &description {
            check_length(description, Self::MAX_DESCRIPTION)?;
        }
        Ok(Self {
            title,
            description,
            image_url,
            url,
        })
    }

    /// The title.
    pub fn title(&self) -> &str {
        self.title.as_str()
    }

    /// The text below the title, empty if there is none.
    pub fn description(&self) -> &str {
        self.description.as_ref().map_or("", ReplyText::as_str)
    }

    /// The address of the picture, empty if there is none.
    pub fn image_url(&self) -> &str {
        self.image_url.as_ref().map_or("", WebUrl::as_str)
    }

    /// Where the card leads.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }
}

fn check_length(text: &ReplyText, most: usize) -> Result<(), ReplyError> {
    if text.as_str().chars().count() > most {
        return Err(ReplyError::TooManyCharacters { most });
    }
    Ok(())
}

impl WebUrl {
    /// The most bytes. Chosen.
    pub const MAX_BYTES: usize = 1024;

    /// The address.
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
        if text.len() > Self::MAX_BYTES {
            return Err(ReplyError::TooManyBytes {
                most: Self::MAX_BYTES,
            });
        }
        let url: Url = text.parse().map_err(|_| ReplyError::NotAWebUrl)?;
        if matches!(url.scheme(), "http" | "https") && url.has_host() {
            Ok(Self(url))
        } else {
            Err(ReplyError::NotAWebUrl)
        }
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
    /// Sender and receiver of a push, exchanged. None where it does not name both.
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
            let item = [
                cdata("Title", article.title()),
                cdata("Description", article.description()),
                cdata("PicUrl", article.image_url()),
                cdata("Url", article.url()),
            ];
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
        Reply::News(article) => json!({
            "MsgType": "news",
            "ArticleCount": 1,
            "Articles": [{
                "Title": article.title(),
                "Description": article.description(),
                "PicUrl": article.image_url(),
                "Url": article.url(),
            }],
        }),
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
