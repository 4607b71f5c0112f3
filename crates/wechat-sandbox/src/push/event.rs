//! Events of followers, and the fields in which WeChat writes them.

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What a follower did. Pushed twice unchanged, it is a repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The follower, by the id that only this account sees.
    pub openid: String,
    /// When it happened. WeChat writes whole seconds; a push may come much later.
    pub created_at: Timestamp,
    /// The kind of event, with its fields.
    pub kind: EventKind,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventKind {
    /// Followed the account.
    Subscribe(FollowSource),
    /// Scanned a code, following already.
    Scan(ScannedCode),
    /// Unfollowed the account.
    Unsubscribe,
    /// Anything else, such as a press on the account's menu.
    Other {
        /// As WeChat names it, such as `CLICK`.
        event: String,
        /// Its `EventKey`.
        key: String,
    },
}

/// How a new follower came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowSource {
    /// A code with a parameter.
    Code(ScannedCode),
    /// A payment. Not documented, but seen.
    Payment {
        /// The number of the payment.
        trade_no: String,
    },
    /// The search, a friend's card, a code without a parameter.
    Elsewhere,
}

/// The code of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannedCode {
    /// Number or text.
    pub scene: String,
    /// The ticket by which the code was made.
    pub ticket: String,
}

/// The fields of a message, in the documents' order.
pub(crate) type Fields = Vec<(&'static str, Value)>;

impl EventKind {
    /// `Event`, in the documents' spelling.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Subscribe(_) => "subscribe",
            Self::Scan(_) => "SCAN",
            Self::Unsubscribe => "unsubscribe",
            Self::Other { event, .. } => event,
        }
    }

    /// `EventKey`; empty where there is nothing to say.
    pub(crate) fn key(&self) -> String {
        match self {
            Self::Subscribe(FollowSource::Code(code)) => format!("qrscene_{}", code.scene),
            Self::Subscribe(FollowSource::Payment { trade_no }) => {
                format!("last_trade_no_{trade_no}")
            }
            Self::Scan(code) => code.scene.clone(),
            Self::Other { key, .. } => key.clone(),
            Self::Subscribe(FollowSource::Elsewhere) | Self::Unsubscribe => String::new(),
        }
    }

    fn ticket(&self) -> Option<&str> {
        match self {
            Self::Subscribe(FollowSource::Code(code)) | Self::Scan(code) => Some(&code.ticket),
            _ => None,
        }
    }
}

impl Event {
    pub(crate) fn fields(&self, app_id: &str) -> Fields {
        let mut fields = vec![
            ("ToUserName", account_name(app_id).into()),
            ("FromUserName", self.openid.as_str().into()),
            ("CreateTime", self.created_at.as_second().into()),
            ("MsgType", "event".into()),
            ("Event", self.kind.name().into()),
            ("EventKey", self.kind.key().into()),
        ];
        if let Some(ticket) = self.kind.ticket() {
            fields.push(("Ticket", ticket.into()));
        }
        fields
    }
}

/// The account's name among users, `gh_` and twelve digits. Always the same for an `AppID`.
pub(crate) fn account_name(app_id: &str) -> String {
    let digest = Sha256::digest(app_id);
    let digits = digest[..6].iter().map(|byte| format!("{byte:02x}"));
    format!("gh_{}", digits.collect::<String>())
}

pub(crate) fn as_xml(fields: &Fields) -> String {
    let elements = fields.iter().map(|(name, value)| match value {
        Value::String(text) => format!("<{name}>{}</{name}>\n", cdata(text)),
        number => format!("<{name}>{number}</{name}>\n"),
    });
    format!("<xml>{}</xml>", elements.collect::<String>())
}

/// Splits the text into two sections where it has `]]>`.
fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}

pub(crate) fn as_json(fields: &Fields) -> String {
    let members = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    Value::Object(members.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> ScannedCode {
        ScannedCode {
            scene: "展会 ]]>&".to_owned(),
            ticket: "gQH47joAAA==".to_owned(),
        }
    }

    fn as_fields(kind: EventKind) -> Fields {
        let event = Event {
            openid: "o6_bmjrPTlm6_2sgVt7hMZOPfL2M".to_owned(),
            created_at: "2023-11-14T22:13:20.9Z".parse().unwrap(),
            kind,
        };
        event.fields("wx1")
    }

    #[test]
    fn every_event_has_wechats_fields() {
        let payment = FollowSource::Payment {
            trade_no: "4200".to_owned(),
        };
        let click = EventKind::Other {
            event: "CLICK".to_owned(),
            key: "menu".to_owned(),
        };
        for (kind, event, key, has_ticket) in [
            (
                EventKind::Subscribe(FollowSource::Code(code())),
                "subscribe",
                "qrscene_展会 ]]>&",
                true,
            ),
            (EventKind::Scan(code()), "SCAN", "展会 ]]>&", true),
            (
                EventKind::Subscribe(payment),
                "subscribe",
                "last_trade_no_4200",
                false,
            ),
            (
                EventKind::Subscribe(FollowSource::Elsewhere),
                "subscribe",
                "",
                false,
            ),
            (EventKind::Unsubscribe, "unsubscribe", "", false),
            (click, "CLICK", "menu", false),
        ] {
            let fields = as_fields(kind);
            let field = |wanted: &str| {
                let found = fields.iter().find(|(name, _)| *name == wanted);
                found.map(|(_, value)| value.clone())
            };
            assert_eq!(field("Event"), Some(event.into()), "{fields:?}");
            assert_eq!(field("EventKey"), Some(key.into()), "{fields:?}");
            assert_eq!(field("Ticket").is_some(), has_ticket, "{fields:?}");
            assert_eq!(field("CreateTime"), Some(1_700_000_000.into()));
            assert_eq!(field("MsgType"), Some("event".into()));
        }
    }

    #[test]
    fn a_message_is_written_as_xml_and_json() {
        let fields = as_fields(EventKind::Scan(code()));
        let account = account_name("wx1");
        assert_eq!(account.len(), 15);
        assert_ne!(account, account_name("wx2"));
        assert_eq!(
            as_xml(&fields),
            format!(
                "<xml><ToUserName><![CDATA[{account}]]></ToUserName>\n\
                 <FromUserName><![CDATA[o6_bmjrPTlm6_2sgVt7hMZOPfL2M]]></FromUserName>\n\
                 <CreateTime>1700000000</CreateTime>\n\
                 <MsgType><![CDATA[event]]></MsgType>\n\
                 <Event><![CDATA[SCAN]]></Event>\n\
                 <EventKey><![CDATA[展会 ]]]]><![CDATA[>&]]></EventKey>\n\
                 <Ticket><![CDATA[gQH47joAAA==]]></Ticket>\n</xml>"
            )
        );
        let json: Value = serde_json::from_str(&as_json(&fields)).unwrap();
        assert_eq!(json["ToUserName"], account.as_str());
        assert_eq!(json["EventKey"], "展会 ]]>&");
        assert_eq!(json["CreateTime"], 1_700_000_000);
        assert_eq!(json.as_object().unwrap().len(), 7);
    }
}
