//! What a callback answers to a push: nothing, a message for the follower, or a fault, judged as
//! WeChat judges it.

mod document;

use std::collections::HashMap;

use self::document::Format;
use super::callback::{Callback, Mode};
use super::cipher;
use super::event::{Event, account_name};
use super::response::CallbackResponse;

/// The body that asks for no message, besides an empty one.
const SUCCESS: &[u8] = b"success";

/// What the follower reads instead of a message that is faulty.
pub const FAULT_SHOWN: &str = "该公众号提供的服务出现故障，请稍后再试";

/// A message that the follower gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A text message.
    Text(String),
    /// A card with a link (`news`).
    News(Article),
}

/// A card with a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// The heading of the card (`Title`).
    pub title: String,
    /// The text below it.
    pub description: String,
    /// The address of its picture.
    pub picture: String,
    /// Where it leads.
    pub url: String,
}

/// Why an answer is no message. The follower reads [`FAULT_SHOWN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyFault {
    /// Neither empty, nor `success`, nor a message.
    #[error("the answer is neither empty, nor success, nor a message in the format of the push")]
    NotAMessage,
    /// White space before the message.
    #[error("there is white space before the message")]
    LeadingSpace,
    /// The safe mode takes encrypted messages only.
    #[error("the message is not encrypted, and the mode is the safe one")]
    NotEncrypted,
    /// The signature is not that of the encrypted message.
    #[error("MsgSignature is wrong")]
    Signature,
    /// No message comes out with the key and the `AppID` of the account.
    #[error("the message cannot be decrypted, or is for another AppID")]
    Undecryptable,
    /// A field is absent or empty.
    #[error("{0} is absent or empty")]
    Missing(&'static str),
    /// `ToUserName` is not the follower.
    #[error("ToUserName is not the openid of the follower")]
    Recipient,
    /// `FromUserName` is not the account.
    #[error("FromUserName is not the account's original id, which the push has as ToUserName")]
    Sender,
    /// `CreateTime` is not a number.
    #[error("CreateTime is not a number of seconds")]
    CreateTime,
    /// The sandbox knows text and news.
    #[error("MsgType is neither text nor news")]
    Kind,
    /// A text over 2048 bytes.
    #[error("Content has more than 2048 bytes")]
    TooLong,
    /// Not one article in the answer to an event.
    #[error("ArticleCount and the number of articles must be 1 in the answer to an event")]
    ArticleCount,
}

/// The longest text, in bytes: WeChat's limit of customer-service texts.
const MAX_TEXT: usize = 2048;

/// The message in an accepted answer, if there is one.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(
    answer: &CallbackResponse,
    callback: &Callback,
    app_id: &str,
    event: &Event,
) -> Result<Option<Reply>, ReplyFault> {
    if answer.body.is_empty() || answer.body == SUCCESS {
        return Ok(None);
    }
    let body = str::from_utf8(&answer.body).map_err(|_| ReplyFault::NotAMessage)?;
    if body.starts_with(|letter: char| letter.is_whitespace()) {
        return Err(ReplyFault::LeadingSpace);
    }
    let format = Format::from(callback.format);
    let mut message = Message::parse(body, format)?;
    if let Some(encrypted) = message.optional("Encrypt") {
        let clear = message.decrypted(encrypted, callback, app_id)?;
        message = Message::parse(&clear, format)?;
    } else if matches!(callback.mode, Mode::Safe(_)) {
        return Err(ReplyFault::NotEncrypted);
    }
    message.check_envelope(app_id, event)?;
    message.content().map(Some)
}

/// The fields of a message, by their path.
struct Message(HashMap<String, String>);

impl Message {
    fn parse(text: &str, format: Format) -> Result<Self, ReplyFault> {
        let fields = document::fields(text, format).ok_or(ReplyFault::NotAMessage)?;
        Ok(Self(fields))
    }

    fn optional(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|text| !text.is_empty())
    }

    fn required(&self, name: &'static str) -> Result<&str, ReplyFault> {
        self.optional(name).ok_or(ReplyFault::Missing(name))
    }

    fn decrypted(
        &self,
        encrypted: &str,
        callback: &Callback,
        app_id: &str,
    ) -> Result<String, ReplyFault> {
        let key = callback.mode.key().ok_or(ReplyFault::Undecryptable)?;
        let token = callback.token.as_str();
        let parts = [
            token,
            self.required("TimeStamp")?,
            self.required("Nonce")?,
            encrypted,
        ];
        if cipher::signature(parts.to_vec()) != self.required("MsgSignature")? {
            return Err(ReplyFault::Signature);
        }
        cipher::decrypt(key.bytes(), encrypted, app_id).ok_or(ReplyFault::Undecryptable)
    }

    /// Checks the recipient, the sender and the time.
    fn check_envelope(&self, app_id: &str, event: &Event) -> Result<(), ReplyFault> {
        if self.required("ToUserName")? != event.openid {
            return Err(ReplyFault::Recipient);
        }
        if self.required("FromUserName")? != account_name(app_id) {
            return Err(ReplyFault::Sender);
        }
        let created = self.required("CreateTime")?;
        let created: Result<u32, _> = created.parse();
        created.map(drop).map_err(|_| ReplyFault::CreateTime)
    }

    fn content(&self) -> Result<Reply, ReplyFault> {
        match self.required("MsgType")? {
            "text" => {
                let text = self.required("Content")?;
                if text.len() > MAX_TEXT {
                    return Err(ReplyFault::TooLong);
                }
                Ok(Reply::Text(text.to_owned()))
            }
            "news" => self.article().map(Reply::News),
            _ => Err(ReplyFault::Kind),
        }
    }

    fn article(&self) -> Result<Article, ReplyFault> {
        let has_second = self.0.keys().any(|path| path.starts_with("Articles/1/"));
        if self.required("ArticleCount")? != "1" || has_second {
            return Err(ReplyFault::ArticleCount);
        }
        let field = |path| self.optional(path).unwrap_or_default().to_owned();
        Ok(Article {
            title: self.required("Articles/0/Title")?.to_owned(),
            description: field("Articles/0/Description"),
            picture: field("Articles/0/PicUrl"),
            url: self.required("Articles/0/Url")?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::callback::{CallbackToken, DataFormat, EncodingAesKey};
    use crate::push::event::EventKind;

    const OPENID: &str = "o6_b";

    fn callback(mode: Mode, format: DataFormat) -> Callback {
        Callback {
            url: "http://localhost/".parse().unwrap(),
            token: "Token1".parse::<CallbackToken>().unwrap(),
            mode,
            format,
        }
    }

    fn judged(body: &str, callback: &Callback) -> Result<Option<Reply>, ReplyFault> {
        let answer = CallbackResponse {
            status: 200,
            body: body.into(),
        };
        let event = Event {
            openid: OPENID.to_owned(),
            created_at: jiff::Timestamp::UNIX_EPOCH,
            kind: EventKind::Unsubscribe,
        };
        read(&answer, callback, "wx1", &event)
    }

    /// A text message, with one piece of it replaced.
    fn message(from: &str, to: &str) -> String {
        let account = account_name("wx1");
        let whole = format!(
            "<xml><ToUserName>{OPENID}</ToUserName><FromUserName><![CDATA[{account}]]></FromUserName>\n\
             <CreateTime>12</CreateTime><MsgType>text</MsgType><Content>a</Content></xml>"
        );
        assert!(from.is_empty() || whole.contains(from), "{from}");
        whole.replace(from, to)
    }

    #[test]
    fn a_faulty_reply_is_named() {
        let plain = callback(Mode::Plain, DataFormat::Xml);
        let long = "x".repeat(2049);
        let item = "<item><Title>t</Title><Url>http://a/</Url></item>";
        let news = |count: &str, items: &str| {
            let news = format!(
                "<MsgType>news</MsgType><ArticleCount>{count}</ArticleCount><Articles>{items}</Articles>"
            );
            message("<MsgType>text</MsgType><Content>a</Content>", &news)
        };
        for (body, want) in [
            ("ok".to_owned(), ReplyFault::NotAMessage),
            ("{}".to_owned(), ReplyFault::NotAMessage),
            (message("</xml>", ""), ReplyFault::NotAMessage),
            (message("<xml>", " <xml>"), ReplyFault::LeadingSpace),
            (message(OPENID, "other"), ReplyFault::Recipient),
            (message("gh_", "wx"), ReplyFault::Sender),
            (message(">12<", ">now<"), ReplyFault::CreateTime),
            (message(">text<", ">voice<"), ReplyFault::Kind),
            (message(">a<", "><"), ReplyFault::Missing("Content")),
            (message(">a<", &format!(">{long}<")), ReplyFault::TooLong),
            (news("2", item), ReplyFault::ArticleCount),
            (news("1", &item.repeat(2)), ReplyFault::ArticleCount),
            (news("1", ""), ReplyFault::Missing("Articles/0/Title")),
        ] {
            assert_eq!(judged(&body, &plain), Err(want), "{body}");
        }
        let article = judged(&news("1", item), &plain).unwrap().unwrap();
        assert!(matches!(article, Reply::News(article) if article.url == "http://a/"));
        let key = || EncodingAesKey::random();
        let safe = callback(Mode::Safe(key()), DataFormat::Xml);
        assert_eq!(
            judged(&message("", ""), &safe),
            Err(ReplyFault::NotEncrypted)
        );
        let compatible = callback(Mode::Compatible(key()), DataFormat::Xml);
        let text = Ok(Some(Reply::Text("a".to_owned())));
        assert_eq!(judged(&message("", ""), &compatible), text);
        assert_eq!(judged("success", &safe), Ok(None));
        assert_eq!(judged("", &safe), Ok(None));
    }

    #[test]
    fn an_encrypted_reply_is_checked_before_it_is_opened() {
        let key = EncodingAesKey::random();
        let other = EncodingAesKey::random();
        let safe = callback(Mode::Safe(key.clone()), DataFormat::Xml);
        let sealed = |key: &EncodingAesKey, app_id: &str| {
            cipher::encrypt(key.bytes(), [7; 16], &message("", ""), app_id)
        };
        let signed = |encrypted: &str, token: &str| {
            let signature = cipher::signature(vec![token, "5", "6", encrypted]);
            format!(
                "<xml><Encrypt>{encrypted}</Encrypt><MsgSignature>{signature}</MsgSignature>\
                 <TimeStamp>5</TimeStamp><Nonce>6</Nonce></xml>"
            )
        };
        let good = sealed(&key, "wx1");
        let text = Ok(Some(Reply::Text("a".to_owned())));
        assert_eq!(judged(&signed(&good, "Token1"), &safe), text);
        for (body, want) in [
            (signed(&good, "Token2"), ReplyFault::Signature),
            (
                signed(&sealed(&other, "wx1"), "Token1"),
                ReplyFault::Undecryptable,
            ),
            (
                signed(&sealed(&key, "wx2"), "Token1"),
                ReplyFault::Undecryptable,
            ),
            (signed("AAAA", "Token1"), ReplyFault::Undecryptable),
        ] {
            assert_eq!(judged(&body, &safe), Err(want), "{body}");
        }
    }
}
